"""Firmware on an emulated microcontroller whose flash can be taken out, changed and put in again.

A machine's flash goes in as an image and comes out as one, and can be had after each operation that changes it: the firmware
calls the function `flash_operation` before each, and the debugger's stub of the emulator stops it there. So a cut of the power
is exact and the same each time. Nothing is left behind: the emulator is killed by its number, files live in a folder that goes.
"""

import json
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time

HOME = os.environ.get("EVENKEEL_CROSS_HOME", os.path.expanduser("~/.cache/evenkeel-cross"))
TIMEOUT_S = 120


class Machine:
    """A kind of emulated microcontroller: its name in QEMU, and how its flash goes in and out."""

    def __init__(self, name, image_bytes=0, arguments=None, out=None, chip_bytes=0):
        self.name, self.image_bytes, self.arguments, self.out = name, image_bytes, arguments, out
        # A chip may be larger than what of it is of interest.
        self.chip_bytes = max(chip_bytes, image_bytes)


def _microbit_in(image):
    return ["-device", f"loader,file={image},addr=0x30000,force-raw=on"]


def _microbit_out(monitor, image):
    # Not `pmemsave`: this flash is in the address space of the processor alone, elsewhere it reads as zeros.
    monitor.ask("memsave", val=0x30000, size=0x10000, filename=str(image))


MACHINES = {
    # nRF51822, Cortex-M0. Its flash begins as zeros in QEMU, not erased, and no file stands behind it.
    "microbit": Machine("microbit", 0x10000, _microbit_in, _microbit_out),
    # Cortex-M4F; the SPI NOR chip is the image file itself, which a stopped machine has written wholly.
    "ast1030": Machine("ast1030-evb", 0x18000, lambda image: ["-drive", f"if=mtd,format=raw,file={image}"],
                       lambda monitor, image: None, chip_bytes=4 << 20),
    # Cortex-M4 and Cortex-M3 without a flash of interest.
    "mps2": Machine("mps2-an386"),
    "lm3s6965": Machine("lm3s6965evb"),
}


class Failed(Exception):
    """The firmware or the emulator did not do what it should."""


def _connect(path):
    end = time.monotonic() + 20
    while True:
        try:
            stream = socket.socket(socket.AF_UNIX)
            stream.connect(str(path))
            return stream
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.005)


class Debugger:
    """The few requests of gdb's remote protocol that are needed."""

    def __init__(self, path):
        self.stream, self.held = _connect(path), b""
        self.stream.settimeout(TIMEOUT_S)
        self.ask("?")

    def send(self, body):
        self.stream.sendall(b"$%s#%02x" % (body.encode(), sum(body.encode()) & 255))

    def answer(self):
        while True:
            match = re.search(rb"\$([^#]*)#..", self.held, re.S)
            if match:
                self.held = self.held[match.end():]
                self.stream.sendall(b"+")
                return match.group(1).decode()
            more = self.stream.recv(65536)
            if not more:
                return None
            self.held += more

    def ask(self, body):
        self.send(body)
        return self.answer()

    def stop_at(self, address):
        assert self.ask(f"Z1,{address:x},2") == "OK"

    def go_on(self):
        """Lets it run to the next stop; whether there was one."""
        answer = self.ask("c")
        return answer is not None and answer.startswith("T05")

    def stands_at(self, address):
        """Whether the program counter is there."""
        registers = bytes.fromhex(self.ask("g"))
        return int.from_bytes(registers[60:64], "little") & ~1 == address


class Monitor:
    """QEMU's monitor."""

    def __init__(self, path):
        self.file = _connect(path).makefile("rw")
        self.file.readline()
        self.ask("qmp_capabilities")

    def ask(self, command, **arguments):
        self.file.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.file.flush()
        while True:
            answer = json.loads(self.file.readline())
            if "error" in answer:
                raise Failed(f"{command}: {answer}")
            if "return" in answer:
                return answer["return"]


def symbols(elf):
    """The addresses of the functions of an ELF file, without the Thumb bit."""
    found = {}
    for line in subprocess.run(["nm", str(elf)], capture_output=True, text=True, check=True).stdout.splitlines():
        parts = line.split()
        if len(parts) == 3:
            found[parts[2]] = int(parts[0], 16) & ~1
    return found


