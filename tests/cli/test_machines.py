# SPDX-License-Identifier: LGPL-2.1-or-later
"""The verbs about machines on libvirt's test driver, which has no guests: everything up to the boot, and all refusals."""
import collections
import os
import re
import signal
import subprocess
import time

from clitest import VMS, Home, expect, expect_status, main
from drivers import driver_file
from documented import check_documented


def test_list_of_nothing():
    home = Home()
    r = home.vms("list")
    expect_status(r, 0)
    expect(r.out == "" and "vms start work" in r.err, r)
    expect(home.vms("-q", "list").err == "", "quiet")
    expect(home.vms("list", "--json").json()["machines"] == [], "json")
    expect(home.vms("ls").out == r.out, "alias")


def test_list_of_a_hundred():
    home = Home()
    uri = "test://" + driver_file(home.path, 100, home.config, home.data)
    data = home.vms("list", "--json", uri=uri).json()
    check_documented("vms list", data)
    names = [m["name"] for m in data["machines"]]
    expect(len(names) == 100 and names == sorted(names), names)
    expect({m["state"] for m in data["machines"]} == {"running", "stopped"}, data["machines"][0])
    expect({m["profile"] for m in data["machines"]} == {"work"}, data["machines"][0])
    table = home.vms("list", uri=uri).out.splitlines()
    expect(table[0].split() == ["NAME", "STATE", "PROFILE"] and len(table) == 101, table[:3])
    # what is not ours, or somebody else's, is not shown
    expect(not any("foreign" in n or "other" in n for n in names), names)


def libvirt_calls(machines):
    """Calls of libvirt's API that a remote connection would turn into a round trip, out of libvirt's own log."""
    home = Home()
    uri = "test://" + driver_file(home.path, machines, home.config, home.data)
    r = home.vms("list", "--json", uri=uri, env={"LIBVIRT_DEBUG": "1", "LIBVIRT_LOG_OUTPUTS": "1:stderr"})
    expect(len(r.json()["machines"]) == machines, r)
    calls = collections.Counter(re.findall(r" : (vir(?:Connect|Domain|Network|Storage|NWFilter)[A-Z]\w+):\d+ : ", r.err))
    local = re.compile("(Free|Dispose|Ref|Unref|New|GetName|GetUUID|GetUUIDString)$")
    return {name: count for name, count in calls.items() if not local.search(name)}


def test_list_makes_no_call_per_machine():
    few, many = libvirt_calls(10), libvirt_calls(100)
    expect(few == many and 0 < sum(many.values()) < 30, (few, many))


def test_steps():
    home = Home()
    steps = [line.split() for line in home.vms("help", "--steps", uri=None).out.splitlines()]
    expect(all(len(step) == 2 for step in steps), steps)
    expect({"start", "stop", "destroy", "recreate", "clone", "snapshot-create", "snapshot-delete", "revert",
            "warm-capture", "warm-start"}
           <= {verb for verb, _ in steps}, steps)
    expect(len(set(map(tuple, steps))) == len(steps) and len(steps) > 15, steps)


def test_snapshots_of_a_machine_without_disk():
    home = Home()
    expect_status(home.vms("create", "web", "--profile", "work"), 0)
    data = home.vms("snapshot", "list", "web", "--json").json()
    check_documented("vms snapshot list", data)
    expect(data["snapshots"] == [] and data["present"] == {"parent": "", "disk_bytes": 0}, data)
    for words, status, reason in ((["snapshot", "web"], 4, "vms start web"), (["snapshot", "web", "one"], 4, "vms start web"),
                                  (["snapshot", "create", "web", "-m", "x"], 4, "vms start web"),
                                  (["snapshot", "wbe"], 3, "web"), (["snapshot"], 2, "create"),
                                  (["snapshot", "web", "one", "two"], 2, "one too many"),
                                  (["snapshot", "web", "Bad"], 2, "Bad"), (["snapshot", "delete", "web"], 2, "missing"),
                                  (["snapshot", "delete", "web", "one"], 3, "snapshot"),
                                  (["revert", "web", "--yes"], 4, "vms start web")):
        r = home.vms(*words)
        expect(r.status == status and reason in r.err, r)
    expect("no snapshots" in home.vms("snapshot", "list", "web").err, "the hint")


