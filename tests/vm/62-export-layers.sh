#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A machine with snapshots on two branches, out to a file and into machines of that file, of this user and of another: the tree of
# snapshots is the same, each can be gone back to, and has what it had; the identity is another in each of them.
# in turns
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/vm/identity-lib.sh
. "$(dirname "$0")/identity-lib.sh"
# shellcheck source=tests/vm/export-lib.sh
. "$(dirname "$0")/export-lib.sh"

need_image
vms destroy --yes --if-exists tree imp >/dev/null 2>&1
other_vms destroy --yes --if-exists imp >/dev/null 2>&1

POOL=/var/lib/libvirt/images/vms
FILE=$TEST_HOME/tree.vms
OFF=$TEST_HOME/tree-off.vms
W=$VMS_TESTS_WORK/layers

volumes() {
	root_virsh vol-list --pool vms | awk '{ print $1 }' | grep -E "^vms[a-z0-9]*-($TEST_UID|$(id -u "$OTHER_USER"))-(tree|imp)|^image\.imported-" | sort
}

# change STATE: files that come, change and go from each state to the next
change() {
	in_guest tree "cd /srv/tree && echo $1 | sudo tee state >/dev/null && sudo dd if=/dev/urandom of=random-$1 bs=1M count=8 status=none &&
		sudo dd if=/dev/urandom of=shared bs=64k seek=\$((RANDOM % 100)) count=3 conv=notrunc status=none && sudo sh -c 'find etc -type f -name \"*.conf\" -exec sed -i \"s/^#.*/# $1/\" {} +' && sync"
	digest tree >"$W.$1"
}

# digest NAME [COMMAND]: of all in the tree, in a machine of the test user, or with COMMAND for vms
digest() {
	"${2:-vms}" ssh "$1" -- 'cat /srv/tree/state; sudo find /srv/tree -type f -print0 | sort -z | sudo xargs -0 sha256sum | sha256sum' </dev/null
}

# one <- two, one <- three <- now; the state that was left for one has a name of its own
starts() {
	vms create tree --profile work
	printf '[machine]\nmemory=1GiB\ncpus=2\n' >>"$PROFILES/tree.profile"
	vms start tree
	in_guest tree 'sudo mkdir -p /srv/tree && sudo cp -a /etc /srv/tree/ && sudo dd if=/dev/urandom of=/srv/tree/shared bs=1M count=8 status=none'
	plant tree
	change one
	vms snapshot tree one -m $'the first; with a "note",\tand [more]'
	change two
	vms snapshot tree two
	in_guest tree 'echo left | sudo tee /srv/tree/state >/dev/null; sync'
	vms revert tree --yes one
	change three
	vms snapshot tree three -m 'ünïcode  '
	change now
	identifiers tree >"$W.identity"
	snapshots tree >"$W.tree"
	contains "$(cat "$W.tree")" 'one<:.*two<one:.*auto-.*<two:.*three<one:.* now<three'
}

# Every layer by itself is sound, says nothing of this host, and stands on one before it: together they can be read where they are.
file_is_whole() {
	local layer n=0
	eq "$(tar -tf "$1" | tr '\n' ' ')" "vms-export profile cmdline kernel initrd disk.qcow2 snapshots layer-1.qcow2 layer-2.qcow2 layer-3.qcow2 layer-4.qcow2 SHA256SUMS "
	eq "$(stat -c '%a %U' "$1")" "600 $TEST_USER"
	mkdir "$T/x" && tar -xf "$1" -C "$T/x"
	(cd "$T/x" && sha256sum --quiet --strict -c SHA256SUMS)
	eq "$(head -n 1 "$T/x/vms-export")" "format=2"
	for layer in "$T"/x/layer-*.qcow2; do
		n=$((n + 1))
		qemu-img check -q "$layer"
		lacks "$(head -c 65536 "$layer" | tr -d '\0')" 'libvirt|vms-'
		contains "$(head -c 65536 "$layer" | tr '\0' '\n' | strings)" '^(disk|layer-[1-3])\.qcow2$'
		eq "$(($(qemu-img map --output=json "$layer" | wc -l) > 1))" 1 "the whole chain below $layer is read"
	done
	eq "$n" 4 "layers"
	qemu-img check -q "$T/x/disk.qcow2"
	lacks "$(qemu-img info "$T/x/disk.qcow2")" 'backing|data file'
	rm -r "$T/x"
}

