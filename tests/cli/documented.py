# SPDX-License-Identifier: LGPL-2.1-or-later
"""Holds JSON output to docs/json.md: every member must be named there under its verb."""
import os
import re

from clitest import SOURCE, expect

FREE = {"image"}  # members whose content is not ours to document


def documented(title):
    with open(os.path.join(SOURCE, "docs", "json.md")) as f:
        text = f.read()
    rules, sections = text.split("\n## ", 1)
    section = next(s for s in sections.split("\n## ") if s.startswith("`" + title))
    names = set(re.findall(r"`([a-z_]+)`", section))
    if "as above" in section:
        names |= documented("vms list")
    return names | {"format"}


def walk(title, names, value):
    expect(value is not None, "null in " + title)
    if isinstance(value, list):
        for inner in value:
            walk(title, names, inner)
    elif isinstance(value, dict):
        for name, inner in value.items():
            expect(name in names, "%s: member %s is not in docs/json.md" % (title, name))
            if name not in FREE:
                walk(title, names, inner)


def check_documented(title, data):
    expect(data["format"] == 1, data)
    walk(title, documented(title), data)