def test_forwards_in_the_profile():
    """Of a machine that is off the profile is what changes; a line of it, the rest stays as it was written."""
    home = Home()
    home.vms("create", "web", "--profile", "work")

    def lines():
        return [line for line in home.read("web.profile").splitlines() if line.split("=")[0] in ("forward", "host")]

    before = home.read("web.profile")
    expect(home.vms("forward", "list", "web", "--json").json()["forwards"] == [], "something is forwarded")
    expect_status(home.vms("forward", "add", "web", "8000-9000", "8080:80"), 0)
    expect_status(home.vms("forward", "add", "web", "--host", "11434"), 0)
    expect(lines() == ["forward=+8000-9000;8080:80", "host=+11434"], lines())
    expect(home.read("web.profile").startswith(before.rstrip("\n")), home.read("web.profile"))
    expect_status(home.vms("forward", "add", "web", "8000-9000"), 0)
    data = home.vms("forward", "list", "web", "--json").json()
    check_documented("vms forward list", data)
    have = [(f["kind"], f["ports"], f["state"]) for f in data["forwards"]]
    expect(have == [("forward", "8000-9000", "off"), ("forward", "8080:80", "off"), ("host", "11434", "off")], have)
    r = home.vms("status", "web", "--json").json()["machines"][0]
    expect([f["ports"] for f in r["forwards"]] == ["8000-9000", "8080:80", "11434"], r)
    for words, status, reason in ((["8001"], 2, "8000-9000"), (["80"], 2, "1024"), (["x"], 2, "no port"),
                                  (["--host", "9000"], 2, "come back"), (["3000", "--for", "8d"], 2, "8d"),
                                  (["3000", "--for", "1h"], 4, "vms start web")):
        r = home.vms("forward", "add", "web", *words)
        expect(r.status == status and reason in r.err, r)
    expect(lines() == ["forward=+8000-9000;8080:80", "host=+11434"], lines())
    expect_status(home.vms("forward", "remove", "web", "8000-9000", "1234"), 3)
    expect_status(home.vms("forward", "remove", "web", "8000-9000"), 0)
    expect_status(home.vms("forward", "remove", "web", "8080:80"), 0)
    expect_status(home.vms("forward", "remove", "web", "--host", "11434"), 0)
    expect(lines() == [] and home.vms("forward", "list", "web").out == "", lines())


def test_shares_in_the_profile():
    """Of a machine that is off the profile is what changes: a group of it, the rest stays as it was written."""
    home = Home()
    home.vms("create", "web", "--profile", "work")
    before = home.read("web.profile")
    code, data, other = (os.path.join(home.path, name) for name in ("src/code", "src/data", "other/code"))
    for name in (code, data, other):
        os.makedirs(name)

    def shares():
        listed = home.vms("share", "list", "web", "--json").json()
        check_documented("vms share list", listed)
        return {s["name"]: s for s in listed["shares"]}

    expect(list(shares()) == ["shared"], shares())
    expect_status(home.vms("share", "add", "web", code), 0)
    expect_status(home.vms("share", "add", "web", data + ":~/in,mode=ro"), 0)
    expect_status(home.vms("share", "add", "web", other + ":~/other,mode=rw"), 0)
    have = {(s["name"], s["source"], s["target"], s["mode"], s["state"], s["until"], s["in_profile"])
            for s in shares().values() if s["name"] != "shared"}
    expect(have == {("code", code, "/home/dev/code", "review", "off", "", True),
                    ("data", data, "/home/dev/in", "ro", "off", "", True),
                    ("code-2", other, "/home/dev/other", "rw", "off", "", True)}, have)
    text = home.read("web.profile")
    expect_status(home.vms("share", "add", "web", code), 0)
    expect(home.read("web.profile") == text, "added twice")
    for words, status, reason in (([home.path], 2, "separate"), ([os.path.join(code, "below")], 2, "separate"),
                                  ([code + ":~/in"], 2, "data"), ([data + ",mode=what"], 2, "what"),
                                  ([code, "--for", "8d"], 2, "8d"), ([code, "--for", "1h"], 4, "vms start web"), ([""], 2, "DIR")):
        r = home.vms("share", "add", "web", *words)
        expect(r.status == status and reason in r.err, r)
    expect(home.read("web.profile") == text, home.read("web.profile"))
    r = home.vms("share", "remove", "web", "shared")
    expect(r.status == 2 and "work" in r.err, r)
    expect_status(home.vms("share", "remove", "web", "nothing"), 3)
    expect_status(home.vms("share", "remove", "web", "data"), 0)
    expect_status(home.vms("share", "remove", "web", code), 0)
    expect_status(home.vms("share", "remove", "web", "code-2", "--discard-changes"), 0)
    expect(home.read("web.profile").strip() == before.strip(), home.read("web.profile"))


