#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What of a directory the host would run, and what should not be in it: a line each, for comparing before and after.

The names are written down here once more, apart from the library's own table.
"""

import hashlib
import os
import re
import stat
import sys

RUN = re.compile(
    r"(^|/)(\.envrc[. ]?|\.(vscode|husky|devcontainer|cursor|claude|codex|agents|gemini|direnv|idea|cargo|mvn|yarn|local|config"
    r"|factory|qwen|cline|bsp|settings|git-hooks)(/.*)?|\.clinerules/hooks.*|prek\.toml|hk\.pkl|hie\.yaml|rust-analyzer\.toml|\.pnp\.cjs"
    r"|crush\.json|\.crushrc|kilo\.jsonc|renv/activate\.r.*|bin/activate.*|pyvenv\.cfg"
    r"|\.github/hooks.*|node_modules/\.bin.*|\.gitmodules|\.gitattributes|\.mcp\.json|[^/]*\.code-workspace|\.npmrc|\.yarnrc\.yml|\.pnpmfile\.cjs"
    r"|lefthook\.yml|\.pre-commit-config\.yaml|sitecustomize\.py|[^/]*\.pth|\.exrc|\.vimrc|\.nvim\.lua|\.dir-locals\.el|\.gdbinit|\.lldbinit"
    r"|[^/]*\.desktop|head|innocent|aliased|\.irbrc|config/envrc|tools/(hooks|husky|monitor)(/.*)?|later/attributes|\.git)$", re.I)
IN_GIT = re.compile(r"\.git/(.*)$", re.I)
# of a repository, what git may change in it without anything being run
DATA = re.compile(
    r"(modules/[a-z]+/)?(objects(/[0-9a-f]{2}(/.*)?|/pack(/.*)?|/info|/tmp_[^/]*)?|refs(/.*)?|logs(/.*)?|HEAD|ORIG_HEAD|index|index\.lock|COMMIT_EDITMSG)")


def dangerous(path):
    inside = IN_GIT.search(path)
    if inside and not path.startswith("bare.git/"):
        return not DATA.fullmatch(inside.group(1))
    if path.startswith("bare.git/"):
        return not DATA.fullmatch(path.removeprefix("bare.git/"))
    return bool(RUN.search(path))


def describe(path, info):
    if stat.S_ISREG(info.st_mode):
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    return os.readlink(path) if stat.S_ISLNK(info.st_mode) else ""


def look(path, shown):
    info = os.lstat(path)
    odd = not stat.S_ISREG(info.st_mode) and not stat.S_ISDIR(info.st_mode) or info.st_uid == 0 or info.st_mode & 0o6000
    if odd or dangerous(shown) or not re.fullmatch(r"[a-zA-Z0-9._/ ~-]*", shown):
        yield f"{shown!a} {info.st_mode:o} {info.st_uid} {info.st_nlink if stat.S_ISREG(info.st_mode) else ''} {describe(path, info)}"


def main():
    top = sys.argv[1]
    lines = []
    for folder, folders, names in os.walk(top):
        for name in folders + names:
            path = os.path.join(folder, name)
            lines += look(path, os.path.relpath(path, top))
    print("\n".join(sorted(lines)))


main()
