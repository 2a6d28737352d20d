#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Counts test cases: TAP points, from meson's log (testlog.json) or from plain TAP files.

report.py [--skips-fail] FILE...    prints "PASSED FAILED SKIPPED", what failed, and why something was skipped (stderr)
"""

import json
import re
import sys

POINT = re.compile(r"^(not )?ok\b(.*)$")
MESON_GOOD = ("OK", "EXPECTEDFAIL", "SKIP")


class Count:
    """What was seen so far."""

    def __init__(self):
        self.passed = 0
        self.failed = 0
        self.skipped = 0

    def tap(self, name, text):
        """Adds the points of a TAP text; returns how many there were and how many of them failed."""
        points = failed = 0
        notes = []
        for line in text.splitlines():
            found = POINT.match(line)
            if not found:
                notes.append(line)
                continue
            points += 1
            skip = re.search(r"#\s*skip\S*\s*(.*)", found.group(2), re.I)
            if found.group(1):
                failed += 1
                self.failed += 1
                print(f"FAILED {name}:{found.group(2)}", file=sys.stderr)
                print("\n".join(f"    {note}" for note in notes[-40:]), file=sys.stderr)
            elif skip:
                self.skipped += 1
                print(f"SKIPPED {name}:{found.group(2)}", file=sys.stderr)
            else:
                self.passed += 1
            notes = []
        return points, failed

    def meson(self, entry):
        """Adds one line of meson's log: a whole test program."""
        text = entry.get("stdout") or ""
        points, failed = self.tap(entry["name"], text) if re.search(r"^1\.\.\d+|^TAP version", text, re.M) else (0, 0)
        if entry["result"] not in MESON_GOOD and not failed:
            # it crashed, leaked, hung or ended early: its points alone do not tell
            self.failed += 1
            print(f"FAILED {entry['name']}: {entry['result']}", file=sys.stderr)
            tail = (text + (entry.get("stderr") or "")).splitlines()[-60:]
            print("\n".join(f"    {line}" for line in tail), file=sys.stderr)
        elif points == 0 and entry["result"] == "SKIP":
            self.skipped += 1
            print(f"SKIPPED {entry['name']}: {text.strip().splitlines()[-1:]}", file=sys.stderr)
        elif points == 0 and entry["result"] in MESON_GOOD:
            self.passed += 1


def main(arguments):
    count = Count()
    skips_fail = arguments[:1] == ["--skips-fail"]
    for path in arguments[1:] if skips_fail else arguments:
        with open(path, encoding="utf-8", errors="replace") as stream:
            if path.endswith(".json"):
                for line in stream:
                    count.meson(json.loads(line))
            else:
                count.tap(path.rsplit("/", 1)[-1].removesuffix(".tap"), stream.read())
    if skips_fail:
        count.failed += count.skipped
        count.skipped = 0
    print(count.passed, count.failed, count.skipped)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
