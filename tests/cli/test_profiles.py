# SPDX-License-Identifier: LGPL-2.1-or-later
"""The profile verbs and edit, without any libvirt."""
import os
import re
import stat

from clitest import SOURCE, Home, expect, expect_status, main
from documented import check_documented


def test_list():
    home = Home()
    home.write("shop.profile", "[profile]\ninherits=work\nsummary=The shop\n")
    home.write("bad.profile", "[machine]\ncpus=minus one\n")
    r = home.vms("profile", "list", uri=None)
    expect_status(r, 0)
    for name in ("base", "work", "personal", "credentials", "shop", "bad"):
        expect(re.search(r"^(\x1b\[\d+m)?%s " % name, r.out, re.M), (name, r))
    data = home.vms("profile", "list", "--json", uri=None).json()
    check_documented("vms profile list", data)
    rows = {p["name"]: p for p in data["profiles"]}
    expect(rows["shop"]["user"] and not rows["shop"]["shipped"] and rows["shop"]["inherits"] == "work", rows["shop"])
    expect(rows["work"]["shipped"] and not rows["work"]["user"] and rows["work"]["problem"] == "", rows["work"])
    expect("cpus" in rows["bad"]["problem"], rows["bad"])
    expect([p["name"] for p in data["profiles"]] == sorted(rows), "sorted")


def test_show():
    home = Home()
    home.write("shop.profile", "[profile]\ninherits=work\n\n[machine]\ncpus=3\n")
    r = home.vms("profile", "show", "shop", uri=None)
    expect_status(r, 0)
    expect("cpus=3\n" in r.out and "[share:shared]" in r.out, r)
    r = home.vms("profile", "show", "-v", "shop", uri=None)
    expect(re.search(r"^# .*shop\.profile:5\ncpus=3$", r.out, re.M), r)
    data = home.vms("profile", "show", "shop", "--json", uri=None).json()
    check_documented("vms profile show", data)
    values = {(v["group"], v["key"]): v for v in data["values"]}
    expect(values["machine", "cpus"]["value"] == "3", values)
    expect(values["machine", "cpus"]["origin"].endswith("shop.profile:5"), values["machine", "cpus"])
    expect(re.fullmatch("[0-9a-f]{64}", data["digest"]), data)
    r = home.vms("profile", "show", "shpo", uri=None)
    expect_status(r, 3)
    expect("shop" in r.err, r)


def test_show_is_a_profile_again():
    home = Home()
    one = home.vms("profile", "show", "work", uri=None).out
    path = home.write("copy.profile", one)
    expect_status(home.vms("profile", "check", path, uri=None), 0)
    expect(home.vms("profile", "diff", "work", path, uri=None).out in ("",), "diff of a copy")


def test_new():
    home = Home()
    expect_status(home.vms("profile", "new", "shop", "--profile", "work", uri=None), 0)
    path = os.path.join(home.config, "shop.profile")
    expect(stat.S_IMODE(os.stat(path).st_mode) == 0o600, "mode")
    text = home.read("shop.profile")
    keys = home.vms("profile", "keys", "--json", uri=None).json()["keys"]
    for key in keys:
        expect(re.search("^#?%s=" % key["key"], text, re.M), key)
    expect_status(home.vms("profile", "check", "shop", uri=None), 0)
    expect_status(home.vms("profile", "new", "shop", uri=None), 4)
    expect(home.read("shop.profile") == text, "overwritten")
    expect_status(home.vms("profile", "new", "other", "--profile", "nosuch", uri=None), 2, 3)
    expect(not os.path.exists(os.path.join(home.config, "other.profile")), "left behind")


