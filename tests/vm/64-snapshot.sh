#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Snapshots in a real guest: of a running machine with a share attached, of one that is off, a tree of them, revert after the
# guest destroyed itself, delete with merging, copies on shared layers, and nothing left behind.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

need_image
vms destroy --yes --if-exists snap copy >/dev/null 2>&1

POOL=/var/lib/libvirt/images/vms

layers() {
	root_virsh vol-list --pool vms | awk '{ print $1 }' | grep -E "^$(object "$1")(\.[0-9]+)?\.qcow2$" | sort -V
}

# Names of the snapshots in the order of the tree, each with its parent.
tree() {
	vms snapshot list --json "$1" | python3 -c '
import json, sys
tree = json.load(sys.stdin)
print(" ".join(s["name"] + "<" + s["parent"] for s in tree["snapshots"] if not s["automatic"]), "now<" + tree["present"]["parent"])'
}

automatic() {
	vms snapshot list --json "$1" | python3 -c '
import json, sys
print(*[s["name"] for s in json.load(sys.stdin)["snapshots"] if s["automatic"]])'
}

# A machine that is off: every layer is whole, private, and stands on what libvirt says.
layers_are_sound() {
	local layer
	eq "$(domain_state "$1")" "shut off"
	for layer in $(layers "$1"); do
		qemu-img check -q "$POOL/$layer" || fail "$layer is damaged"
		eq "$(stat -c %a "$POOL/$layer")" 600 "mode of $layer"
	done
}

# In a list of all files with their contents; the guest's own clock and logs are left out.
digest_of_tree() {
	in_guest "$1" 'sudo find /srv/tree -type f -print0 | sort -z | sudo xargs -0 sha256sum | sha256sum'
}

identity() {
	cat "$STATE/$1"/{user_key,host_key,guest_key}.pub "$STATE/$1/known_hosts"
	root_virsh dumpxml "$(object "$1")" --inactive | grep '<mac '
}

starts() {
	as_user sh -c 'mkdir -p ~/project && echo before >~/project/file'
	vms create snap --profile work --share "$TEST_HOME/project:~/project,mode=rw"
	vms start snap
	in_guest snap 'sudo mkdir -p /srv/tree && sudo cp -a /etc /usr/bin /srv/tree/ && echo one | sudo tee /srv/tree/state'
	digest_of_tree snap >"$VMS_TESTS_WORK/snap.digest"
	identity snap >"$VMS_TESTS_WORK/snap.identity"
}

running_with_share() {
	vms snapshot snap clean -m 'before the experiment'
	eq "$(tree snap)" "clean< now<clean"
	# it goes on: the disk, the share, the same boot
	eq "$(in_guest snap 'echo two | sudo tee /srv/tree/state; cat ~/project/file; echo from-guest >~/project/file; findmnt -n -o FSTYPE ~/project')" \
		two$'\n'before$'\n'virtiofs
	eq "$(cat "$TEST_HOME/project/file")" from-guest "what the guest wrote into the share"
	contains "$(vms snapshot list snap)" 'clean +.*running.*before the experiment'
	contains "$(root_virsh dumpxml "$(object snap)" --inactive | grep -A1 '<driver name=.qemu')" "$(object snap).1.qcow2"
	contains "$(root_virsh dumpxml "$(object snap)" | grep -A1 '<driver name=.qemu')" "$(object snap).1.qcow2"
	eq "$(vms status snap | grep -c 'with 1 snapshot')" 1
}

refuses() {
	status 4 vms snapshot snap clean
	status 2 vms snapshot snap Clean
	status 3 vms snapshot delete snap claen 2>"$T/err"
	contains "$(cat "$T/err")" '"clean"'
	status 3 vms revert snap --yes other
	# without a terminal nothing that runs is ended unasked
	status 2 vms revert snap clean
	eq "$(domain_state snap)" running
}

