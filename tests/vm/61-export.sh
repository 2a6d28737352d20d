#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A machine out to a file, and a machine of that file: what is on its disk comes along, its identity does not. A file that is
# spoilt is refused before libvirt or QEMU see a byte of it; whoever is killed on the way leaves nothing that stays.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/vm/identity-lib.sh
. "$(dirname "$0")/identity-lib.sh"
# shellcheck source=tests/vm/export-lib.sh
. "$(dirname "$0")/export-lib.sh"

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
	in_guest exp 'head -c 300M /dev/urandom >~/junk; sync; rm ~/junk; sync'
	plant exp
	identifiers exp >"$VMS_TESTS_WORK/exp.identity"
}

# MiB that FILE takes
allocated() {
	echo $(($(stat -c %b "$1") / 2048))
}

# Form, checksums, size, and that the disk stands on nothing; the machine is as before.
file_is_whole() {
	local out size image
	out=$(as_user tar -tvf "$1")
	eq "$(awk '{ print $6 }' <<<"$out" | tr '\n' ' ')" "vms-export profile cmdline kernel initrd disk.qcow2 SHA256SUMS "
	eq "$(stat -c '%a %U' "$1")" "600 $TEST_USER"
	mkdir "$T/x" && tar -xf "$1" -C "$T/x"
	(cd "$T/x" && sha256sum --quiet --strict -c SHA256SUMS)
	qemu-img check -q "$T/x/disk.qcow2"
	lacks "$(qemu-img info "$T/x/disk.qcow2")" 'backing|data file'
	size=$(allocated "$T/x/disk.qcow2")
	lacks "$(head -c 4096 "$T/x/disk.qcow2" | tr -d '\0')" "$(basename "$FILE")"
	rm -r "$T/x"
	# what was deleted in the guest is not in it: random bytes, which a copy of the disk does not leave out by itself
	image=$(allocated "/var/lib/libvirt/images/vms/image.$(vms status --json exp |
		python3 -c 'import json, sys; print(json.load(sys.stdin)["machines"][0]["image"])').qcow2")
	echo "the disk has $size MiB, its image $image"
	[ "$size" -lt $((image + 200)) ] || fail "the disk has $size MiB, its image $image"
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

# What a killed export leaves of a machine that runs is found, counted, and removed: the copy of its disk; the layer that was made for
# it, while nothing writes to that.
killed_while_it_runs() {
	local before fault left
	before=$(volumes)
	for fault in flatten layer; do
		SANDBOX_FAULT=export:$fault:after:kill vms export exp "$TEST_HOME/out.vms" >/dev/null 2>&1 && fail "$fault: it was not killed"
		case $fault in
		flatten) left=$(object exp).export ;;
		layer) left=$(volumes | grep "^$(object exp)[.0-9]*qcow2$" | sort -V | tail -n 1) ;;
		esac
		contains "$(volumes)" "^${left//./\\.}\$"
		lacks "$before" "^${left//./\\.}\$"
		python3 -c 'import json, sys
machine, = [i for i in json.load(sys.stdin)["space"] if i["kind"] == "machine" and i["name"] == "exp"]
assert machine["reclaimable_bytes"] > 0, machine' < <(vms list --disk --json)
		contains "$(vms doctor --repair --yes 2>&1)" "$left"
		lacks "$(volumes)" "^${left//./\\.}\$"
		eq "$(domain_state exp)" running
	done
	eq "$(in_guest exp 'sha256sum <~/random')" "$(cat "$VMS_TESTS_WORK/exp.sum")"
}

exports_while_it_is_off() {
	vms stop exp
	vms export --force exp "$FILE"
	file_is_whole "$FILE"
	lacks "$(volumes)" '\.export$'
}

