#!/usr/bin/env python3
"""run.py MACHINE ELF [ARGUMENT OF QEMU...]: one life of a firmware on an erased flash; what it says, and its exit status."""

import sys

import emulator

said, status, _ = emulator.run(sys.argv[1], sys.argv[2], arguments=sys.argv[3:])
sys.stdout.buffer.write(said)
sys.exit(status)
