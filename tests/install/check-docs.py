#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The commands that the pages show exist: check-docs.py VMS FILE...

Each `vms ...` in an indented block or between backquotes is looked up in `vms help`: its verb, its subverb, its options. Relative
links must lead to files.
"""

import os
import re
import shlex
import subprocess
import sys

HIDDEN = ("--steps",)  # for tests; help does not tell of it


def help_text(vms, words):
    done = subprocess.run([vms, "help", *words], capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else None


def commands(text):
    """Every command line of vms in a page."""
    for line in re.findall(r"^    (.+)$", text, re.M) + re.findall(r"`([^`\n]+)`", text):
        for part in re.split(r"&&|\|\||;", line.split(" #")[0]):
            if re.match(r"\s*vms(\s|$)", part):
                yield part.strip()


def problem(vms, line):
    """What is wrong with the command, None if nothing."""
    try:
        words = shlex.split(line.rstrip("./,"))
    except ValueError:  # cut within quotes: what is for the guest's shell
        words = line.split()
    words = [word.strip("[]") for word in words[1:]]
    while words and words[0] in ("-c", "--passphrase-fd", "-q", "-v"):
        words = words[1:] if words[0] in ("-q", "-v") else words[2:]
    if not words or not re.match(r"^[a-z-]+$", words[0]):
        return None
    text = None
    for verb in (words[:2], words[:1]):
        text = text or help_text(vms, verb)
    if not text:
        return "there is no such verb"
    before_command = words[: words.index("--")] if "--" in words else words
    for option in before_command:
        if re.match(r"--[a-z]", option) and option not in HIDDEN and option.split("=")[0] not in text:
            return f"it has no option {option}"
    return None


def main(vms, files):
    results = []
    for path in files:
        with open(path, encoding="utf-8") as stream:
            text = stream.read()
        wrong = [f"`{line}`: {what}" for line in commands(text) if (what := problem(vms, line))]
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            if not os.path.exists(os.path.join(os.path.dirname(path), target)):
                wrong.append(f"link to {target}: no such file")
        results.append((os.path.basename(path), len(list(commands(text))), wrong))
    print(f"1..{len(results) + 1}")
    for number, (name, _, wrong) in enumerate(results, 1):
        print("".join(f"# {line}\n" for line in wrong) + f"{'not ok' if wrong else 'ok'} {number} - {name}")
    enough = sum(count for _, count, _ in results) >= 20 and problem(vms, "vms no-such-verb") and problem(vms, "vms list --no-such")
    print(f"{'ok' if enough else 'not ok'} {len(results) + 1} - commands were found, and wrong ones are seen")
    return 0 if enough and not any(wrong for _, _, wrong in results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