exports_while_it_runs() {
	local boot
	boot=$(in_guest tree 'cat /proc/sys/kernel/random/boot_id')
	vms export --layers tree "$FILE"
	file_is_whole "$FILE"
	eq "$(in_guest tree 'cat /proc/sys/kernel/random/boot_id')" "$boot" "boot"
	eq "$(snapshots tree)" "$(cat "$W.tree")" "the tree of what was exported"
	eq "$(volumes | grep -cE "^$(object tree)\.([0-9]+\.)?qcow2$")" 5 "layers, that which was frozen for it merged again"
	lacks "$(volumes)" '\.export$'
}

exports_while_it_is_off() {
	vms stop --force --timeout 60s tree
	vms export --layers tree "$OFF"
	file_is_whole "$OFF"
	eq "$(snapshots tree)" "$(cat "$W.tree")" "the tree of what was exported"
	lacks "$(volumes)" '\.export$'
	# the profile and the layers that are frozen are the same
	eq "$(tar -xOf "$OFF" SHA256SUMS | grep -E '(profile|snapshots|layer-[1-3].qcow2)$')" "$(tar -xOf "$FILE" SHA256SUMS | grep -E '(profile|snapshots|layer-[1-3].qcow2)$')"
	# without snapshots it is a file as always
	vms export tree "$TEST_HOME/flat.vms"
	eq "$(tar -tf "$TEST_HOME/flat.vms" | tr '\n' ' ')" "vms-export profile cmdline kernel initrd disk.qcow2 SHA256SUMS "
	eq "$(tar -xOf "$TEST_HOME/flat.vms" vms-export | head -n 1)" "format=1"
	rm "$TEST_HOME/flat.vms"
}

# chain_is_sound NAME: of a machine that is off; each layer private, and on what libvirt says
chain_is_sound() {
	local layer
	for layer in $(root_virsh vol-list --pool vms | awk '{ print $1 }' | grep -E "^$1(\.[0-9]+)?\.qcow2$"); do
		qemu-img check -q "$POOL/$layer" || fail "$layer is damaged"
		eq "$(stat -c %a "$POOL/$layer")" 600 "mode of $layer"
		contains "$(qemu-img info "$POOL/$layer")" "backing file: $POOL/($1(\.[0-9]+)?\.qcow2|image\.imported-.*)"
	done
}

imports() {
	contains "$(vms import "$FILE" --name imp 2>&1)" 'with 4 snapshots'
	eq "$(snapshots imp)" "$(cat "$W.tree")" "the tree"
	eq "$(domain_state imp)" "shut off"
	chain_is_sound "$(object imp)"
	vms start imp
	eq "$(digest imp)" "$(cat "$W.now")" "what it has now"
	identifiers imp >"$T/imp.identity"
	differ "$W.identity" "$T/imp.identity"
}

goes_back() {
	local state
	for state in two one three; do
		vms revert imp --yes --discard "$state"
		eq "$(digest imp)" "$(cat "$W.$state")" "what it has at $state"
		identifiers imp >"$T/imp.$state"
		differ "$W.identity" "$T/imp.$state"
		# and it is still the machine that was imported
		eq "$(grep -E '^(machine-id|host-key-ed25519|user-key|guest-key|mac) ' "$T/imp.$state")" \
			"$(grep -E '^(machine-id|host-key-ed25519|user-key|guest-key|mac) ' "$T/imp.identity")" "identity at $state"
	done
	# its layers are like others: one that only another stands on is merged
	vms stop --force --timeout 60s imp
	vms snapshot delete imp three
	chain_is_sound "$(object imp)"
	eq "$(volumes | grep -cE "^$(object imp)\.([0-9]+\.)?qcow2$")" 4 "layers"
	vms start imp
	eq "$(digest imp)" "$(cat "$W.three")" "what it has on merged layers"
	vms destroy --yes imp
	nothing_remains imp
}

