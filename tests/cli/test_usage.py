# SPDX-License-Identifier: LGPL-2.1-or-later
"""Help, usage errors, exit statuses, manual pages and completion of the real binary."""
import os
import re
import shutil
import subprocess

from clitest import SOURCE, VERBS_COMMAND, VMS, Home, all_verbs, expect, expect_status, main

VERBS = all_verbs()


def words(verb, sub):
    return [verb, sub] if sub else [verb]


def test_alone_says_what_to_do_first():
    r = Home().vms(uri=None)
    expect_status(r, 0)
    expect("vms start work" in r.out and r.err == "", r)


def test_the_verbs_of_this_version_are_there():
    have = {" ".join(words(v, s)) for v, s, _ in VERBS}
    want = """create edit clone export import list status start stop restart suspend resume destroy recreate provision run ssh exec cp console logs key ssh-config pull
        diff apply discard verify doctor help version completion""".split() + ["image " + w for w in "build list show remove prune".split()] + [
        "profile " + w for w in "list show new check keys diff".split()] + [
        "forward " + w for w in "list add remove".split()] + ["share " + w for w in "list add remove".split()] + ["snapshot " + w for w in "create list diff delete".split()] + ["revert"]
    expect(have == set(want), "missing %s, new %s" % (set(want) - have, have - set(want)))


def test_a_variable_that_is_not_set():
    home = Home()
    for words in (["exec", "nowhere"], ["run"]):
        r = home.vms(*words, "--env", "TOKEN_8842", "--", "true")
        expect_status(r, 2)
        expect("there is no variable TOKEN_8842 here" in r.err and "--env TOKEN_8842=VALUE" in r.err, r)
    r = home.vms("exec", "nowhere", "--env", "TOKEN_8842", "--", "true", env={"TOKEN_8842": ""})
    expect("nowhere" in r.err and "TOKEN_8842" not in r.err, r)


def test_help_for_every_verb():
    home = Home()
    for verb, sub, usage in VERBS:
        expect(usage.startswith("vms " + " ".join(words(verb, sub))), usage)
        one = home.vms(*words(verb, sub), "--help", uri=None)
        two = home.vms("help", *words(verb, sub), uri=None)
        expect_status(one, 0)
        expect(one.out == two.out and one.err == two.err == "", (one, two))
        expect(max(len(line) for line in one.out.splitlines()) <= 80, one)
        # also after everything else, and in spite of what is missing
        expect(home.vms(*words(verb, sub), "-h", uri=None).out == one.out, usage)


def test_help_for_families_and_for_all():
    home = Home()
    for family in ("image", "profile", "forward"):
        expect(home.vms("help", family, uri=None).out == home.vms(family, "--help", uri=None).out, family)
    expect(home.vms("help", uri=None).out == home.vms("--help", uri=None).out, "help")
    expect_status(home.vms("help", "nonsense", uri=None), 2)
    expect_status(home.vms("help", "image", "nonsense", uri=None), 2)


def test_unknown_options_and_too_many_words():
    home = Home()
    for verb, sub, usage in VERBS:
        r = home.vms(*words(verb, sub), "--no-such-option")
        expect_status(r, 2)
        expect(r.err.startswith("vms: ") and "usage: vms " + verb in r.err and r.out == "", r)
        if "..." not in usage and verb not in VERBS_COMMAND:
            expect_status(home.vms(*words(verb, sub), *["x"] * 9), 2)
        if re.search(r" ([A-Z]|bash)", usage.replace(" [-- COMMAND...]", "")):
            r = home.vms(*words(verb, sub))
            expect_status(r, 2)
            expect("missing" in r.err, r)


def test_json_only_where_it_is_promised():
    home = Home()
    for verb, sub, usage in VERBS:
        offers = "--json" in home.vms(*words(verb, sub), "--help", uri=None).out
        shows = (verb, sub) in [("list", None), ("status", None), ("start", None), ("pull", None), ("verify", None), ("diff", None), ("doctor", None), ("version", None),
                                ("image", "list"), ("image", "show"), ("profile", "list"), ("profile", "show"),
                                ("profile", "check"), ("profile", "keys"), ("profile", "diff"), ("forward", "list"), ("share", "list"),
                                ("snapshot", "list"), ("snapshot", "diff"), ("image", "prune")]
        expect(offers == shows, (verb, sub))


def test_closed_descriptors_are_no_one_elses():
    """Started with 0, 1 or 2 closed, as by cron or a daemon: what is said must not land in a lock, a pipe or a socket."""
    home = Home()
    for closed in (">&- 2>&-", "<&- >&- 2>&-", "<&-", "2>&-"):
        for argv, status in ((["list"], 0), (["status", "absent"], 3), (["create", "absent/x"], 2)):
            r = subprocess.run(["sh", "-c", 'exec "$@" ' + closed, "sh", VMS, "-c", "test:///default"] + argv,
                               env=home.env, capture_output=True, timeout=60)
            expect(r.returncode == status, (closed, argv, r))


def test_did_you_mean():
    home = Home()
    for argv, nearest in ((["strat", "work"], "start"), (["lsit"], "list"), (["proflie", "list"], "profile"),
                          (["profile", "lits"], "profile list"), (["start", "--dryrun", "work"], "--dry-run"),
                          (["profile", "show", "wrok"], "work"), (["edit", "personnal"], "personal")):
        r = home.vms(*argv, uri=None)
        expect(r.status in (2, 3) and nearest in r.err, (argv, r))


def test_a_family_alone_is_a_usage_error():
    for family in ("image", "profile"):
        r = Home().vms(family, uri=None)
        expect_status(r, 2)
        expect("subverb is missing" in r.err, r)