reverts_after_the_worst() {
	in_guest snap 'sudo rm -rf /usr /etc /srv/tree /boot ~/.ssh' || true
	vms revert snap --yes --force clean 2>"$T/err"
	contains "$(tail -n 1 "$T/err")" 'auto-.*shared directories'
	eq "$(digest_of_tree snap)" "$(cat "$VMS_TESTS_WORK/snap.digest")" "the tree in the guest"
	eq "$(in_guest snap 'cat /srv/tree/state ~/project/file')" one$'\n'from-guest
	eq "$(identity snap)" "$(cat "$VMS_TESTS_WORK/snap.identity")" "identity"
	eq "$(automatic snap | wc -w)" 1 "automatic snapshots"
}

tree_while_off() {
	in_guest snap 'echo three | sudo tee /srv/tree/state >/dev/null; sync'
	vms stop --force --timeout 20s snap
	vms snapshot snap three
	vms revert snap clean
	# nothing was written since: no automatic one
	eq "$(automatic snap | wc -w)" 1 "automatic snapshots"
	vms snapshot snap four
	vms revert snap three
	eq "$(tree snap)" "clean< three<clean four<clean now<three"
	layers_are_sound snap
}

deletes() {
	vms snapshot delete snap four
	eq "$(tree snap)" "clean< three<clean now<three"
	# an inner one with two that go on from it stays below them
	vms snapshot delete snap clean
	eq "$(tree snap)" "three< now<three"
	contains "$(layers snap | tr '\n' ' ')" "^$(object snap).qcow2"
	vms snapshot delete snap "$(automatic snap)"
	# now there is but one: merged, and its file is gone
	lacks "$(layers snap | tr '\n' ' ')" "^$(object snap).qcow2"
	eq "$(layers snap | wc -l)" 2 "layers"
	layers_are_sound snap
	eq "$(root_virsh list --all --name | grep -c "^vms-$TEST_UID-.*[.]merge$")" 0 "machines that merge"
}

contents_after_merging() {
	vms start snap
	eq "$(in_guest snap 'cat /srv/tree/state; sudo rm /srv/tree/state; sync')" three
	eq "$(digest_of_tree snap)" "$(digest_of_tree snap)"
	vms snapshot snap five
	vms snapshot delete snap five
	eq "$(layers snap | wc -l)" 2 "layers after a delete while it runs"
	status 7 vms exec --checkpoint snap -- sh -c 'sudo rm -rf /srv/tree; exit 7' 2>"$T/err"
	contains "$(cat "$T/err")" 'vms revert snap exec-[0-9-]+'
	contains "$(vms snapshot list snap)" 'exec-[0-9]{8}-[0-9]{6} .*by exec +before: sh -c sudo rm'
	vms revert --yes --discard snap "$(grep -oE 'exec-[0-9-]+' "$T/err" | head -n 1)"
	eq "$(in_guest snap 'ls -d /srv/tree')" /srv/tree
	vms snapshot delete snap "$(automatic snap)"
	vms revert --yes --discard snap three
	eq "$(digest_of_tree snap | wc -l)" 1
	eq "$(in_guest snap 'cat /srv/tree/state')" three
	eq "$(tree snap)" "three< now<three"
	eq "$(automatic snap)" ""
	vms stop --force --timeout 20s snap
	layers_are_sound snap
}

copies() {
	local before
	before=$(layers snap | wc -l)
	vms clone snap copy
	vms clone snap copy2
	[ "$(layers snap | wc -l)" -le $((before + 1)) ] || fail "each copy made the chain longer"
	contains "$(vms snapshot list --json snap)" '"copy2?"'
	vms destroy --yes snap
	eq "$(vms list | grep -cE '^snap ')" 0
	vms doctor --repair --yes >/dev/null
	layers_are_sound copy
	vms destroy --yes copy
	layers_are_sound copy2
	if full; then
		vms start copy2
		eq "$(in_guest copy2 'hostname; cat /srv/tree/state')" copy2$'\n'three
	fi
	vms destroy --yes copy2
	nothing_remains copy
	nothing_remains copy2
	nothing_remains snap
}