def blank(machine):
    """The image of an erased flash."""
    return b"\xff" * MACHINES[machine].image_bytes


class Emulator:
    """One power-on: a context in which the machine lives."""

    def __init__(self, machine, elf, image=None, arguments=(), debugged=True):
        self.machine, self.elf, self.debugged = MACHINES[machine], str(elf), debugged
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="evenkeel-emulator-"))
        self.image = self.folder / "flash"
        self.said = b""
        command = ["qemu-system-arm", "-M", self.machine.name, "-nographic", "-monitor", "none",
                   "-semihosting-config", "enable=on,target=native", "-kernel", self.elf]
        if not any(argument == "-serial" for argument in arguments):
            command += ["-serial", "none"]
        command += ["-icount", "shift=0"]  # virtual time by executed instructions: the same in every run
        if self.machine.image_bytes:
            image = blank(machine) if image is None else image
            self.image.write_bytes(image + b"\xff" * (self.machine.chip_bytes - len(image)))
            command += self.machine.arguments(self.image)
        if debugged:
            command += ["-S", "-qmp", f"unix:{self.folder}/monitor,server=on,wait=off",
                        "-chardev", f"socket,path={self.folder}/debugger,server=on,wait=off,id=debugger",
                        "-gdb", "chardev:debugger"]
        self.process = subprocess.Popen([*command, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)
        os.set_blocking(self.process.stdout.fileno(), False)
        if debugged:
            self.monitor = Monitor(self.folder / "monitor")
            self.debugger = Debugger(self.folder / "debugger")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def console(self):
        """All that the firmware has said so far: a stopped machine has said it all."""
        while True:
            ready, _, _ = select.select([self.process.stdout], [], [], 0)
            more = self.process.stdout.read() if ready else b""
            if not more:
                return self.said
            self.said += more

    def flash(self):
        """The flash of the machine, which stands still."""
        self.machine.out(self.monitor, self.image)
        with open(self.image, "rb") as file:
            return file.read(self.machine.image_bytes)

    def to_the_end(self):
        """Runs to the end of the firmware: what it said, its exit status, and its flash at the end."""
        image = None
        if self.debugged:
            self.debugger.stop_at(symbols(self.elf)["firmware_ends"])
            if not self.debugger.go_on():
                raise Failed(f"{self.elf} did not come to its end: {self._last_words()}")
            image = self.flash() if self.machine.image_bytes else None
            self.debugger.send("D")
        try:
            said, words = self.process.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.elf} does not end: {self.said.decode(errors='replace')[-500:]}") from None
        self.said += said or b""
        self.words = words.decode(errors="replace")
        return self.said, self.process.returncode, image

    def _last_words(self):
        words = self.process.stderr.read() if self.process.poll() is not None else b""
        return (self.console() + words).decode(errors="replace")[-500:]


def run(machine, elf, image=None, arguments=()):
    """One life from power-on to the end of the firmware: what it said, exit status, flash at the end."""
    with Emulator(machine, elf, image, arguments) as emulator:
        return emulator.to_the_end()


def every_operation(machine, elf, image=None):
    """Runs the firmware and yields, before each operation that changes the flash, the flash as it is and what was said; at last
    the same at the firmware's end."""
    with Emulator(machine, elf, image) as emulator:
        names = symbols(elf)
        emulator.debugger.stop_at(names["flash_operation"])
        emulator.debugger.stop_at(names["firmware_ends"])
        end = names["firmware_ends"]
        while True:
            if not emulator.debugger.go_on():
                raise Failed(f"{elf} did not come to its end: {emulator._last_words()}")
            yield emulator.flash(), emulator.console()
            if emulator.debugger.stands_at(end):
                return
            emulator.debugger.ask("s")  # away from the stop


def spans(machine, elf, image=None):
    """Executed instructions of each span of the firmware, by the plugin; what it said, and its exit status."""
    names = symbols(elf)
    plugin = f"{HOME}/libinstructions.so,begin={names['span_begin']:#x},end={names['span_end']:#x}"
    with Emulator(machine, elf, image, ["-plugin", plugin], debugged=False) as emulator:
        said, status, _ = emulator.to_the_end()
        counts = [int(count) for count in re.findall(r"^span \d+: (\d+) instructions", emulator.words, re.M)]
        return counts, said, status
