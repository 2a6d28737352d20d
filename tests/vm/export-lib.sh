# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# What the tests of exported files share: the tree of a machine's snapshots as it is told, and files that are made by hand, small,
# and wrong in one thing.

# snapshots NAME [COMMAND]: all that is said of each but for its size; as the test user, or with COMMAND for vms
snapshots() {
	"${2:-vms}" snapshot list --json "$1" | python3 -c '
import json, sys
tree = json.load(sys.stdin)
print(*["%s<%s:%s:%s:%s:%s" % tuple(s[k] for k in ("name", "parent", "note", "created", "automatic", "running")) for s in tree["snapshots"]],
      "now<" + tree["present"]["parent"])'
}

# most_memory FILE COMMAND...: runs it as the test user; the most KiB that one process of it had in use go to FILE. Sanitizers keep
# what was freed, and their look for leaks does not work under strace.
most_memory() {
	as_user env ASAN_OPTIONS=detect_leaks=0:quarantine_size_mb=1 python3 -c '
import resource, subprocess, sys
status = subprocess.call(sys.argv[2:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=open(sys.argv[1], "w"))
sys.exit(status if status >= 0 else 128 - status)' "$@"
}

# import_small KIND: a file of that kind, which must be refused; TRACE and PEAK in the test user's home.
import_small() {
	write_small "$1" "$T/bad.vms"
	status 2 most_memory "$TEST_HOME/peak" timeout 20 strace -f -qq -e trace=open,openat,openat2,creat,execve -o "$TEST_HOME/trace" \
		vms import "$T/bad.vms" 2>&1
}

# opened_after FILE: what was opened, or tried to be, or run, from FILE on, of the last import_small; without translations of errors.
opened_after() {
	FILE=$1 awk 'index($0, "open") && index($0, "\"" ENVIRON["FILE"] "\"") { on = 1 } on' "$TEST_HOME/trace" | grep -oE '"[^"]*"' | tr -d '"' |
		sed '/^\/usr\/share\/locale\//d' | sort -u
}

# write_small KIND FILE: "layer-good" and "good" are right; "harmless" is refused for a word in its profile, with all else read.
write_small() {
	python3 - "$1" "$2" <<'PYTHON'
import hashlib, struct, sys
kind, target = sys.argv[1:]
C = 1 << 16
def put(disk, at, form, value):
    struct.pack_into(form, disk, at, value)
# header, table of counts, counts, first table, second table
def make_disk(size=1 << 30, below=None):
    disk = bytearray(5 * C)
    disk[0:4] = b"QFI\xfb"
    for at, form, value in ((4, ">I", 3), (20, ">I", 16), (24, ">Q", size), (36, ">I", max(1, size >> 29)), (40, ">Q", 3 * C),
                            (48, ">Q", C), (56, ">I", 1), (96, ">I", 4), (100, ">I", 104), (C, ">Q", 2 * C), (3 * C, ">Q", 4 * C | 1 << 63)):
        put(disk, at, form, value)
    for i in range(5):
        put(disk, 2 * C + 2 * i, ">H", 1)
    if below:
        put(disk, 8, ">Q", 128)
        put(disk, 16, ">I", len(below))
        put(disk, 104, ">I", 0xe2792aca)
        put(disk, 108, ">I", 5)
        disk[112:117] = b"qcow2"
        disk[128:128 + len(below)] = below
    return disk
disk = make_disk()
if kind == "backing":
    put(disk, 8, ">Q", 256); put(disk, 16, ">I", 13); disk[256:269] = b"/etc/hostname"
if kind == "data-file":
    put(disk, 72, ">Q", 4); put(disk, 104, ">I", 0x44415441); put(disk, 108, ">I", 13); disk[112:125] = b"/etc/hostname"
if kind == "huge":
    put(disk, 24, ">Q", 1 << 60)
if kind == "counts":
    put(disk, 56, ">I", 1 << 31)
if kind == "vmdk":
    disk[0:512] = b"# Disk DescriptorFile\nversion=1\nRW 1 FLAT \"/etc/hostname\" 0\n".ljust(512, b"\0")
kernel = bytearray(4096); kernel[0x1f1] = 3; kernel[0x1fe:0x200] = b"\x55\xaa"; kernel[0x202:0x208] = b"HdrS\x0f\x02"
if kind == "multiboot":
    kernel[0:0x300] = struct.pack("<III", 0x1badb002, 0x10000, -(0x1badb002 + 0x10000) & 0xffffffff).ljust(0x300, b"\0")
if kind == "setup":
    kernel[0x1f1] = 255
profile = b"[profile]\ninherits=base\n"
if kind == "profile":
    profile += b"[machine]\nqemu=-drive file=/etc/hostname\n"
if kind == "harmless":
    profile += b"[machine]\nmemory=much\n"
layered = kind.startswith("layer-")
version = 2 if layered and kind != "layer-old" else 1
members = [("vms-export", b"format=%d\nname=bad\nimage=x\ncreated=y\nversion=z\n" % version), ("profile", profile), ("cmdline", b"quiet"),
           ("kernel", bytes(kernel)), ("initrd", b"i"), ("disk.qcow2", bytes(disk))]
if layered:
    names = {"layer-passwd": b"/etc/passwd", "layer-absolute": b"/etc/hostname", "layer-9": b"layer-9.qcow2",
             "layer-itself": b"layer-1.qcow2", "layer-later": b"layer-2.qcow2", "layer-nothing": None}
    one = make_disk(below=names.get(kind, b"disk.qcow2"))
    two = make_disk(size={"layer-smaller": 1 << 29, "layer-huge": 1 << 44}.get(kind, 1 << 30), below=b"layer-1.qcow2" if kind != "layer-useless" else b"disk.qcow2")
    if kind == "layer-huge":
        put(two, 36, ">I", 1 << 15)
    if kind == "layer-data-file":
        put(one, 72, ">Q", 4)
    if kind == "layer-more":
        one[4096:4109] = b"/etc/hostname"
    def group(name, layer):
        return b"[%s]\nlayer=%d\ncreated=1795341600000000\nautomatic=false\nrunning=true\nnote=a note\n" % (name, layer)
    snapshots = group(b"first", {"layer-names": 2}.get(kind, 0 if kind == "layer-useless" else 1))
    if kind == "layer-twice":
        snapshots += b"\n" + group(b"second", 1)
    if kind == "layer-list":
        snapshots += b"# more\n"
    members += [("snapshots", snapshots)]
    if kind != "layer-none":
        members += [("layer-1.qcow2", bytes(one)), ("layer-2.qcow2", bytes(two))]
if kind == "link":
    members[5] = ("disk.qcow2", None)
sums = "".join("%s  %s\n" % (hashlib.sha256(data or b"").hexdigest(), name) for name, data in members)
def header(name, size, type):
    block = bytearray(512)
    block[:len(name)] = name.encode(); block[100:108] = b"0000600\0"; block[108:116] = block[116:124] = b"0000000\0"
    block[124:136] = b"%011o\0" % size; block[136:148] = b"00000000000\0"; block[156:157] = type; block[257:265] = b"ustar\x0000"
    if type == b"2": block[157:170] = b"/etc/hostname"
    block[148:156] = b"        "; block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)
out = b""
for name, data in members + [("SHA256SUMS", sums.encode())]:
    out += header(name, len(data or b""), b"0" if data is not None else b"2") + (data or b"") + b"\0" * (-len(data or b"") % 512)
open(target, "wb").write(out + b"\0" * 1024)
PYTHON
	chmod 644 "$2"
}