# What the machine wrote into a share for review lies on its disk; and a checkpoint of a machine that has none yet starts it.
reverts_what_was_not_applied() {
	as_user mkdir -p "$TEST_HOME/reviewed"
	vms create snap --profile work --share "$TEST_HOME/reviewed:~/reviewed,mode=review"
	vms exec --checkpoint snap -- sh -c 'echo work >~/reviewed/file; sync' 2>"$T/err"
	contains "$(cat "$T/err")" 'vms revert snap exec-[0-9-]+'
	eq "$(in_guest snap 'cat ~/reviewed/file')" work
	contains "$(as_user script -qec 'vms revert snap' /dev/null <<<n || true)" 'What it changed in reviewed and was not applied goes back with its disk'
	eq "$(in_guest snap 'cat ~/reviewed/file')" work
	vms revert --yes snap 2>"$T/err"
	contains "$(tail -n 1 "$T/err")" 'what it changed in reviewed and was not applied went back with its disk and is in auto-[^ ]*; the directories on this host stay'
	eq "$(in_guest snap 'ls -A ~/reviewed')" ""
	vms destroy --yes --discard-changes snap
	nothing_remains snap
	rm -rf "$TEST_HOME/reviewed"
}

recreate_takes_them_along() {
	vms create snap --profile credentials
	vms start snap
	vms snapshot snap one
	vms stop --force --timeout 20s snap
	vms snapshot snap two
	vms recreate --yes snap
	eq "$(tree snap)" " now<"
	eq "$(layers snap)" "$(object snap).qcow2"
	vms destroy --yes snap
	nothing_remains snap
}

# 20 in a real guest, with random reverts and deletes; what each holds is known.
many() {
	local i name
	declare -A holds
	RANDOM=$VMS_TESTS_SEED
	vms create snap --profile credentials
	vms start snap
	for i in $(seq 20); do
		in_guest snap "echo $i >~/number; sync"
		vms snapshot snap "n$i"
		holds[n$i]=$i
	done
	vms stop --force --timeout 20s snap
	for i in $(seq 10); do
		name=n$((RANDOM % 20 + 1))
		[ -n "${holds[$name]:-}" ] || continue
		if [ $((i % 2)) -eq 0 ]; then
			vms snapshot delete snap "$name"
			unset "holds[$name]"
		else
			vms revert snap "$name"
			layers_are_sound snap
		fi
	done
	for name in $(printf '%s\n' "${!holds[@]}" | sort | head -n 4); do
		vms revert snap --discard --yes "$name"
		vms start snap
		eq "$(in_guest snap 'cat ~/number')" "${holds[$name]}" "$name"
		vms stop --force --timeout 20s snap
	done
	layers_are_sound snap
	vms destroy --yes snap
	nothing_remains snap
}

t "a machine with a share, and a tree of files in it" starts
passed || finish
t "a snapshot of the running machine: disk and share go on" running_with_share
t "what is refused, and why" refuses
t "rm -rf of everything, revert: ssh, the same keys, the same files" reverts_after_the_worst
t "a tree of snapshots while it is off" tree_while_off
t "delete of a leaf and of an inner one: merged, all layers sound" deletes
if full; then
	t "what is in it after merging; delete and revert while it runs" contents_after_merging
fi
t "copies on shared layers outlive their source, and leave nothing" copies
t "what was not applied goes back with the disk, and is said; a checkpoint starts a machine" reverts_what_was_not_applied
if full; then
	t "recreate takes snapshots along" recreate_takes_them_along
	t "20 snapshots with random reverts and deletes" many
fi
rm -f "$VMS_TESTS_WORK/snap.digest" "$VMS_TESTS_WORK/snap.identity"
vms destroy --yes --if-exists snap copy copy2 >/dev/null 2>&1
finish