def test_an_inherited_forward_is_removed_from_this_machine_only():
    home = Home()
    home.write("mine.profile", "[profile]\ninherits=work\n[network]\nforward=3000;3001\n")
    home.vms("create", "web", "--profile", "mine")
    expect_status(home.vms("forward", "remove", "web", "3000"), 0)
    expect("forward=3001\n" in home.read("web.profile"), home.read("web.profile"))
    expect("forward=3000;3001" in home.read("mine.profile"), "the other profile")


def test_create():
    home = Home()
    os.mkdir(os.path.join(home.path, "project"))
    r = home.vms("create", "shop", "--profile", "work", "--share", home.path + "/project:~/src")
    expect_status(r, 0)
    text = home.read("shop.profile")
    expect("inherits=work" in text and "target=~/src" in text, text)
    expect_status(home.vms("create", "shop"), 4)
    expect(home.read("shop.profile") == text, "overwritten")
    r = home.vms("create", "other", "--profile", "wrok")
    expect(r.status in (2, 3) and "work" in r.err, r)
    r = home.vms("create", "other", "--share", home.path + "/projcet:~/src")
    expect_status(r, 3)
    expect("/projcet: it does not exist" in r.err, r)
    home.write("file", "")
    r = home.vms("create", "other", "--share", home.config + "/file")
    expect_status(r, 2)
    expect("no directory" in r.err, r)
    r = home.vms("create", "other", "--share", home.path + "/project,mode=quarded")
    expect_status(r, 2)
    expect("guarded" in r.err, r)
    expect(not os.path.exists(os.path.join(home.config, "other.profile")), "left behind")


def test_dry_run():
    home = Home()
    r = home.vms("start", "work", "--dry-run")
    expect_status(r, 0)
    expect("debian-13" in r.out and r.out.count("\n") > 5, r)
    data = home.vms("start", "work", "--dry-run", "--json").json()
    check_documented("vms start --dry-run", data)
    machine = data["machines"][0]
    expect(machine["name"] == "work" and "<domain" in machine["domain_xml"], machine)
    expect("<network" in machine["network_xml"] and any(": " in line for line in machine["plan"]), machine)
    expect("<domain" in home.vms("start", "work", "--dry-run", "-v").out, "verbose shows the XML")
    expect(not os.path.exists(home.data) or os.listdir(home.data) == [], "something was made")
    expect_status(home.vms("start", "work", "--json"), 2)


def test_dry_run_with_a_share():
    home = Home()
    os.mkdir(os.path.join(home.path, "project"))
    r = home.vms("start", "work", "--dry-run", "--share", home.path + "/project")
    expect_status(r, 0)
    expect(home.path + "/project" in r.out, r)
    expect_status(home.vms("start", "work", "--dry-run", "--share", "/"), 2)


def test_status():
    home = Home()
    home.vms("create", "shop", "--profile", "work")
    r = home.vms("status", "shop")
    expect_status(r, 0)
    expect(r.out.startswith("shop: new\n"), r)
    data = home.vms("status", "shop", "--json").json()
    check_documented("vms status", data)
    expect(data["machines"][0]["name"] == "shop" and data["machines"][0]["state"] == "new", data)
    r = home.vms("status", "shpo")
    expect_status(r, 3)
    expect("shop" in r.err and r.out == "", r)
    expect_status(home.vms("status"), 0)


def test_a_bad_profile_is_usage():
    home = Home()
    home.write("shop.profile", "[machine]\ncpus=none\n")
    for args in (["start", "shop"], ["start", "--dry-run", "shop"], ["start", "shop", "work", "--dry-run"]):
        r = home.vms(*args)
        expect_status(r, 2)
        expect("shop.profile:2" in r.err and "cpus" in r.err, r)


