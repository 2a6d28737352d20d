# SPDX-License-Identifier: LGPL-2.1-or-later
"""Hostile names (and near misses) as the NAME of every verb: refused as such, never a crash, nothing made."""
import os
import random
import re

from clitest import VERBS_COMMAND, Home, all_verbs, expect, main

NAMES = ["", ".", "..", "../x", "a/b", "/abs", "a\nb", "a\r", "-x", "--config", "-oProxyCommand=id", "a;b", "a|b", "$(id)",
         "a*b", "a b", "a'b", 'a"b', "<a>", "&amp;", "]]>", "%n", "\u00e9", "\uff41", "CON", "aux.txt", "a:b", "@", "#", "{}",
         "~", ".hidden", "x" * 32, "x" * 63, "x" * 64, "x" * 255, "x" * 256, "x" * 4096,
         "1", "123", "0x10", "c7a5fdbd-edaf-9455-926a-d65c16db1809", "Work", "WORK", "default", "all", "host", "base",
         "a\x1b[31m", "a\u202eb", "a\u200bb", "work-", b"\xff", b"a\x80"]
# what each verb needs besides NAME
REST = {"clone": ["copy"], "destroy": ["--yes"], "recreate": ["--yes"], "cp": None,
        "help": None, "completion": None, "image": None, "profile": None, "edit": []}
VERBS = [(v, s) for v, s, usage in all_verbs() if "NAME" in usage and REST.get(v, []) is not None]


FULL = os.environ.get("VMS_TESTS_FULL") == "yes"
SEED = os.environ.get("VMS_TESTS_SEED", "1")
SAMPLE = 16


def names_for(what):
    """All of them, or a sample of its own for each verb."""
    return NAMES if FULL else random.Random(SEED + what).sample(NAMES, SAMPLE)


def good(name):
    """Names that are fine but belong to nobody."""
    return isinstance(name, str) and name in ("x" * 31, "work-")


def state_of(home):
    return sorted(os.path.join(d, f) for d, _, files in os.walk(home.path) for f in files if not f.endswith(".lock"))


def check_verb(verb, sub):
    home = Home()
    before = state_of(home)
    for name in names_for(verb):
        options = [w for w in REST.get(verb, []) if w == "--yes"]
        rest = [w for w in REST.get(verb, []) if w != "--yes"]
        if verb in VERBS_COMMAND:  # there "--" begins the command
            args = [verb, name, "--", "true"]
        else:
            args = [verb] + ([sub] if sub else []) + options + ["--", name] + rest
        if verb == "create" and good(name) or verb == "edit" and name == "base":
            continue
        r = home.vms(*args, env={"EDITOR": "true"})
        allowed = (2, 3)
        if verb in VERBS_COMMAND:  # of the well formed ones some are reserved words, and of the others there is no machine
            allowed = (2, 125) if isinstance(name, str) and re.fullmatch("[a-z][a-z0-9-]{0,30}", name) else (2,)
        expect(r.status in allowed, "%s %r: %r" % (verb, name, r))
        expect(r.err.startswith("vms: "), "%s %r: %r" % (verb, name, r))
        expect(not any(ord(c) < 32 and c not in "\n\t" for c in r.err) and "\u202e" not in r.err, (name, r.err))
    expect(state_of(home) == before, "left behind: %s" % set(state_of(home)).difference(before))


for _verb, _sub in VERBS:
    globals()["test_" + _verb.replace("-", "_")] = (lambda v=_verb, s=_sub: check_verb(v, s))
    globals()["test_" + _verb.replace("-", "_")].__name__ = "test_" + _verb.replace("-", "_")


def test_clone_to_a_bad_name():
    home = Home()
    for name in names_for("to clone"):
        r = home.vms("clone", "--", "work", name)
        expect(r.status in (2, 3, 4), "%r: %r" % (name, r))


def test_cp_with_a_bad_name():
    home = Home()
    for name in names_for("cp"):
        if isinstance(name, bytes) or "/" in name or name in ("", "a:b") or name == ".":
            continue
        r = home.vms("cp", "--", name + ":x", "y")
        expect(r.status in (2, 3), "%r: %r" % (name, r))


def test_profile_verbs_with_a_bad_name():
    home = Home()
    for name in names_for("profile"):
        for sub in ("show", "new"):
            r = home.vms("profile", sub, "--", name, uri=None)
            expect(r.status in (2, 3) or (name == "work-" and sub == "new") or (name == "base" and r.status in (0, 4)),
                   "%s %r: %r" % (sub, name, r))


print("# %s, seed %s" % ("all %d names" % len(NAMES) if FULL else "%d of %d names" % (SAMPLE, len(NAMES)), SEED))
main(globals())