other_user() {
	local home
	home=$(getent passwd "$OTHER_USER" | cut -d: -f6)
	install -m 600 -o "$OTHER_USER" "$OFF" "$home/tree.vms"
	other_vms import "$home/tree.vms" --name imp
	rm "$home/tree.vms"
	eq "$(snapshots imp other_vms)" "$(cat "$W.tree")" "the tree"
	other_vms revert imp two
	other_vms start imp
	eq "$(digest imp other_vms)" "$(cat "$W.two")" "what it has at two"
	other_vms destroy --yes imp
	other_vms image remove imported
}

steps() {
	vms help --steps | awk -v verb="$1" '$1 == verb { print $1 ":" $2 ":before:kill"; print $1 ":" $2 ":after:kill" }'
}

# What the next command and a repair leave is nothing, and then it works.
killed_anywhere() {
	local fault before
	before=$(volumes)
	while read -r fault; do
		case $fault in
		export:*) SANDBOX_FAULT=$fault vms export --layers tree "$TEST_HOME/out.vms" >/dev/null 2>&1 && fail "$fault: it was not killed" ;;
		*) SANDBOX_FAULT=$fault vms import "$OFF" --name imp >/dev/null 2>&1 && fail "$fault: it was not killed" ;;
		esac
		rm -f "$TEST_HOME/out.vms"
		vms doctor --repair --yes >/dev/null 2>&1
		# with a definition and a disk it is a machine, which repair leaves alone
		[ -z "$(domain_state imp)" ] || vms destroy --yes imp
		vms image remove imported >/dev/null 2>&1 || true
		eq "$(volumes)" "$before" "volumes after $fault"
		nothing_remains imp
	done < <({ steps export | grep -E 'layers|publish' && steps import | grep -E 'disk|manifest|layers|domain'; } | sample 4)
}

# Told to end when all layers are there: none of them stays.
interrupted() {
	local before tries have=0
	before=$(volumes)
	SANDBOX_FAULT=import:layers:after:stop vms import "$OFF" --name imp >/dev/null 2>&1 &
	for ((tries = 0; tries < 1500; tries++)); do
		! pgrep -u "$TEST_UID" -x vms -r T >/dev/null || break
		sleep 0.2
	done
	eq "$(volumes | grep -cE "^$(object imp)\.([0-9]+\.)?qcow2$")" 5 "layers"
	pkill -INT -u "$TEST_UID" -x vms
	pkill -CONT -u "$TEST_UID" -x vms
	wait $! || have=$?
	eq "$have" 130 "exit status after Ctrl-C"
	nothing_remains imp
	eq "$(volumes)" "$before" "volumes"
}

leaves_nothing() {
	vms destroy --yes tree
	nothing_remains tree
	vms image remove imported >/dev/null 2>&1 || true
	eq "$(volumes)" "" "volumes"
}

t "a machine with snapshots on two branches" starts
passed || finish
t "exported with them while it runs" exports_while_it_runs
passed || finish
t "exported with them while it is off: what is frozen is the same" exports_while_it_is_off
t "imported: the tree is the same, the identity another" imports
t "each snapshot has what it had, and the identity of the new machine" goes_back
vms image remove imported >/dev/null 2>&1
t "imported by another user" other_user
t "killed at steps of both" killed_anywhere
t "interrupted: no layer stays" interrupted
t "nothing stays" leaves_nothing
rm -f "$FILE" "$OFF" "$W".*
vms destroy --yes --if-exists tree imp >/dev/null 2>&1
other_vms destroy --yes --if-exists imp >/dev/null 2>&1
finish
