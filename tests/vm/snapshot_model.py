#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Random snapshots, reverts, deletes, copies and writes, against a model of what every disk must hold.

snapshot_model.py [options] MACHINE: goes on from MACHINE, which is defined, off, and was never started.

No guest is booted: what a guest would write is written with qemu-io into the layer that libvirt has the machine write to. The model
is one byte for each block of a few regions of the disk. After every step all disks and snapshots with a layer that was written to
are read through their chains of layers and compared with it; after the last step of a sequence all that there are.
"""

import argparse
import configparser
import json
import os
import pwd
import random
import re
import struct
import subprocess
import sys
import time
import xml.etree.ElementTree as tree

POOL = "/var/lib/libvirt/images/vms"
BLOCK = 4096
# Within the image's file system and beyond its end; not all of them begin with a cluster, or with a table of clusters.
REGIONS = (0, (64 << 20) + 5 * BLOCK, (3 << 30) - 32 * BLOCK, (9 << 30) + 9 * BLOCK)
BLOCKS = 64  # of each region
BEYOND_IMAGE = 3
NAMES = ("model-a", "model-b", "model-c")
AUTOMATIC_KEPT = 5


class Wrong(Exception):
    """The product did something else than the model."""


def run(argv, **more):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600, **more)
    return done.returncode, done.stdout


def must(argv, **more):
    code, out = run(argv, **more)
    if code != 0:
        raise Wrong(f"{' '.join(argv)} ended with {code}: {out.strip()}")
    return out


def virsh(*argv):
    return must(("virsh", "-q", "-c", "qemu:///system") + argv)


class Machine:
    """What a machine's disk holds, and what its snapshots do: bytes, one for each block."""

    def __init__(self, name, now):
        self.name = name
        self.now = now
        self.snapshots = {}  # name -> (content, automatic), in the order in which they were made
        self.below = None  # the snapshot on which nothing was written since, "": another layer; None: it was

    def names(self, automatic=None):
        return [n for n, (_, a) in self.snapshots.items() if automatic is None or a == automatic]


