#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Counts test cases: TAP points, from meson's log (testlog.json) or from plain TAP files.

report.py [--skips-fail] FILE...    prints "PASSED FAILED SKIPPED", what failed, and why something was skipped (stderr)
report.py --skipping FILE           prints the names of the test programs that skipped something

A test that ran in several of the files, as different users, counts once: failed if it failed in any, skipped if in all.
"""

import json
import re
import sys

POINT = re.compile(r"^(not )?ok\b\s*(\d*)(.*)$")
MESON_GOOD = ("OK", "EXPECTEDFAIL", "SKIP")
PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


class Results:
    """(program, number of the point) -> (result, text, lines before it)."""

    def __init__(self):
        self.points = {}

    def set(self, program, number, result, text, notes=()):
        worth = (SKIPPED, PASSED, FAILED)
        old = self.points.get((program, number))
        if old is None or worth.index(result) > worth.index(old[0]):
            self.points[(program, number)] = (result, text, notes)

    def tap(self, program, text):
        """Adds the points of a TAP text; returns how many there were and how many of them failed."""
        points = failed = 0
        notes = []
        for line in text.splitlines():
            found = POINT.match(line)
            if not found:
                notes.append(line)
                continue
            points += 1
            failed += bool(found.group(1))
            skip = re.search(r"#\s*skip", found.group(3), re.I)
            result = FAILED if found.group(1) else SKIPPED if skip else PASSED
            self.set(program, found.group(2) or points, result, found.group(3), notes[-40:])
            notes = []
        return points, failed

    def meson(self, entry):
        """Adds one line of meson's log: a whole test program."""
        text = entry.get("stdout") or ""
        tail = (text + (entry.get("stderr") or "")).splitlines()
        is_tap = re.search(r"^1\.\.\d+|^TAP version", text, re.M)
        points, failed = self.tap(entry["name"], text) if is_tap else (0, 0)
        if entry["result"] not in MESON_GOOD and not failed:
            # it crashed, leaked, hung or ended early: its points alone do not tell
            self.set(entry["name"], "end", FAILED, f" ended with {entry['result']}", tail[-60:])
        elif points == 0:
            result = SKIPPED if entry["result"] == "SKIP" else PASSED
            self.set(entry["name"], "whole", result, " " + " ".join(tail[-1:]))

    def read(self, path):
        with open(path, encoding="utf-8", errors="replace") as stream:
            if path.endswith(".json"):
                for line in stream:
                    self.meson(json.loads(line))
            else:
                self.tap(path.rsplit("/", 1)[-1].removesuffix(".tap"), stream.read())

    def count(self, result):
        return sum(1 for have, _, _ in self.points.values() if have == result)

    def tell(self):
        for (program, number), (result, text, notes) in self.points.items():
            if result == PASSED:
                continue
            print(f"{result.upper()} {program}: {number}{text}", file=sys.stderr)
            if result == FAILED:
                print("\n".join(f"    {note}" for note in notes), file=sys.stderr)


def main(arguments):
    results = Results()
    for path in arguments:
        if not path.startswith("--"):
            results.read(path)
    if "--skipping" in arguments:
        programs = {program.split(" / ")[-1] for (program, _), point in results.points.items() if point[0] == SKIPPED}
        print("\n".join(sorted(programs)))
        return 0
    results.tell()
    passed, failed, skipped = (results.count(result) for result in (PASSED, FAILED, SKIPPED))
    if "--skips-fail" in arguments:
        failed, skipped = failed + skipped, 0
    print(passed, failed, skipped)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