def test_a_bad_profile_is_shown():
    home = Home()
    expect_status(home.vms("create", "good", "--profile", "work"), 0)
    home.write("shop.profile", "[profile]\ninherits=work\n[machine]\ncpus=none\n")
    r = home.vms("status", "shop")
    expect_status(r, 0)
    expect("not valid" in r.out and "shop.profile:4" in r.out and "was changed" not in r.out, r)
    data = home.vms("status", "shop", "--json").json()
    check_documented("vms status", data)
    expect("shop.profile:4" in data["machines"][0]["problem"] and data["machines"][0]["changes"] == [], data)
    home.write("tools.profile", "[profile]\ninherits=work\n[provision]\nsetup=nowhere.sh\n")
    r = home.vms("status", "tools")
    expect("not valid" in r.out and "tools.profile:4" in r.out, r)
    r = home.vms("list")
    expect_status(r, 0)
    lines = {line.split()[0]: line for line in r.out.splitlines()}
    expect("not valid" in lines["shop"] and "not valid" not in lines["good"], r)
    machines = {m["name"]: m for m in home.vms("list", "--json").json()["machines"]}
    expect("shop.profile:4" in machines["shop"]["problem"] and machines["good"]["problem"] == "", machines)


def test_destroy_asks():
    home = Home()
    home.vms("create", "shop", "--profile", "work")
    r = home.vms("destroy", "shop")
    expect_status(r, 2)
    expect("--yes" in r.err, r)
    expect_status(home.vms("recreate", "shop"), 2)
    expect(os.path.exists(os.path.join(home.config, "shop.profile")), "destroyed without asking")
    status, seen = home.vms_tty("destroy", "shop", answers=[("[y/N]", "n\n")])
    expect(status == 1 and os.path.exists(os.path.join(home.config, "shop.profile")), seen)
    status, seen = home.vms_tty("destroy", "shop", answers=[("[y/N]", "\x03")])
    expect(status == 130 and os.path.exists(os.path.join(home.config, "shop.profile")), seen)
    status, seen = home.vms_tty("destroy", "shop", answers=[("[y/N]", "y\n")])
    expect(status == 0 and not os.path.exists(os.path.join(home.config, "shop.profile")), seen)


def test_destroy():
    home = Home()
    home.vms("create", "shop", "--profile", "work")
    expect_status(home.vms("destroy", "--yes", "--keep-profile", "shop"), 0)
    expect(os.path.exists(os.path.join(home.config, "shop.profile")), "the profile is kept")
    expect_status(home.vms("destroy", "--yes", "shop"), 0)
    expect(not os.path.exists(os.path.join(home.config, "shop.profile")), "the profile is gone")
    r = home.vms("destroy", "--yes", "shop")
    expect_status(r, 3)
    r = home.vms("destroy", "--yes", "--if-exists", "shop")
    expect_status(r, 0)
    expect(r.out == r.err == "", r)
    # the name of a shipped profile is no machine yet
    expect_status(home.vms("destroy", "--yes", "work"), 3)
    r = home.vms("destroy", "--yes", "--if-exists", "work")
    expect(r.status == 0 and r.out == r.err == "", r)


def test_destroy_tells_who_inherits():
    home = Home()
    expect_status(home.vms("create", "shop", "--profile", "work"), 0)
    expect_status(home.vms("create", "till", "--profile", "shop"), 0)
    r = home.vms("destroy", "--yes", "till")
    expect("inherit" not in r.err, r)
    expect_status(home.vms("create", "till", "--profile", "shop"), 0)
    r = home.vms("destroy", "--yes", "shop")
    expect_status(r, 0)
    expect("others inherit" in r.err and "till" in r.err, r)
    expect("not valid" in home.vms("list").out, "list")


def test_one_passphrase():
    """What is read from a descriptor is one machine's: with two it would be a matter of luck whose."""
    home = Home()
    home.write("a.profile", "[profile]\ninherits=base\n")
    home.write("b.profile", "[profile]\ninherits=base\n")
    for verb in ("start", "recreate"):
        r = home.vms("--passphrase-fd", "0", verb, *(["--yes"] if verb == "recreate" else []), "a", "b",
                     stdin=b"one\ntwo\n")
        expect_status(r, 2)
        expect("name one at a time" in r.err and r.out == "", r)


def test_several_names():
    home = Home()
    for name in ("one", "two"):
        home.vms("create", name, "--profile", "work")
    r = home.vms("destroy", "--yes", "one", "nosuch", "two", "one")
    expect_status(r, 3)
    expect(r.err.count("nosuch") >= 1 and "one: destroyed" in r.err and "two: destroyed" in r.err, r)
    expect(not os.path.exists(os.path.join(home.config, "two.profile")), "the others are done nevertheless")