def test_relative_directories_are_ignored():
    home = Home()
    home.env.update({name: "relative" for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME")})
    expect_status(home.vms("profile", "new", "shop", uri=None), 0)
    expect(os.path.exists(os.path.join(home.path, ".config", "vms", "shop.profile")), "not where XDG says")
    expect(not os.path.exists(os.path.join(home.path, "relative")), "in the current directory")


def test_a_template_can_be_filled_in():
    home = Home()
    home.vms("profile", "new", "shop", uri=None)
    text = home.read("shop.profile")
    # every default that the template shows is one that is allowed
    filled = "\n".join(line[1:] if re.match(r"#[a-z-]+=.", line) else line for line in text.split("\n"))
    filled = filled.split("#[share:project]")[0]
    home.write("shop.profile", filled)
    expect_status(home.vms("profile", "check", "shop", uri=None), 0)


def test_check():
    home = Home()
    home.write("good.profile", "[machine]\ncpus=2\n")
    home.write("bad.profile", "[machine]\ncpu=2\n")
    r = home.vms("profile", "check", "good", uri=None)
    expect_status(r, 0)
    expect(r.out == "good: good\n", r)
    r = home.vms("profile", "check", "bad", uri=None)
    expect_status(r, 2)
    expect(re.search(r"bad\.profile:2: .*cpu.*cpus", r.err) and r.out == "", r)
    r = home.vms("profile", "check", uri=None)
    expect_status(r, 2)
    expect("good: good" in r.out and "work: good" in r.out and "bad.profile:2" in r.err, r)
    r = home.vms("profile", "check", "--json", "good", "bad", uri=None)
    expect_status(r, 2)
    check_documented("vms profile check", r.json())
    expect([p["good"] for p in r.json()["profiles"]] == [True, False], r)


def test_check_provision():
    home = Home()
    os.makedirs(home.path + "/proj")
    open(home.path + "/proj/s.sh", "w", encoding="utf-8").close()
    for text, words in (
        ("use=nodejs\n", "use: there is no piece"),
        ("setup=gone.sh\n", "setup: there is no file"),
        ("setup=~/proj\n", "setup: reading"),
        ("setup=~/proj/s.sh\n[share:p]\nsource=~/proj\n", "setup: reading .*share:p"),
        ("packages=jq\n[policy]\nforbid=jq\n", "forbid: .*forbids the package jq"),
    ):
        home.write("bad.profile", "[provision]\n" + text)
        for args in (["profile", "check"], ["start", "--dry-run"], ["start"]):
            r = home.vms(*args, "bad")
            expect_status(r, 2)
            expect(re.search(r"bad\.profile:[24]: \[\w+\] " + words, r.err) and "good" not in r.out, r)
    home.write("good.profile", "[provision]\npackages=jq\nsetup=~/proj/s.sh\n")
    expect_status(home.vms("profile", "check", "good", uri=None), 0)
    r = home.vms("start", "good", "--dry-run")
    expect_status(r, 0)
    expect("to be installed first: packages: jq; setup: " in r.out, r)


def test_check_files_that_are_none():
    home = Home()
    fifo = os.path.join(home.path, "fifo.profile")
    os.mkfifo(fifo)
    for path, status in ((fifo, 2), (home.path + "/", 2), ("/dev/zero", 2), ("./missing", 3), ("/proc/self/mem", 2)):
        expect_status(home.vms("profile", "check", path, uri=None, timeout=20), status)
    big = os.path.join(home.path, "big.profile")
    with open(big, "wb") as f:
        f.truncate(1 << 30)
    expect_status(home.vms("profile", "check", big, uri=None, timeout=20), 2)


def test_keys():
    home = Home()
    data = home.vms("profile", "keys", "--json", uri=None).json()
    check_documented("vms profile keys", data)
    table = home.vms("profile", "keys", uri=None).out
    man = home.vms("manual", os.path.join(SOURCE, "docs", "man", "vms.profile.5.in"), uri=None).out
    for key in data["keys"]:
        expect(key["summary"] and key["allowed"] and key["type"], key)
        expect(re.search(r"^%s +%s " % (re.escape(key["group"]), key["key"]), table, re.M), key)
        expect("\\fB%s\\fR=" % key["key"].replace("-", "\\-") in man, key)


def test_diff():
    home = Home()
    home.write("shop.profile", "[profile]\ninherits=work\n\n[machine]\ncpus=3\n")
    r = home.vms("profile", "diff", "work", "shop", uri=None)
    expect_status(r, 0)
    expect("machine/cpus" in r.out and "3" in r.out, r)
    expect("machine/cpus" in home.vms("profile", "diff", "shop", uri=None).out, "against what it inherits")
    expect(home.vms("profile", "diff", "work", "work", uri=None).out == "", "equal")
    data = home.vms("profile", "diff", "work", "shop", "--json", uri=None).json()
    check_documented("vms profile diff", data)
    expect(any("cpus" in d for d in data["differences"]), data)
    expect(home.vms("profile", "diff", "work", "work", "--json", uri=None).json()["differences"] == [], "equal")


def test_diff_of_a_shipped_profile_that_was_changed():
    home = Home()
    home.write("work.profile", "[machine]\ncpus=3\n")
    r = home.vms("profile", "diff", "work", uri=None)
    expect_status(r, 0)
    expect("machine/cpus" in r.out, r)


def editor(home, script):
    path = os.path.join(home.path, "editor")
    with open(path, "w") as f:
        f.write("#!/bin/sh\n" + script)
    os.chmod(path, 0o700)
    return {"EDITOR": path}


def test_edit_saves_what_is_good():
    home = Home()
    home.write("shop.profile", "[profile]\ninherits=work\n")
    e = editor(home, 'stat -c %a "$1" "$(dirname "$1")" > modes; echo "$1" > where; printf "[machine]\\ncpus=5\\n" >> "$1"\n')
    r = home.vms("edit", "shop", env=e, uri=None)
    expect_status(r, 0)
    expect(home.read("shop.profile") == "[profile]\ninherits=work\n[machine]\ncpus=5\n", home.read("shop.profile"))
    with open(os.path.join(home.path, "modes")) as f:
        expect(f.read().split() == ["600", "700"], "the copy is private")
    with open(os.path.join(home.path, "where")) as f:
        expect(not os.path.exists(os.path.dirname(f.read().strip())), "the copy was left behind")


def test_edit_of_a_shipped_profile_makes_yours():
    home = Home()
    r = home.vms("edit", "work", env=editor(home, 'sed -i "s/^#cpus=.*/cpus=3/" "$1"\n'), uri=None)
    expect_status(r, 0)
    expect("cpus=3" in home.vms("profile", "show", "work", uri=None).out, r)


def test_edit_without_a_change_writes_nothing():
    home = Home()
    r = home.vms("edit", "work", env=editor(home, "exit 0\n"), uri=None)
    expect_status(r, 0)
    expect("not changed" in r.err and not os.path.exists(os.path.join(home.config, "work.profile")), r)


def test_edit_keeps_the_copy_of_what_is_bad():
    home = Home()
    home.write("shop.profile", "[profile]\ninherits=work\n")
    r = home.vms("edit", "shop", env=editor(home, 'echo "[machin]" >> "$1"\n'), uri=None)
    expect_status(r, 2)
    expect(home.read("shop.profile") == "[profile]\ninherits=work\n", "saved nevertheless")
    copy = re.search(r"your copy is (\S+?):? ", r.err).group(1)
    with open(copy.rstrip(":")) as f:
        expect("[machin]" in f.read(), "the copy is gone")
    expect("machine" in r.err, r)


def test_edit_asks_on_a_terminal():
    home = Home()
    home.write("shop.profile", "[profile]\ninherits=work\n")
    e = editor(home, 'if [ -e once ]; then sed -i "s/machin]/machine]/" "$1"; else echo "[machin]" >> "$1"; touch once; fi\n')
    status, seen = home.vms_tty("edit", "shop", env=e, uri=None, answers=[("again?", "y\n")])
    expect(status == 0 and "[machine]" in home.read("shop.profile"), seen)
    os.unlink(os.path.join(home.path, "once"))
    home.write("shop.profile", "[profile]\ninherits=work\n")
    status, seen = home.vms_tty("edit", "shop", env=e, uri=None, answers=[("again?", "n\n")])
    expect(status == 2 and "your copy is" in seen, seen)


def test_edit_failures():
    home = Home()
    home.write("shop.profile", "[profile]\ninherits=work\n")
    expect_status(home.vms("edit", "shop", env={"EDITOR": "false"}, uri=None), 1)
    r = home.vms("edit", "shop", uri=None)
    expect_status(r, 2)
    expect("EDITOR" in r.err, r)
    expect_status(home.vms("edit", "shpo", env={"EDITOR": "true"}, uri=None), 3)
    path = os.path.join(home.config, "shop.profile")
    r = home.vms("edit", "shop", uri=None,
                 env=editor(home, 'printf "[machine]\\ncpus=5\\n" >> "$1"; echo "# mine" >> %s\n' % path))
    expect_status(r, 4)
    expect("# mine" in home.read("shop.profile"), "the other's change is lost")


def test_editor_with_arguments():
    home = Home()
    home.write("shop.profile", "[profile]\ninherits=work\n")
    e = editor(home, '[ "$1" = --wait ] && printf "[machine]\\ncpus=5\\n" >> "$2"\n')
    r = home.vms("edit", "shop", env={"VISUAL": e["EDITOR"] + " --wait", "EDITOR": "false"}, uri=None)
    expect_status(r, 0)
    expect("cpus=5" in home.read("shop.profile"), r)


main(globals())
