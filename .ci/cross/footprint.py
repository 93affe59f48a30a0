#!/usr/bin/env python3
"""footprint.py FOLDER: measures the programs of bench/footprint that were built into FOLDER, compares the figures with those pinned in
bench/footprint/pinned.json, and the tables of docs/footprint.md with the pinned figures. Each version of the compiler has its own.

A figure may be as much larger than the pinned one as EVENKEEL_FOOTPRINT_TOLERANCE says, in per cent, 25 if it says nothing. With 2 it
may not be smaller either: for when the recovery of the log stands still.

With EVENKEEL_PIN=1 pins what it has measured and writes the tables.
"""

import json
import os
import pathlib
import re
import subprocess
import sys

import emulator

TOLERANCE = float(os.environ.get("EVENKEEL_FOOTPRINT_TOLERANCE", "25")) / 100
# From this on a figure may be smaller without being pinned anew.
LOOSE = 0.05
CORES = {"M4": ("mps2", "thumbv7em-none-eabihf"), "M0": ("microbit", "thumbv6m-none-eabi")}
SYSTEMS = {
    "log_evenkeel": "evenkeel",
    "log_queue": "sequential-storage",
    "log_queue_cached": "sequential-storage, page states and pointers",
    "log_sensor_db": "sensor-db",
    "log_ekv": "ekv",
}
DEVICES = {"device": "cold-chain device", "device_sync": "the same with sync"}
# The spans in their order, and by how many events a count is divided.
SPANS = {"append16": 200, "append64": 200, "iterate": 600, "acknowledge": 1, "mount": 1, "load": 150}
# What the project aims at: bytes.
TARGETS = {"log": 5 * 1024, "device": 16 * 1024, "ram": 1024, "stack": 1024}

ROOT = pathlib.Path(__file__).resolve().parents[2]
PINNED = ROOT / "bench/footprint/pinned.json"
PAGE = ROOT / "docs/footprint.md"
BEGIN, END = "<!-- made by .ci/cross/footprint.py -->\n", "<!-- end -->\n"


def flash_bytes(elf):
    """Code, constants and initial values."""
    kept = {".vector_table", ".text", ".rodata", ".data"}
    lines = subprocess.run(["size", "-A", str(elf)], capture_output=True, text=True, check=True).stdout.splitlines()
    return sum(int(line.split()[1]) for line in lines if line.split()[:1] and line.split()[0] in kept)


def measure(folder):
    """All figures by name."""
    figures = {}
    for core, (machine, target) in CORES.items():
        path = folder / target / "release"
        nothing = flash_bytes(path / "nothing")
        for program in SYSTEMS:
            figures[f"{core} {program} code"] = flash_bytes(path / program) - nothing
            counts, said, _ = emulator.spans(machine, path / program)
            held = int(re.search(rb"^events (\d+)$", said, re.M)[1]) if b"events" in said else 0
            for (span, events), count in zip(SPANS.items(), counts):
                events = held if span == "iterate" and held else events
                figures[f"{core} {program} {span}"] = round(count / events)
            depths(figures, core, program, said)
        for program in DEVICES:
            said, status, _ = emulator.run(machine, path / program)
            if status != 0:
                raise emulator.Failed(f"{program} failed on {machine}: {said.decode()}")
            figures[f"{core} {program} code"] = flash_bytes(path / program) - nothing
            depths(figures, core, program, said)
    return figures


def depths(figures, core, program, said):
    """What a program tells of memory and stack."""
    text = said.decode(errors="replace")
    for name, depth in re.findall(r"^stack (\w+) (\d+)$", text, re.M):
        figures[f"{core} {program} stack {name}"] = int(depth)
    for ram in re.findall(r"^ram (\d+)$", text, re.M):
        figures[f"{core} {program} ram"] = int(ram)


