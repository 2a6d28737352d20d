#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A machine out to a file, and a machine of that file: what is on its disk comes along, its identity does not. A file that is
# spoilt is refused before libvirt or QEMU see a byte of it; whoever is killed on the way leaves nothing that stays.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/vm/identity-lib.sh
. "$(dirname "$0")/identity-lib.sh"

need_image
vms destroy --yes --if-exists exp imp >/dev/null 2>&1

FILE=$TEST_HOME/exp.vms

volumes() {
	root_virsh vol-list --pool vms | awk '{ print $1 }' | grep -E "^vms[a-z0-9]*-$TEST_UID-(exp|imp|again)|^image\.imported-" | sort
}

starts() {
	vms create exp --profile work
	printf '[machine]\nmemory=1GiB\ncpus=2\n[network]\nforward=8123\n' >>"$PROFILES/exp.profile"
	vms start exp
	in_guest exp 'echo kept >~/kept; head -c 20M /dev/urandom >~/random; sha256sum <~/random' >"$VMS_TESTS_WORK/exp.sum"
	in_guest exp 'head -c 300M /dev/zero >~/zeros; sync; rm ~/zeros'
	plant exp
	identifiers exp >"$VMS_TESTS_WORK/exp.identity"
}

# Form, checksums, size, and that the disk stands on nothing; the machine is as before.
file_is_whole() {
	local out size
	out=$(as_user tar -tvf "$1")
	eq "$(awk '{ print $6 }' <<<"$out" | tr '\n' ' ')" "vms-export profile cmdline kernel initrd disk.qcow2 SHA256SUMS "
	eq "$(stat -c '%a %U' "$1")" "600 $TEST_USER"
	mkdir "$T/x" && tar -xf "$1" -C "$T/x"
	(cd "$T/x" && sha256sum --quiet --strict -c SHA256SUMS)
	qemu-img check -q "$T/x/disk.qcow2"
	lacks "$(qemu-img info "$T/x/disk.qcow2")" 'backing|data file'
	size=$(stat -c %s "$T/x/disk.qcow2")
	lacks "$(head -c 4096 "$T/x/disk.qcow2" | tr -d '\0')" "$(basename "$FILE")"
	rm -r "$T/x"
	# what was deleted in the guest is not in it
	[ "$size" -lt 2500000000 ] || fail "the disk has $size bytes"
}

exports_while_it_runs() {
	local boot
	boot=$(in_guest exp 'cat /proc/sys/kernel/random/boot_id')
	vms export exp "$FILE"
	file_is_whole "$FILE"
	eq "$(in_guest exp 'cat /proc/sys/kernel/random/boot_id')" "$boot" "boot"
	lacks "$(volumes)" '\.export$'
	eq "$(volumes | grep -c "^$(object exp)[0-9.]*qcow2$")" 1 "layers"
	eq "$(find "$TEST_HOME" -maxdepth 1 -name '.exp.vms*' | wc -l)" 0 "what is left of the file"
	contains "$(status 1 vms export exp "$FILE" 2>&1)" 'there already'
}

exports_while_it_is_off() {
	vms stop exp
	vms export --force exp "$FILE"
	file_is_whole "$FILE"
	lacks "$(volumes)" '\.export$'
}