def test_version():
    home = Home()
    r = home.vms("version", uri=None)
    expect_status(r, 0)
    expect(re.match(r"vms \d+\.\d+\.\d+, libsandbox \d+\.\d+\.\d+\n$", r.out), r)
    expect(home.vms("--version", uri=None).out == r.out, "--version")
    expect(set(home.vms("version", "--json", uri=None).json()) == {"format", "vms", "libsandbox"}, "json")


def test_control_characters_do_not_reach_the_terminal():
    r = Home().vms("start\x1b]52;c;aGk=\x07", uri=None)
    expect_status(r, 2)
    expect("\x1b" not in r.err and "\\x1b" in r.err, r)
    r = Home().vms(b"\xff\xfe", uri=None)
    expect_status(r, 2)


def test_output_that_cannot_be_written_is_a_failure():
    home = Home()
    with open("/dev/full", "w") as full:
        done = subprocess.run([VMS, "help"], stdout=full, stderr=subprocess.PIPE, env=home.env)
    expect(done.returncode == 1 and b"No space" in done.stderr, done)
    # a reader that goes away is no news
    done = subprocess.run(["bash", "-c", '"$1" help | head -n 1; echo "${PIPESTATUS[0]}"', "-", VMS], env=home.env,
                          capture_output=True)
    expect(done.stderr == b"" and done.stdout.splitlines()[-1] in (b"0", b"1"), done)


def test_manual_pages_render_without_warnings():
    expect(shutil.which("man") and shutil.which("groff"), "man and groff are needed")
    home = Home()
    for page in ("vms.1", "vms.profile.5"):
        r = home.vms("manual", os.path.join(SOURCE, "docs", "man", page + ".in"), uri=None)
        expect_status(r, 0)
        path = os.path.join(home.path, page)
        with open(path, "w") as f:
            f.write(r.out)
        for width in ("60", "80", "132"):
            done = subprocess.run(["man", "--warnings=w", "-l", path], capture_output=True,
                                  env=dict(home.env, MANWIDTH=width, LC_ALL="C.UTF-8", PAGER="cat", MAN_KEEP_FORMATTING=""))
            expect(done.returncode == 0 and done.stderr == b"", done.stderr)
            expect(len(done.stdout) > 1000 and b"@" not in done.stdout.replace(b"user@", b""), page)


def test_manual_page_has_every_verb_and_option():
    home = Home()
    text = home.vms("manual", os.path.join(SOURCE, "docs", "man", "vms.1.in"), uri=None).out.replace("\\-", "-")
    for verb, sub, _ in VERBS:
        expect("\\fBvms %s\\fR" % " ".join(words(verb, sub)) in text, (verb, sub))
        for option in re.findall(r"--[a-z-]+ ?", home.vms(*words(verb, sub), "--help", uri=None).out):
            expect(option.strip() in text, (verb, option))


def complete(home, line):
    """What bash offers for LINE, with the script as it is printed."""
    script = home.vms("completion", "bash", uri=None).out
    # outside of a real completion there is nothing that compopt could set
    code = script + """
compopt () { :; }
PATH=%s:$PATH
read -r -a COMP_WORDS <<< "$1"
[[ $1 == *' ' ]] && COMP_WORDS+=("")
COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 )) COMP_LINE=$1 COMP_POINT=${#1}
_vms vms "${COMP_WORDS[COMP_CWORD]}" ""
printf '%%s\\n' "${COMPREPLY[@]}"
""" % os.path.dirname(VMS)
    done = subprocess.run(["bash", "-c", code, "-", line], env=home.env, cwd=home.path, capture_output=True, text=True)
    expect("line" not in done.stderr, done.stderr)
    return set(done.stdout.split("\n")) - {""}


def test_completion():
    home = Home()
    home.write("shop.profile", "[profile]\ninherits=work\n")
    expect({"start", "status", "ssh", "ssh-config", "stop"} <= complete(home, "vms s"), complete(home, "vms s"))
    expect("complete" not in complete(home, "vms comp"), "hidden verbs stay hidden")
    expect(complete(home, "vms sta") == {"start", "status"}, complete(home, "vms sta"))
    expect(complete(home, "vms image ") == {"build", "list", "show", "remove", "prune"}, complete(home, "vms image "))
    expect(complete(home, "vms help image b") == {"build"}, complete(home, "vms help image b"))
    expect({"work", "personal", "shop"} <= complete(home, "vms start "), complete(home, "vms start "))
    expect(complete(home, "vms start sh") == {"shop"}, complete(home, "vms start sh"))
    expect(complete(home, "vms start --dry") == {"--dry-run"}, complete(home, "vms start --dry"))
    expect("work" in complete(home, "vms create x --profile w"), complete(home, "vms create x --profile w"))
    expect("debian-13" in complete(home, "vms image build "), complete(home, "vms image build "))
    os.mkdir(os.path.join(home.path, "some dir"))
    expect("some dir" in complete(home, "vms start work --share "), complete(home, "vms start work --share "))
    expect("work:" in complete(home, "vms cp wo"), complete(home, "vms cp wo"))


def test_completion_evaluates_nothing():
    home = Home()
    for name in ("$(touch pwned).profile", "`touch pwned`.profile", "a;touch pwned.profile"):
        home.write(name, "[profile]\n")
    for line in ("vms start ", "vms start $(touch", "vms cp "):
        complete(home, line)
    expect(not os.path.exists(os.path.join(home.path, "pwned")), "a file name was run")


main(globals())