def table(heads, rows):
    lines = ["| " + " | ".join(heads) + " |", "| --- " + "| ---: " * (len(heads) - 1) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def render(figures):
    """The generated part of the page."""
    def shown(core, program, what):
        figure = figures.get(f"{core} {program} {what}")
        return "" if figure is None else f"{figure:,}"

    parts = []
    for core, (_, target) in CORES.items():
        parts.append(f"### Cortex-{core} ({target})\n")
        parts.append(table(
            ["system", "code, B", "RAM, B", *(f"{span}, instructions" for span in SPANS)],
            [[name, shown(core, program, "code"), shown(core, program, "ram"),
              *(shown(core, program, span) for span in SPANS)] for program, name in SYSTEMS.items()]))
        parts.append("Deepest stack in each call, B:\n")
        parts.append(table(
            ["system", *SPANS],
            [[name, *(shown(core, program, f"stack {span}") for span in SPANS)] for program, name in SYSTEMS.items()]))
        calls = ["format", "record", "acknowledge", "maintain", "section", "load", "mount", "with"]
        parts.append(table(
            ["device", "code, B", "RAM, B", *(f"stack: {'sync' if call == 'with' else call}" for call in calls)],
            [[name, shown(core, program, "code"), shown(core, program, "ram"),
              *(shown(core, program, f"stack {call}") if (call, program) != ("with", "device") else "" for call in calls)]
             for program, name in DEVICES.items()]))
    parts.append("### Targets\n")
    peers = [program for program in SYSTEMS if program != "log_evenkeel"]
    rows = []

    def judge(what, figure, target):
        rows.append([what, f"{figure:,}", f"{target:,}", "met" if figure <= target else f"**missed** {figure / target:.1f} times"])

    judge("code of the log on M4: append, iterate, acknowledge (and mount), B", figures["M4 log_evenkeel code"], TARGETS["log"])
    judge("code of the cold-chain device on M4, application included, B", figures["M4 device code"], TARGETS["device"])
    judge("RAM of the device on M4 beside scratch, B", figures["M4 device ram"], TARGETS["ram"])
    stack = max(figure for name, figure in figures.items() if name.startswith("M4 device stack"))
    judge("deepest stack of the device on M4, B", stack, TARGETS["stack"])
    for core in CORES:
        for size in ("append16", "append64"):
            best = min(figures[f"{core} {peer} {size}"] for peer in peers if f"{core} {peer} {size}" in figures)
            judge(f"instructions of {size} on {core}, at most those of the best peer", figures[f"{core} log_evenkeel {size}"], best)
    parts.append(table(["what", "is", "at most", ""], rows))
    return "\n".join(parts)


def render_first(pinned):
    """The tables for the oldest compiler that figures are pinned for."""
    compiler, figures = min(pinned.items())
    return f"Made with rustc {compiler}.\n\n" + render(figures)


def main():
    figures = measure(pathlib.Path(sys.argv[1]))
    compiler = subprocess.run([os.environ.get("RUSTC", "rustc"), "-V"], capture_output=True, text=True, check=True)
    compiler = compiler.stdout.split()[1]
    pinned = json.loads(PINNED.read_text()) if PINNED.exists() else {}
    page = PAGE.read_text()
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    if os.environ.get("EVENKEEL_PIN"):
        pinned[compiler] = figures
        PINNED.write_text(json.dumps(pinned, indent=1, sort_keys=True) + "\n")
        PAGE.write_text(before + BEGIN + render_first(pinned) + END + after)
        return 0
    tables = before + BEGIN + render_first(pinned) + END + after
    pinned = pinned.get(compiler, next(iter(pinned.values())))
    wrong = [f"{name} is {figures.get(name)}, pinned {pinned.get(name)}" for name in sorted(figures.keys() | pinned.keys())
             if name not in figures or name not in pinned
             or figures[name] - pinned[name] > TOLERANCE * pinned[name]
             or TOLERANCE < LOOSE and pinned[name] - figures[name] > TOLERANCE * pinned[name]]
    drifted = sum(abs(figures[name] - pinned[name]) > 0.02 * pinned[name] for name in figures.keys() & pinned.keys())
    if page != tables:
        wrong.append("the tables of docs/footprint.md are not those of the pinned figures")
    print(f"{len(figures)} figures, {drifted} of them more than 2 % away", *wrong, sep="\n")
    if wrong:
        print("if this is meant: EVENKEEL_PIN=1 .ci/firmware footprint, and commit what changes")
    return 1 if wrong else 0


sys.exit(main())
