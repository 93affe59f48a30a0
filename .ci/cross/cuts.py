#!/usr/bin/env python3
"""cuts.py MACHINE ELF CUTS: takes the power of the cold-chain firmware at operations of its flash, all over its life, starts it
again from the flash as it was left, and compares what the log holds with what the firmware had said was durable.

Half of the cuts fall between two operations, the others into one: of the bits that it was to change some are, by chance. After
every fourth the power is taken again in the recovery. What must hold, for each life:

G1  each event that the firmware had said was kept is there, unless it was let go after it was acknowledged
G2  what is there ends where an append ended
G3  every event is the one of this position in a life without cuts, also after the journey has gone on to its end
"""

import concurrent.futures
import os
import random
import re
import sys

import emulator


class Journey:
    """A life without a cut: what each position holds, and where appends ended."""

    def __init__(self, said):
        self.events, self.ends = {}, {0}
        group = []
        for line in said.decode().splitlines():
            word, *rest = line.split()
            if word == "kept":
                position, stream = int(rest[0]), rest[1]
                self.events[position] = tuple(rest[1:])
                group.append((position, stream))
            elif word == "done":
                # A command is one append; each reaction of the alarm, in stream 2, is another.
                commanded = [position for position, stream in group if stream != "2"]
                self.ends.update(commanded[-1:])
                self.ends.update(position for position, stream in group if stream == "2")
                group = []
        self.last = max(self.events)


class Life:
    """What a firmware has said between power-on and its end, or the cut."""

    def __init__(self, said):
        text = said.decode(errors="replace")
        # Only whole lines were said for sure.
        self.lines = text[:text.rfind("\n") + 1].splitlines()
        self.kept = max((int(line.split()[1]) for line in self.lines if line.startswith("kept ")), default=0)
        self.acknowledged = max((int(line.split()[1]) for line in self.lines if line.startswith("acknowledged ")), default=0)


def held(lines):
    """What the log held at each time that the firmware told: first and next position, tracker, events."""
    found = []
    for line in lines:
        word, *rest = line.split()
        if word == "bounds":
            first, following, tracked = (int(number) for number in re.findall(r"\d+", line))
            found.append((first, following, tracked, {}))
        elif word == "held":
            found[-1][3][int(rest[0])] = tuple(rest[1:])
    return found


def broken_promises(journey, kept, acknowledged, said, status):
    """What is wrong with a life after a cut, before which so many events were kept and acknowledged."""
    life = Life(said)
    wrong = [line for line in life.lines if line.split()[0] in ("gap", "unknown", "failed:", "FAILED")]
    if status != 0 or "arrived" not in life.lines:
        wrong.append(f"it did not arrive, status {status}: {life.lines[-1:]}")
    told = held(life.lines)
    if len(told) != 2:
        return [*wrong, f"it told {len(told)} times what it holds"]
    first, following, tracked, _ = told[0]
    if following <= kept:
        wrong.append(f"G1: {kept} was kept, the log ends before {following}")
    if tracked < acknowledged:
        wrong.append(f"G1: {acknowledged} was acknowledged, the tracker stands at {tracked}")
    if first > max(tracked, acknowledged) + 1:
        wrong.append(f"G1: the log begins at {first}, acknowledged up to {tracked}")
    if following - 1 not in journey.ends:
        wrong.append(f"G2: the log ends with {following - 1}, where no append ended")
    for first, following, _, events in told:
        if list(events) != list(range(first, following)):
            wrong.append(f"G1: of {first} to {following - 1} these are there: {sorted(events)}")
        wrong += [f"G3: {position} holds {event}, not {journey.events.get(position)}"
                  for position, event in events.items() if journey.events.get(position) != event]
    if following - 1 != journey.last:
        wrong.append(f"G3: the journey ended with {following - 1}, not {journey.last}")
    for line in life.lines:
        if line.startswith("kept "):
            _, position, *event = line.split()
            if journey.events.get(int(position)) != tuple(event):
                wrong.append(f"G3: {position} was kept as {event}, not {journey.events.get(int(position))}")
    return wrong


def torn(before, after, dice):
    """A flash in which an operation was cut off: some of the bits that it was to change are changed."""
    changed = [at for at in range(len(before)) if before[at] != after[at]]
    mixed = bytearray(before)
    if dice.random() < 0.3:
        changed = changed[:dice.randrange(len(changed) + 1)]
        for at in changed:
            mixed[at] = after[at]
    else:
        for at in changed:
            mixed[at] ^= (before[at] ^ after[at]) & dice.randrange(256)
    return bytes(mixed)


def cut(lives, number, dice):
    """The flash after a cut before or in this operation of a life, and what had been said."""
    flash, said = lives[number]
    if dice.random() < 0.5 or number + 1 == len(lives):
        return flash, said
    return torn(flash, lives[number + 1][0], dice), said


def try_cut(machine, elf, journey, lives, number):
    """One device whose power is taken at this operation, and for every fourth again in its recovery: what is wrong, and how many
    cuts that were."""
    dice = random.Random(number)
    flash, said = cut(lives, number, dice)
    first, cuts = Life(said), 1
    kept, acknowledged = first.kept, first.acknowledged
    if number % 4 == 0:
        recovery = []
        for operation in emulator.every_operation(machine, elf, flash):
            recovery.append(operation)
            if len(recovery) > 12:
                break
        flash, said = cut(recovery, dice.randrange(len(recovery)), dice)
        second, cuts = Life(said), 2
        kept, acknowledged = max(kept, second.kept), max(acknowledged, second.acknowledged)
    said, status, _ = emulator.run(machine, elf, flash)
    wrong = broken_promises(journey, kept, acknowledged, said, status)
    return cuts, [f"operation {number}: {reason}" for reason in wrong]


def main():
    machine, elf, wanted = sys.argv[1], sys.argv[2], int(sys.argv[3])
    lives = list(emulator.every_operation(machine, elf))
    said, status, _ = emulator.run(machine, elf)
    journey = Journey(said)
    wrong = broken_promises(journey, 0, 0, said, status)
    if os.environ.get("EVENKEEL_CUTS") == "all":
        wanted = len(lives)
    # Spread over the life, at places of their own in each stretch.
    numbers = sorted({min(len(lives) - 1, (2 * at + 1) * len(lives) // (2 * wanted) + at % 3) for at in range(wanted)})
    cuts = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for tried, reasons in pool.map(lambda number: try_cut(machine, elf, journey, lives, number), numbers):
            cuts += tried
            wrong += reasons
    # That this notices a loss: the flash of some operations before is given out for that of a cut.
    late = len(lives) * 3 // 4
    early = next(at for at in range(late, 0, -1) if Life(lives[at][1]).kept < Life(lives[late][1]).kept - 3)
    said, status, _ = emulator.run(machine, elf, lives[early][0])
    after = Life(lives[late][1])
    noticed = any("G1" in reason for reason in broken_promises(journey, after.kept, after.acknowledged, said, status))
    print(*wrong[:20], sep="\n")
    print(f"{len(lives)} operations, {journey.last} events, {cuts} cuts at {len(numbers)} of the operations, {len(wrong)} wrong; "
          f"a loss on purpose is {'noticed' if noticed else 'NOT NOTICED'}")
    sys.exit(0 if not wrong and noticed and cuts >= wanted else 1)


main()