def test_stop_of_what_is_off():
    home = Home()
    home.vms("create", "shop", "--profile", "work")
    expect_status(home.vms("stop", "shop"), 0)
    expect_status(home.vms("stop", "shop", "--force"), 0)


def test_what_needs_a_running_machine():
    home = Home()
    home.write("shop.profile", "[profile]\ninherits=work\n\n[machine]\nstart-on-exec=no\n")
    for args, statuses in ((["exec", "shop", "--", "true"], [125]), (["ssh", "shop", "--", "true"], [125]),
                           (["cp", "shop:x", "y"], [4, 5]), (["console", "shop"], [4, 5])):
        r = home.vms(*args)
        expect_status(r, *statuses)
        expect(r.err.startswith("vms: ") and r.out == "", r)


def test_checkpoint_starts():
    """One that has no disk yet is started before the snapshot; ssh, of which libvirt's test driver has none, fails after it."""
    home = Home()
    r = home.vms("exec", "--checkpoint", "work", "--", "true")
    expect_status(r, 125)
    expect("vms: snapshot exec-" in r.err and "no disk yet" not in r.err, r)
    home.write("shop.profile", "[profile]\ninherits=work\n\n[machine]\nstart-on-exec=no\n")
    r = home.vms("exec", "--checkpoint", "shop", "--", "true")
    expect_status(r, 125)
    expect("it has no disk yet" in r.err, r)


def test_cp_usage():
    home = Home()
    for args, part in ((["a", "b"], "NAME:PATH"), (["work:a", "personal:b"], "machine to machine"),
                       (["./work:a", "b"], "NAME:PATH"), (["/x:a", "b"], "NAME:PATH")):
        r = home.vms("cp", *args)
        expect_status(r, 2)
        expect(part in r.err, r)


def test_exec_usage():
    home = Home()
    for args in (["exec", "work"], ["exec", "work", "--"], ["exec", "-e", "1A=x", "work", "--", "true"],
                 ["exec", "-e", "A-B", "work", "--", "true"], ["exec", "-e", "NOT_SET_HERE", "work", "--", "true"],
                 ["run", "-e", "NOT_SET_HERE", "--", "true"], ["run", "--json", "--", "true"], ["exec", "--timeout", "soon", "work", "--", "true"],
                 ["exec", "a;b", "--", "true"], ["ssh", "--", "-oProxyCommand=x", "true"]):
        expect_status(home.vms(*args), 2)
    r = home.vms("ssh", "work", "--", "-oProxyCommand=x")
    expect_status(r, 2)
    expect('"-oProxyCommand=x" begins with "-"' in r.err, r)


def test_run_looks_for_places():
    """What cannot be copied out is said before the work, for which this host has no image."""
    home = Home()
    open(os.path.join(home.path, "report"), "w").close()
    for words, part in ((["/tmp/report"], '"report" already; remove it, or choose another name'), (["/tmp/x:no/such"], "No such file"),
                        (["/"], "no name"), (["a:new", "b:new"], "another --out goes to the same place")):
        outs = [w for word in words for w in ("--out", word)]
        r = home.vms("run", *outs, "--", "true")
        expect_status(r, 2)
        expect("run: --out " in r.err and part in r.err, r)
    r = home.vms("run", "--out", "/tmp/report:new", "--", "true")
    expect_status(r, 125)
    expect("--out" not in r.err, r)


def test_ssh_config():
    home = Home()
    home.vms("create", "shop", "--profile", "work")
    expect_status(home.vms("ssh-config", "--install", "shop"), 2)
    expect_status(home.vms("ssh-config"), 0)
    r = home.vms("ssh-config", "--install")
    expect_status(r, 0)
    with open(os.path.join(home.path, ".ssh", "config")) as f:
        text = f.read()
    expect(text.count("Include") == 1, text)
    expect_status(home.vms("ssh-config", "--install"), 0)
    with open(os.path.join(home.path, ".ssh", "config")) as f:
        expect(f.read() == text, "the second time changes nothing")


