# SPDX-License-Identifier: LGPL-2.1-or-later
"""Wall time of `vms list --json` against `virsh list --all`, with 100 machines on a test driver's file, in one run."""
import os
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
from clitest import VMS, Home  # noqa: E402
from drivers import driver_file  # noqa: E402

MACHINES = 100
RUNS = 25
LIMIT = 1.5


def seconds(argv, env):
    begin = time.perf_counter()
    done = subprocess.run(argv, env=env, capture_output=True)
    if done.returncode != 0:
        sys.exit("%s: %s" % (argv, done.stderr.decode(errors="replace")))
    return time.perf_counter() - begin


def main():
    home = Home()
    uri = "test://" + driver_file(home.path, MACHINES, home.config, home.data)
    env = {k: v for k, v in home.env.items() if k not in ("MALLOC_PERTURB_", "G_DEBUG")}
    pairs = [("vms", [VMS, "-c", uri, "list", "--json"]), ("virsh", ["virsh", "-c", uri, "list", "--all"])]
    times = {"vms": [], "virsh": []}
    for _ in range(RUNS):  # one after the other, so that a busy moment hits both
        for name, argv in pairs:
            times[name].append(seconds(argv, env))
    median = {name: statistics.median(values) for name, values in times.items()}
    ratio = median["vms"] / median["virsh"]
    print("list of %d machines: vms %.1f ms, virsh %.1f ms (medians of %d), ratio %.2f, at most %.1f"
          % (MACHINES, median["vms"] * 1e3, median["virsh"] * 1e3, RUNS, ratio, LIMIT))
    sys.exit(0 if ratio <= LIMIT else 1)


main()