# spoil KIND: a file like the exported one, spoilt
spoil() {
	python3 - "$1" "$FILE" "$T/bad.vms" <<'PYTHON'
import hashlib, struct, sys, tarfile, io
kind, source, target = sys.argv[1:]
disk = bytearray(1 << 19)
def put(at, form, value): struct.pack_into(form, disk, at, value)
C = 1 << 16
disk[0:4] = b"QFI\xfb"; put(4, ">I", 3); put(20, ">I", 16); put(24, ">Q", 1 << 30); put(36, ">I", 2); put(40, ">Q", 3 * C)
put(48, ">Q", C); put(56, ">I", 1); put(96, ">I", 4); put(100, ">I", 104); put(C, ">Q", 2 * C); put(3 * C, ">Q", 4 * C | 1 << 63)
for i in range(5): put(2 * C + 2 * i, ">H", 1)
disk = disk[:5 * C]
if kind == "backing":
    put(8, ">Q", 256); put(16, ">I", 13); disk[256:269] = b"/etc/hostname"
if kind == "data-file":
    put(72, ">Q", 4); put(104, ">I", 0x44415441); put(108, ">I", 13); disk[112:125] = b"/etc/hostname"
if kind == "huge":
    put(24, ">Q", 1 << 60)
if kind == "vmdk":
    disk[0:512] = b"# Disk DescriptorFile\nversion=1\nRW 1 FLAT \"/etc/hostname\" 0\n".ljust(512, b"\0")
kernel = bytearray(4096); kernel[0x1f1] = 3; kernel[0x1fe:0x200] = b"\x55\xaa"; kernel[0x202:0x208] = b"HdrS\x0f\x02"
if kind == "multiboot":
    kernel[0:0x300] = struct.pack("<III", 0x1badb002, 0x10000, -(0x1badb002 + 0x10000) & 0xffffffff).ljust(0x300, b"\0")
if kind == "setup":
    kernel[0x1f1] = 255
profile = open("/dev/null", "rb").read() + b"[profile]\ninherits=base\n"
if kind == "profile":
    profile += b"[machine]\nqemu=-drive file=/etc/hostname\n"
members = [("vms-export", b"format=1\nname=bad\nimage=x\ncreated=y\nversion=z\n"), ("profile", profile), ("cmdline", b"quiet"),
           ("kernel", bytes(kernel)), ("initrd", b"i"), ("disk.qcow2", bytes(disk))]
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
	chmod 644 "$T/bad.vms"
}

# Refused with its own reason, in little time and memory; no other file opened than libraries, our own and this one; nothing made.
hostile_files() {
	local before kind out opened pattern limit="ulimit -v 1500000"
	# sanitizers take what addresses they like, and their look for leaks does not work under strace
	! grep -q __asan_init "$VMS_TESTS_PREFIX"/lib*/libsandbox-1.so.0 || limit="export ASAN_OPTIONS=detect_leaks=0"
	before=$(volumes)
	while read -r kind pattern; do
		spoil "$kind"
		out=$(status 2 as_user timeout 20 bash -c "$limit; exec strace -f -qq -e trace=open,openat,openat2,execve -o ~/trace vms import '$T/bad.vms'" 2>&1)
		contains "$out" "$pattern"
		opened=$(grep -oE '"[^"]*"' "$TEST_HOME/trace" | tr -d '"' | sort -u)
		contains "$opened" 'bad\.vms'
		lacks "$opened" '/etc/hostname|/var/lib/libvirt|qemu-img'
	done <<-'EOL'
		backing backing file
		data-file data file
		huge no more than
		vmdk no qcow2 disk
		profile qemu
		link "disk.qcow2" is something else
		multiboot "kernel" is no kernel of Linux
		setup "kernel" ends within
	EOL
	rm -f "$TEST_HOME/trace" "$T/bad.vms"
	eq "$(volumes)" "$before" "volumes"
	lacks "$(vms list)" bad
}

imports() {
	local out
	out=$(vms import "$FILE" --name imp 2>&1)
	contains "$out" 'exported from "exp"'
	contains "$out" 'taken: memory=1GiB'
	contains "$out" 'left out: forward=8123'
	eq "$(domain_state imp)" "shut off"
	vms start imp
	eq "$(in_guest imp 'cat ~/kept; sha256sum <~/random')" "kept"$'\n'"$(cat "$VMS_TESTS_WORK/exp.sum")"
	identifiers imp >"$T/imp.identity"
	differ "$VMS_TESTS_WORK/exp.identity" "$T/imp.identity"
	vms list --disk | grep -qE '^image +imported-'
	vms stop --force --timeout 5s imp
}

leaves_nothing() {
	vms destroy --yes imp exp
	nothing_remains imp
	nothing_remains exp
	# the pool is shared: only what is this test's goes
	contains "$(vms image prune 2>&1)" 'image +imported-'
	vms image remove imported
	eq "$(volumes)" "" "volumes"
}