# Refused with its own reason, in little time, and with no more memory than a file in which nothing but a word is wrong; from the
# moment that the file is open, nothing is opened that is not for that one, too; nothing is made.
hostile_files() {
	local before kind out allowed most pattern
	before=$(volumes)
	contains "$(import_small harmless)" 'memory'
	allowed=$(opened_after "$T/bad.vms")
	contains "$allowed" 'bad\.vms'
	lacks "$allowed" '/etc/|/var/lib/libvirt|qemu-img|layer-'
	most=$(($(cat "$TEST_HOME/peak") + 16 * 1024))
	while read -r kind pattern; do
		out=$(import_small "$kind")
		contains "$out" "$pattern"
		contains "$(opened_after "$T/bad.vms")" 'bad\.vms'
		eq "$(opened_after "$T/bad.vms" | comm -13 <(echo "$allowed") -)" "" "what is opened because of $kind"
		[ "$(cat "$TEST_HOME/peak")" -le "$most" ] || fail "$kind: $(cat "$TEST_HOME/peak") KiB of memory, $most are enough"
	done <<-'EOL'
		backing backing file
		data-file data file
		huge no more than
		counts table of counts has a length
		vmdk no qcow2 disk
		profile qemu
		link "disk.qcow2" is something else
		multiboot "kernel" is no kernel of Linux
		setup "kernel" ends within
		layer-passwd "layer-1.qcow2": .*backing file is "/etc/passwd"
		layer-absolute "layer-1.qcow2": .*backing file is "/etc/hostname"
		layer-9 "layer-1.qcow2": .*backing file is "layer-9.qcow2"
		layer-itself "layer-1.qcow2": .*backing file is "layer-1.qcow2"
		layer-later "layer-1.qcow2": .*backing file is "layer-2.qcow2"
		layer-data-file "layer-1.qcow2": .*it has a data file
		layer-nothing "layer-1.qcow2": .*stands on nothing
		layer-more "layer-1.qcow2": .*says more than
		layer-smaller "layer-2.qcow2" is a smaller disk
		layer-huge "layer-2.qcow2": .*no more than
		layer-names list of snapshots names a layer that is not in the file
		layer-twice list of snapshots names a layer twice
		layer-list list of snapshots is none
		layer-useless number 1 is of no use
		layer-none "layer-1.qcow2" is something else
		layer-old "SHA256SUMS" is something else
	EOL
	rm -f "$TEST_HOME/trace" "$TEST_HOME/peak" "$T/bad.vms"
	eq "$(volumes)" "$before" "volumes"
	lacks "$(vms list)" bad
}

# Small layers, which nobody can start: what the pool has of them, and that all of it goes again.
layered_file() {
	local pool=/var/lib/libvirt/images/vms name
	name=$(object imp)
	write_small layer-good "$T/good.vms"
	contains "$(vms import "$T/good.vms" --name imp 2>&1)" 'with 1 snapshot$'
	eq "$(volumes | grep -c "^$name")" 3 "layers"
	contains "$(vms snapshot list imp)" 'first .*a note'
	eq "$(snapshots imp)" "first<:a note:2026-11-22T10:00:00Z:False:True now<first"
	contains "$(qemu-img info -U "$pool/$name.1.qcow2")" "backing file: $pool/$name.qcow2"
	contains "$(qemu-img info -U "$pool/$name.2.qcow2")" "backing file: $pool/$name.1.qcow2"
	contains "$(qemu-img info -U "$pool/$name.2.qcow2")" "backing file format: qcow2"
	qemu-img check -q "$pool/$name.2.qcow2"
	eq "$(root_virsh vol-dumpxml --pool vms "$name.2.qcow2" | grep -c "<path>$pool/$name.1.qcow2</path>")" 1
	vms destroy --yes imp
	nothing_remains imp
	vms image remove imported
	rm "$T/good.vms"
}

imports() {
	local out most
	import_small harmless >/dev/null
	most=$(($(cat "$TEST_HOME/peak") + 64 * 1024))
	out=$(most_memory "$TEST_HOME/peak" timeout -k 10 900 vms import "$FILE" --name imp 2>&1)
	# however long it is
	[ "$(cat "$TEST_HOME/peak")" -le "$most" ] || fail "$(cat "$TEST_HOME/peak") KiB of memory, $most are enough"
	rm "$TEST_HOME/peak" "$TEST_HOME/trace" "$T/bad.vms"
	contains "$out" 'exported from "exp"'
	contains "$out" 'taken: memory=1GiB'
	contains "$out" 'left out: forward=8123'
	eq "$(domain_state imp)" "shut off"
	# the file was this user's alone
	eq "$(stat -c %a "/var/lib/libvirt/images/vms/image.$(vms status --json imp | grep -o 'imported-[^"]*').qcow2")" 400
	vms start imp
	eq "$(in_guest imp 'cat ~/kept; sha256sum <~/random')" "kept"$'\n'"$(cat "$VMS_TESTS_WORK/exp.sum")"
	identifiers imp >"$T/imp.identity"
	differ "$VMS_TESTS_WORK/exp.identity" "$T/imp.identity"
	vms list --disk | grep -qE '^image +imported-'
	vms snapshot imp one
	in_guest imp 'echo more >~/more; sync'
	vms stop --force --timeout 5s imp
	# an image that was made here reads that disk
	contains "$(vms snapshot diff imp one)" '/more( |$)'
	vms snapshot delete imp one
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
t "killed while it runs: what is left is found, and goes" killed_while_it_runs
t "exported while it runs" exports_while_it_runs
passed || finish
if full; then
	t "exported while it is off" exports_while_it_is_off
else
	vms stop --force --timeout 20s exp >/dev/null 2>&1
fi
t "hostile files: refused, nothing else opened, nothing made" hostile_files
t "a small file with layers: they stand on one another here, and go again" layered_file
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