def test_images():
    home = Home()
    r = home.vms("image", "list")
    expect_status(r, 0)
    data = home.vms("image", "list", "--json").json()
    check_documented("vms image list", data)
    expect(data["images"] == [], data)
    expect_status(home.vms("image", "show", "debian-13"), 3)
    expect_status(home.vms("image", "remove", "debian-13"), 3)
    r = home.vms("image", "build", "debian-31")
    expect(r.status in (2, 3) and "debian-13" in r.err, r)


def test_verify_needs_real_machines():
    home = Home()
    r = home.vms("verify", "work")
    expect_status(r, 5)
    expect("test driver" in r.err and r.out == "", r)


def test_doctor():
    home = Home()
    r = home.vms("doctor")
    expect_status(r, 0, 5)
    expect(re.search(r"^(good|note|warning|error) +libvirt: ", r.out, re.M), r)
    one = home.vms("doctor", "--json")
    check_documented("vms doctor", one.json())
    expect(one.status == (5 if any(c["level"] == "error" for c in one.json()["checks"]) else 0), one)
    for wrong in (["--yes"], ["--dry-run"], ["--fix", "--repair"], ["--fix", "--json"]):
        expect_status(home.vms("doctor", *wrong), 2)
    shown = home.vms("doctor", "--fix", "--dry-run", "--json")
    expect_status(shown, 0, 5)
    check_documented("vms doctor", shown.json())
    wrong = [c for c in shown.json()["checks"] if c["commands"] and c["level"] in ("warning", "error")]
    expect([f["id"] for f in shown.json()["fixes"]] == [c["id"] for c in wrong], shown)
    expect(all(f["result"] == "shown" for f in shown.json()["fixes"]), shown)
    for check in shown.json()["checks"]:
        for command in check["commands"]:
            expect(not set(command["argv"]) & {"sh", "bash", "-c"} and command["argv"][0] in check["fix"], check)
    r = home.vms("doctor", "--repair", "--yes")
    expect_status(r, 0, 5)
    expect("nothing was left behind" in r.err, r)


def test_libvirt_missing():
    home = Home()
    for uri in ("qemu+unix:///system?socket=/nonexistent", "qemu:///nonsense", "nonsense:///", "test:///nonexistent.xml"):
        for args in (["list"], ["start", "work"], ["image", "list"]):
            r = home.vms(*args, uri=uri)
            expect(r.status in ((5,) if uri.startswith("qemu+unix") else (1, 2, 5)), r)
            # libxml2 itself complains about a file that is missing
            expect("vms: " in r.err and r.out == "", r)
    r = home.vms("list", uri="qemu+unix:///system?socket=/nonexistent")
    expect(re.search(r"apt|systemctl|install|start", r.err), "the command that fixes it: %r" % r)
    r = home.vms("doctor", uri="qemu+unix:///system?socket=/nonexistent")
    expect_status(r, 5)
    expect("fix:" in r.out, r)


def test_libvirt_denied():
    if os.getuid() != 0:
        return
    home = Home()
    path = os.path.join(home.path, "socket")
    import socket
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    os.chmod(path, 0o600)
    os.chmod(home.path, 0o755)
    for d, _, _ in os.walk(home.path):
        os.chown(d, 65534, 65534)
    done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", VMS, "-c",
                           "qemu+unix:///system?socket=" + path, "list"], env=home.env, capture_output=True, text=True,
                          cwd="/")
    if "No such file" in done.stderr and "setpriv" in done.stderr or "error while loading" in done.stderr:
        return
    expect(done.returncode == 5, done)
    expect("usermod" in done.stderr or "adduser" in done.stderr or "group" in done.stderr, done.stderr)


def test_the_uri_from_the_environment():
    home = Home()
    expect_status(home.vms("list", uri=None, env={"VMS_URI": "test:///default"}), 0)
    expect_status(home.vms("list", env={"VMS_URI": "qemu+unix:///system?socket=/nonexistent"}), 0)


def test_interrupt():
    """A libvirt that never answers: Ctrl-C ends the wait, a second one ends it at once."""
    home = Home()
    path = os.path.join(home.path, "mute")
    import socket
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(4)
    child = subprocess.Popen([VMS, "-c", "qemu+unix:///system?socket=" + path, "list"], env=home.env,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    time.sleep(1)
    child.send_signal(signal.SIGINT)
    time.sleep(1)
    if child.poll() is None:
        child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=20)
    expect(child.returncode == 130, (child.returncode, err))


main(globals())