class World:
    def __init__(self, arguments):
        self.arguments = arguments
        self.random = random.Random(arguments.seed)
        self.user = pwd.getpwnam(arguments.user)
        self.machines = {}
        self.checked = {}  # layer -> what stamp() said when it was found sound
        self.compared = {}  # layer -> (stamps of its chain, content) when it held what it must
        self.counter = 0
        self.log = []
        self.done = {}
        self.took = {}

    # --- the product

    def vms(self, *argv, fault=None, code=0):
        environment = {"HOME": self.user.pw_dir, "USER": self.user.pw_name, "LOGNAME": self.user.pw_name, "LC_ALL": "C.UTF-8",
                       "PATH": f"{self.arguments.prefix}/bin:/usr/bin:/bin", "UBSAN_OPTIONS": "halt_on_error=1"}
        if fault:
            environment["SANDBOX_FAULT"] = fault
        have, out = run(("vms",) + argv, env=environment, user=self.user.pw_uid, group=self.user.pw_gid,
                        extra_groups=os.getgrouplist(self.user.pw_name, self.user.pw_gid), cwd=self.user.pw_dir,
                        stdin=subprocess.DEVNULL)
        if have != code:
            raise Wrong(f"vms {' '.join(argv)} ended with {have}, should {code}: {out.strip()}")
        return out

    def object(self, name):
        return f"vms-{self.user.pw_uid}-{name}"

    # --- what there is

    @staticmethod
    def chain_of(xml):
        """Layers as a definition has them, the top first, with the image."""
        disk = tree.fromstring(xml).find("devices/disk")
        chain = []
        while disk is not None and disk.find("source") is not None:
            chain.append(disk.find("source").get("file"))
            disk = disk.find("backingStore")
        return chain

    def defined_chain(self, name):
        return self.chain_of(virsh("dumpxml", "--inactive", self.object(name)))

    def look(self):
        """(volumes, domains, {name: chain}), asked for at once"""
        mark = "===="
        commands = ["vol-list --pool vms", "list --all --name"]
        commands += [f"dumpxml --inactive {self.object(name)}" for name in self.machines]
        parts = virsh(f"; echo {mark}; ".join(commands)).split(mark)
        if len(parts) != len(commands):
            raise Wrong(f"virsh says {parts}")
        volumes = {line.split()[1] for line in parts[0].splitlines() if line.strip()}
        ours = {v for v in volumes if re.match(rf"vms-{self.user.pw_uid}-model-.*\.qcow2$", os.path.basename(v))}
        return ours, parts[1].split(), dict(zip(self.machines, (self.chain_of(part.strip()) for part in parts[2:])))

    def layer_of(self, name):
        """Layer of each snapshot, from the file of names."""
        path = os.path.join(self.user.pw_dir, ".local/share/vms", name, "snapshots")
        names = configparser.ConfigParser(interpolation=None)
        names.read(path)
        numbers = {n: int(names[n]["layer"]) for n in names.sections()}
        return {n: f"{POOL}/{self.object(name)}{'.%d' % i if i else ''}.qcow2" for n, i in numbers.items()}

    def listed(self, name):
        return {s["name"]: s["automatic"] for s in json.loads(self.vms("snapshot", "list", "--json", name))["snapshots"]}

    # --- writing and reading

    def write(self, machine, runs):
        """runs: (region, first block, blocks, byte)"""
        content = bytearray(machine.now)
        argv = ["qemu-io", "-f", "qcow2"]
        for region, first, blocks, byte in runs:
            what = f"-P {byte}" if byte else self.random.choice(("-P 0", "-z", "-z -u"))
            argv += ["-c", f"write {what} {REGIONS[region] + first * BLOCK} {blocks * BLOCK}"]
            begin = region * BLOCKS + first
            content[begin:begin + blocks] = bytes([byte]) * blocks
        out = must(argv + [self.defined_chain(machine.name)[0]])
        if out.count("wrote ") != len(runs):
            raise Wrong(f"qemu-io did not write: {out}")
        machine.now = bytes(content)
        machine.below = None

    @staticmethod
    def runs_of(content):
        """(offset, bytes, byte) of what is equal and adjacent"""
        for region, offset in enumerate(REGIONS):
            begin = 0
            part = content[region * BLOCKS:(region + 1) * BLOCKS]
            for i in range(1, BLOCKS + 1):
                if i == BLOCKS or part[i] != part[begin]:
                    yield offset + begin * BLOCK, (i - begin) * BLOCK, part[begin]
                    begin = i

    @staticmethod
    def stamp(path):
        """Differs when the file was written to."""
        stat = os.stat(path)
        return stat.st_mtime_ns, stat.st_size, stat.st_ino

    def compare(self, expected, chains):
        """expected: [(what it is, path, content)]. What has no file that was written to since is read at the end of each sequence only."""
        states = {}
        for what, path, content in expected:
            if path not in chains:
                raise Wrong(f"{what}: there is no {path}")
            states[path] = [(layer, self.stamp(layer)) for layer in chains[path]], content
        self.read([one for one in expected if self.compared.get(one[1]) != states[one[1]]])
        self.compared = states

    def read(self, expected):
        """All in one process."""
        if not expected:
            return
        commands, n = [], 0
        for _, path, content in expected:
            commands.append(f"open -r -o driver=qcow2 {path}")
            for offset, length, byte in self.runs_of(content):
                commands.append(f"read -P {byte} {offset} {length}")
                n += 1
            commands.append("close")
        _, out = run(("qemu-io",), input="\n".join(commands) + "\nquit\n")
        if out.count("read ") - out.count("read failed") == n and "failed" not in out and "rror" not in out:
            return
        for what, path, content in expected:  # which one
            argv = ["qemu-io", "-r", "-f", "qcow2"]
            for offset, length, byte in self.runs_of(content):
                argv += ["-c", f"read -P {byte} {offset} {length}"]
            _, one = run(argv + [path])
            if "failed" in one or "rror" in one:
                raise Wrong(f"{what} ({path}) holds something else: {re.findall('.*(?:failed|rror).*', one)[:5]}")
        raise Wrong(f"reading failed: {out[-500:]}")

    # --- the checks after each step

    @staticmethod
    def header_of(path):
        """What a layer's own header says that it stands on, or None."""
        with open(path, "rb") as file:
            magic, _, offset, length = struct.unpack(">4sIQI", file.read(20))
            file.seek(offset)
            below = file.read(length).decode() if offset else None
            file.seek(100)
            at = struct.unpack(">I", file.read(4))[0]
            while True:
                file.seek(at)
                kind, size = struct.unpack(">II", file.read(8))
                if kind in (0, 0xE2792ACA):
                    break
                at += 8 + (size + 7) // 8 * 8
            form = file.read(size) if kind else None
        if magic != b"QFI\xfb" or (below and form != b"qcow2"):
            raise Wrong(f"{path} does not say what it stands on: {magic} {below} {form}")
        return below

    def header_chains(self, paths):
        """{path: [path, below, ...]}"""
        below = {path: self.header_of(path) for path in paths}
        chains = {}
        for path in paths:
            chain = [path]
            while below.get(chain[-1]):
                chain.append(below[chain[-1]])
            chains[path] = chain
        return chains

    def check_sound(self, paths):
        for path in paths:
            stat = os.stat(path)
            if self.checked.get(path) == self.stamp(path):
                continue
            if stat.st_mode & 0o077:
                raise Wrong(f"{path}: others may read it")
            must(("qemu-img", "check", "-q", "-f", "qcow2", path))
            self.checked[path] = self.stamp(path)

    def check_mergeable(self, machine, layers, tops, chains):
        """After a delete or revert no layer may be there that could have been merged."""
        own = {p for p in chains if re.match(rf"{re.escape(POOL)}/{self.object(machine.name)}(\.\d+)?\.qcow2$", p)}
        foreign = {p for path, chain in chains.items() if path not in own for p in chain}
        for path in own - set(layers.values()) - set(tops):
            above = [p for p, chain in chains.items() if len(chain) > 1 and chain[1] == path]
            if len(above) == 1 and above[0] in own and above[0] not in foreign:
                raise Wrong(f"{path} was not merged into {above[0]}")

    def check(self, kind, machine):
        expected, used, tops, layers = [], set(), [], {}
        volumes, domains, defined = self.look()
        chains = self.header_chains(volumes)
        for name, one in self.machines.items():
            chain = defined[name]
            if chains.get(chain[0]) != chain:
                raise Wrong(f"{name}: defined as {chain}, but the layers say {chains.get(chain[0])}")
            layers[name] = self.layer_of(name)
            tops.append(chain[0])
            if set(layers[name]) != set(one.snapshots):
                raise Wrong(f"{name}: has snapshots {sorted(layers[name])}, should have {sorted(one.snapshots)}")
            expected.append((f"{name}, now", chain[0], one.now))
            for snapshot, (content, _) in one.snapshots.items():
                expected.append((f"{name}, snapshot {snapshot}", layers[name][snapshot], content))
            for path in [chain[0], *layers[name].values()]:
                used.update(chains.get(path, [path]))
        if len({path for _, path, _ in expected}) != len(expected):
            raise Wrong(f"two snapshots on one layer: {layers}")
        if volumes - used:
            raise Wrong(f"of no use, but still there: {sorted(volumes - used)}")
        self.compare(expected, chains)
        self.check_sound(volumes)
        merging = [n for n in domains if re.match(rf"vms-{self.user.pw_uid}-model-.*\.merge$", n)]
        if merging:
            raise Wrong(f"still there: {merging}")
        if kind in ("delete", "revert"):
            self.check_mergeable(machine, layers[machine.name], tops, chains)

    # --- steps

    def step_write(self, machine):
        runs = []
        for _ in range(self.random.randint(1, 4)):
            region, first = self.random.randrange(len(REGIONS)), self.random.randrange(BLOCKS)
            runs.append((region, first, self.random.randint(1, min(BLOCKS - first, self.random.choice((1, 4, 17, 64)))),
                         self.random.choice((0, self.random.randint(1, 255), self.random.randint(1, 255)))))
        self.write(machine, runs)
        return f"write {machine.name} {runs}"

    def step_snapshot(self, machine):
        if len(machine.snapshots) >= self.arguments.chain:
            return self.step_delete(machine)
        self.counter += 1
        name = f"s{self.counter}"
        self.vms("snapshot", machine.name, name)
        machine.snapshots[name] = (machine.now, False)
        machine.below = name
        return f"snapshot {machine.name} {name}"

    def step_revert(self, machine):
        if not machine.snapshots:
            return self.step_snapshot(machine)
        name = self.random.choice(machine.names())
        discard = self.random.random() < 0.4
        before = self.listed(machine.name)
        self.vms("revert", *(["--discard"] if discard else []), "--yes", machine.name, name)
        after = self.listed(machine.name)
        new = set(after) - set(before)
        gone = set(before) - set(after)
        # what no snapshot has must be kept; what was not written to since a snapshot that is still there need not
        if discard or machine.below in machine.snapshots:
            right = {0}
        elif machine.now not in (content for content, _ in machine.snapshots.values()):
            right = {1}
        else:
            right = {0, 1} if machine.below is not None else {1}
        if len(new) not in right or not all(after[n] for n in new):
            raise Wrong(f"revert to {name}: made the snapshots {new}, should be {right} of them")
        for snapshot in new:
            machine.snapshots[snapshot] = (machine.now, True)
        automatic = machine.names(automatic=True)
        if gone - set(automatic[:-AUTOMATIC_KEPT]):
            raise Wrong(f"revert to {name}: the snapshots {gone} are gone")
        machine.now, machine.below = machine.snapshots[name][0], name
        for snapshot in gone:
            del machine.snapshots[snapshot]
        return f"revert {machine.name} {name}{' --discard' if discard else ''}, kept {sorted(new)}, dropped {sorted(gone)}"

    def step_delete(self, machine):
        if not machine.snapshots:
            return self.step_snapshot(machine)
        names = self.random.sample(machine.names(), min(len(machine.snapshots), self.random.choice((1, 1, 1, 2, 3))))
        self.vms("snapshot", "delete", machine.name, *names)
        for name in names:
            del machine.snapshots[name]
        return f"delete {machine.name} {names}"

    def step_clone(self, machine):
        free = [n for n in NAMES if n not in self.machines]
        if not free:
            return self.step_destroy(machine)
        name = self.random.choice(free)
        self.vms("clone", machine.name, name)
        self.machines[name] = Machine(name, machine.now)
        self.machines[name].below = ""
        if machine.below is None:
            machine.below = ""
        return f"clone {machine.name} {name}"

    def step_destroy(self, machine):
        if len(self.machines) < 2:
            return self.step_clone(machine)
        if self.arguments.grow and machine.name == self.arguments.machine:
            machine = next(one for name, one in self.machines.items() if name != machine.name)
        self.vms("destroy", "--yes", machine.name)
        del self.machines[machine.name]
        return f"destroy {machine.name}"

    def step_define(self, machine):
        """start makes the definition anew, from what libvirt and the names say; killed before it boots."""
        self.vms("start", machine.name, fault="start:boot:before:kill", code=-9)
        return f"define {machine.name}"

    STEPS = (("write", 8), ("snapshot", 6), ("revert", 5), ("delete", 4), ("clone", 2), ("destroy", 2), ("define", 1))

    def step(self, kind=None):
        kind = kind or self.random.choices([k for k, _ in self.STEPS], [w for _, w in self.STEPS])[0]
        machine = self.random.choice(list(self.machines.values()))
        begin = time.monotonic()
        text = getattr(self, f"step_{kind}")(machine)
        word = text.split()[0]
        self.done[word] = self.done.get(word, 0) + 1
        self.took[word] = self.took.get(word, 0) + time.monotonic() - begin
        self.log.append(text)
        if self.arguments.verbose:
            print(text, flush=True)
        begin = time.monotonic()
        self.check(word, machine)
        self.took["check"] = self.took.get("check", 0) + time.monotonic() - begin

    def sequence(self):
        for _ in range(self.arguments.steps - 1):
            self.step()
        self.compared = {}
        self.step()

    def begin(self, name):
        self.machines[name] = Machine(name, bytes(len(REGIONS) * BLOCKS))
        # what the image has there is not known
        self.write(self.machines[name], [(region, 0, BLOCKS, 1 + region) for region in range(BEYOND_IMAGE)])
        self.check("write", self.machines[name])

    def grow(self, n):
        """A chain of so many snapshots on one another."""
        machine = next(iter(self.machines.values()))
        for _ in range(n):
            self.log += [self.step_write(machine), self.step_snapshot(machine)]
        self.check("snapshot", machine)
        depth = len(self.defined_chain(machine.name))
        if depth < n + 1:
            raise Wrong(f"a chain of {depth} layers after {n} snapshots")
        return depth

    def deepest(self):
        volumes, _, _ = self.look()
        return max(len(chain) for chain in self.header_chains(volumes).values())

    def end(self):
        for name in list(self.machines):
            self.vms("destroy", "--yes", name)
        self.machines = {}
        left, _, _ = self.look()
        if left:
            raise Wrong(f"after the last is destroyed: {sorted(left)}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sequences", type=int, default=20)
    parser.add_argument("--all", action="store_true", help="fail when the time does not suffice for so many")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--chain", type=int, default=8, help="snapshots of one machine at most")
    parser.add_argument("--grow", type=int, default=0, help="snapshots on one another to begin with")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--user", required=True)
    parser.add_argument("--prefix", required=True)
    parser.add_argument("machine")
    arguments = parser.parse_args()
    world = World(arguments)
    begin = time.monotonic()
    sequences = 0
    print(f"seed {arguments.seed}", flush=True)
    try:
        world.begin(arguments.machine)
        if arguments.grow:
            print(f"a chain of {world.grow(arguments.grow)} layers after {time.monotonic() - begin:.0f} s", flush=True)
        while sequences < arguments.sequences and time.monotonic() - begin < arguments.seconds:
            world.sequence()
            sequences += 1
        print(f"{world.deepest()} layers on one another at the end")
        world.end()
    except Wrong as wrong:
        print(f"in sequence {sequences + 1}: {wrong}\nsteps, the last 30 that succeeded before:")
        print("\n".join(world.log[-30:]))
        return 1
    finally:
        print("seconds: " + ", ".join(f"{k} {n:.1f}" for k, n in sorted(world.took.items())))
    print(f"{sequences} sequences of {arguments.steps} steps in {time.monotonic() - begin:.0f} s: "
          + ", ".join(f"{n} {k}" for k, n in sorted(world.done.items())))
    if not sequences or (sequences >= 20 and len(world.done) < len(World.STEPS)):
        print("too little was tried")
        return 1
    if arguments.all and sequences < arguments.sequences:
        print(f"the time was enough for {sequences} sequences only, of {arguments.sequences}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
