#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The symbols that libsandbox exports are those that its public headers declare, no more and no fewer.

    test-map.py LIBRARY MAP HEADER-DIRECTORY
"""
import os
import re
import subprocess
import sys


def declared(paths):
    names = set()
    for path in paths:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
        text = re.sub(r"//[^\n]*", "", text)
        text = re.sub(r"^#(?:[^\n]*\\\n)*[^\n]*", "", text, flags=re.M)
        names |= set(re.findall(r"\b(sandbox_\w+)\s*\(", text))
    return names


def listed(path):
    with open(path, encoding="utf-8") as file:
        return re.findall(r"^\s+(sandbox_\w+);$", file.read(), flags=re.M)


def exported(path):
    out = subprocess.run(["nm", "-D", "--defined-only", path], check=True, capture_output=True, text=True).stdout
    names = {line.split()[-1].split("@")[0] for line in out.splitlines()}
    return {name for name in names if not name.startswith("LIBSANDBOX_")}


def main():
    library, map_file, directory = sys.argv[1:4]
    headers = [os.path.join(directory, name) for name in os.listdir(directory) if name.endswith((".h", ".h.in"))]
    want, names, have = declared(headers), listed(map_file), exported(library)
    checks = [
        ("the headers declare functions", len(want) > 50, ""),
        ("the map lists what the headers declare", set(names) == want, sorted(set(names) ^ want)),
        ("the map is sorted and lists nothing twice", names == sorted(set(names)), ""),
        ("the library exports what the headers declare", have == want, sorted(have ^ want)),
    ]
    print(f"1..{len(checks)}")
    for number, (text, good, detail) in enumerate(checks, 1):
        print(f"{'ok' if good else 'not ok'} {number} - {text}")
        if not good:
            print(f"# {detail}")
    return 0


sys.exit(main())
