# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the command's tests share: a fresh home for each run, the real binary, TAP."""
import atexit
import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

VMS = os.environ["VMS"]
SOURCE = os.environ["VMS_SOURCE"]
VERBS_COMMAND = ("ssh", "exec")
TIMEOUT = 120


class Home:
    """A home directory of its own, with the XDG directories in it."""

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="vms-cli-")
        atexit.register(shutil.rmtree, self.path, True)
        self.config = os.path.join(self.path, "config", "vms")
        self.data = os.path.join(self.path, "data", "vms")
        os.makedirs(self.config, mode=0o700)
        self.env = {k: v for k, v in os.environ.items()
                    if not k.startswith("XDG_") and k not in ("VMS_URI", "VISUAL", "EDITOR", "NO_COLOR")}
        self.env.update(HOME=self.path, XDG_CONFIG_HOME=os.path.join(self.path, "config"),
                        XDG_DATA_HOME=os.path.join(self.path, "data"), TMPDIR=self.path, TERM="xterm")
        os.makedirs(os.path.join(self.path, "data"), mode=0o700)

    def write(self, name, text):
        path = os.path.join(self.config, name)
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, 0o600)
        return path

    def read(self, name):
        with open(os.path.join(self.config, name)) as f:
            return f.read()

    def vms(self, *args, uri="test:///default", env=None, stdin=b"", cwd=None, timeout=TIMEOUT):
        """Runs it without a terminal. uri=None: no -c."""
        argv = [VMS] + (["-c", uri] if uri else []) + [os.fsencode(a) if isinstance(a, str) else a for a in args]
        e = dict(self.env, **(env or {}))
        return Result(subprocess.run(argv, env=e, input=stdin, capture_output=True, cwd=cwd or self.path,
                                     timeout=timeout))

    def vms_tty(self, *args, uri="test:///default", env=None, answers=(), timeout=TIMEOUT):
        """Runs it on a terminal of its own; answers: pairs of what to wait for and what to type then."""
        argv = [VMS] + (["-c", uri] if uri else []) + list(args)
        pid, fd = pty.fork()
        if pid == 0:
            os.chdir(self.path)
            os.execve(VMS, argv, dict(self.env, **(env or {})))
        seen, left, end = b"", list(answers), time.monotonic() + timeout
        while time.monotonic() < end:
            ready, _, _ = select.select([fd], [], [], 0.1)
            if ready:
                try:
                    block = os.read(fd, 65536)
                except OSError:
                    break
                if not block:
                    break
                seen += block
            if left and left[0][0].encode() in seen:
                os.write(fd, left.pop(0)[1].encode())
        else:
            os.kill(pid, 9)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.close(fd)
        return status, seen.decode(errors="replace")


class Result:
    def __init__(self, done):
        self.status = done.returncode
        self.out = done.stdout.decode(errors="replace")
        self.err = done.stderr.decode(errors="replace")

    def __repr__(self):
        return "status %d\nstdout: %s\nstderr: %s" % (self.status, self.out[:2000], self.err[:2000])

    def json(self):
        return json.loads(self.out)


def expect(condition, what):
    if not condition:
        raise AssertionError(str(what))


def expect_status(result, *statuses):
    expect(result.status in statuses, "expected status %s, got %r" % (" or ".join(map(str, statuses)), result))


def all_verbs():
    """(verb, subverb or None, usage line) for every verb, out of the command's own help."""
    home = Home()
    verbs = []
    for line in home.vms("help", uri=None).out.splitlines():
        row = re.match(r"^  ([a-z-]+)(?: ([a-z-]+))?  +\S", line)
        if row:
            verbs.append((row.group(1), row.group(2)))
    return [(v, s, home.vms(*([v, s] if s else [v]), "--help", uri=None).out.splitlines()[0][len("usage: "):])
            for v, s in verbs]


def main(namespace):
    """Runs every function that begins with test_, in the order of the file."""
    tests = [f for name, f in namespace.items() if name.startswith("test_") and callable(f)]
    failed = 0
    print("1..%d" % len(tests), flush=True)
    for number, test in enumerate(tests, 1):
        name = test.__name__[5:].replace("_", " ")
        try:
            test()
            print("ok %d - %s" % (number, name), flush=True)
        except Exception:
            failed += 1
            print("not ok %d - %s" % (number, name))
            for line in traceback.format_exc().splitlines():
                print("# " + line)
            sys.stdout.flush()
    sys.exit(1 if failed else 0)