steps() {
	vms help --steps | awk -v verb="$1" '$1 == verb { print $1 ":" $2 ":before:kill"; print $1 ":" $2 ":after:kill" }'
}

# Killed at steps of both: what the next command and a repair leave is nothing, and then it works.
killed_anywhere() {
	local fault before
	before=$(volumes)
	while read -r fault; do
		case $fault in
		export:*) SANDBOX_FAULT=$fault vms export exp "$TEST_HOME/out.vms" >/dev/null 2>&1 && fail "$fault: it was not killed" ;;
		*) SANDBOX_FAULT=$fault vms import "$FILE" --name imp >/dev/null 2>&1 && fail "$fault: it was not killed" ;;
		esac
		[ "${fault#export:clean:}" != "$fault" ] || [ "${fault#export:publish:after}" != "$fault" ] || [ ! -e "$TEST_HOME/out.vms" ] ||
			fail "$fault: there is half a file"
		rm -f "$TEST_HOME/out.vms"
		vms doctor --repair --yes >/dev/null 2>&1
		# with a definition and a disk it is a machine, which repair leaves alone
		[ -z "$(domain_state imp)" ] || vms destroy --yes imp
		vms image remove imported >/dev/null 2>&1 || true
		eq "$(volumes)" "$before" "volumes after $fault"
		nothing_remains imp
	done < <({ steps export && steps import; } | sample 4)
	vms export exp "$TEST_HOME/again.vms"
	file_is_whole "$TEST_HOME/again.vms"
}

# Where files need a name from the beginning: what a killed export leaves goes with the next one to the same place.
killed_beside_its_target() {
	local place=$TEST_HOME/mounted have=0
	as_user mkdir -p "$place" "$TEST_HOME/far"
	mkfifo "$T/to-server"
	chmod 666 "$T/to-server"
	{ as_user /usr/lib/openssh/sftp-server <"$T/to-server" | sshfs -f -o passive,allow_other "far:$TEST_HOME/far" "$place" >"$T/to-server"; } &
	until mountpoint -q "$place"; do sleep 0.2; done
	SANDBOX_FAULT=export:write:after:kill vms export exp "$place/out.vms" || have=$?
	eq "$have" 137
	eq "$(ls -A "$place")" .out.vms.vms-part "what is there"
	vms export exp "$place/out.vms"
	eq "$(ls -A "$place")" out.vms "what is there"
	have=0
	SANDBOX_FAULT=export:write:after:stop vms export --force exp "$place/out.vms" &
	until [ -e "$place/.out.vms.vms-part" ] && pgrep -u "$TEST_UID" -x vms -r T >/dev/null; do sleep 0.2; done
	pkill -INT -u "$TEST_UID" -x vms
	pkill -CONT -u "$TEST_UID" -x vms
	wait $! || have=$?
	eq "$have" 130 "exit status after Ctrl-C"
	eq "$(ls -A "$place")" out.vms "what is there"
	umount "$place"
	rm -r "$place" "$TEST_HOME/far"
}

t "a machine with files in it" starts
passed || finish
t "exported while it runs" exports_while_it_runs
passed || finish
if full; then
	t "exported while it is off" exports_while_it_is_off
else
	vms stop --force --timeout 20s exp >/dev/null 2>&1
fi
t "hostile files: refused, nothing else opened, nothing made" hostile_files
t "killed at steps of export and import" killed_anywhere
if command -v sshfs >/dev/null; then
	t "killed, and interrupted, where no file is without a name" killed_beside_its_target
	umount "$TEST_HOME/mounted" 2>/dev/null
else
	skip "killed, and interrupted, where no file is without a name" "sshfs is not here (apt-get install sshfs)"
fi
t "imported under another name: the files are there, the identity is another" imports
t "nothing stays" leaves_nothing
rm -f "$FILE" "$TEST_HOME/again.vms" "$VMS_TESTS_WORK/exp.identity" "$VMS_TESTS_WORK/exp.sum"
vms destroy --yes --if-exists exp imp >/dev/null 2>&1
finish
