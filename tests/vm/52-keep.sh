#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Changes in a share for review of a machine that does not run: shown and applied from its disk by a throwaway machine,
# and never lost by accident. With --full also what a hostile disk does to that.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

need_image
PROJECT=$TEST_HOME/kept
SAVED=$STATE/saved_changes
UPPER=/var/lib/vms/shares/kept/upper
DISK=/var/lib/libvirt/images/vms/$(object keep).qcow2
vms destroy --yes --if-exists --discard-changes keep >/dev/null 2>&1
rm -rf "$PROJECT" "$SAVED"

tree() {
	(cd "$PROJECT" && find . -type f -print0 | sort -z | xargs -0 sha256sum && find . -mindepth 1 -printf '%P %y %m %l\n' | sort)
}

no_reader_remains() {
	eq "$(root_virsh list --all --name | grep -c "^vms-$TEST_UID-run-")" 0 "throwaway machines"
	eq "$(root_virsh vol-list --pool vms | grep -c "vms-$TEST_UID-run-")" 0 "their volumes"
}

unapplied() {
	vms list --json | python3 -c 'import json,sys; print(*[m["unapplied"] for m in json.load(sys.stdin)["machines"] if m["name"] == "keep"])'
}

makes_changes() {
	as_user sh -euc 'umask 022; mkdir "$1"; cd "$1"; mkdir src; echo one >one; echo two >two; echo f >src/f' sh "$PROJECT"
	vms create keep --share "$PROJECT:~/project"
	vms start --timeout 15m keep
	in_guest keep 'set -eu; cd ~/project; echo more >>one; rm two; mkdir new; echo n >new/n; mv src/f src/g; ln -s one link'
	in_guest keep 'cd ~/project; find . -type f -print0 | sort -z | xargs -0 sha256sum; find . -mindepth 1 -printf "%P %y %m %l\n" | sort' >"$T/view"
	tree >"$T/before"
}

stop_notes_them() {
	eq "$(unapplied)" "" "of a running machine"
	vms stop --timeout 5m keep
	eq "$(unapplied)" some
	contains "$(vms status keep)" 'unapplied  changes in shares'
}

diff_of_its_disk() {
	vms diff --stat keep >"$T/stat"
	contains "$(cat "$T/stat")" 'modified +plain +\+1 -0 +one +ready'
	contains "$(cat "$T/stat")" 'deleted +plain .* two '
	contains "$(cat "$T/stat")" 'added .* new/n '
	eq "$(root_virsh domstate "$(object keep)")" "shut off"
	no_reader_remains
}

destroy_saves_them() {
	local saved
	vms destroy --yes keep 2>"$T/err"
	nothing_remains keep
	no_reader_remains
	saved=$(ls -d "$SAVED"/keep-*)
	contains "$(cat "$T/err")" "saved in $saved"
	eq "$(stat -c %a "$SAVED" "$saved" "$saved"/* | sort -u | tr '\n' ' ')" "600 700 " "modes"
	tree >"$T/after"
	eq "$(diff "$T/before" "$T/after")" "" "what destroy changed on the host"
	vms diff --from "$saved" --stat keep >"$T/stat"
	contains "$(cat "$T/stat")" 'modified +plain +\+1 -0 +one +ready'
	status 2 vms diff --from "$saved" other 2>/dev/null
	as_user cp -a "$saved" "$PROJECT/keep-1"
	status 2 vms diff --from "$PROJECT/keep-1" keep 2>"$T/err"
	contains "$(cat "$T/err")" 'is not in'
	rm -rf "$PROJECT/keep-1"
	vms apply --from "$(basename "$saved")" keep
	tree >"$T/after"
	eq "$(diff "$T/view" "$T/after")" "" "the host's tree is not the machine's view"
	eq "$(vms diff --from "$saved" --stat keep)" "" "left"
	vms apply --undo --from "$saved" keep
	tree >"$T/after"
	eq "$(diff "$T/before" "$T/after")" "" "what is left of an apply that was undone"
	vms apply --from "$saved" keep
	tree >"$T/after"
	eq "$(diff "$T/view" "$T/after")" "" "the host's tree is not the machine's view"
}

# What is applied is not saved, and a machine that has nothing needs no reader: destroy takes no time.
nothing_to_save() {
	local begin
	rm -rf "$SAVED"
	vms create keep --share "$PROJECT:~/project"
	vms start --timeout 15m keep
	in_guest keep 'echo more >>~/project/one'
	vms apply keep
	vms stop --timeout 5m keep
	eq "$(unapplied)" none
	contains "$(vms status keep)" 'unapplied  none'
	vms clone keep victim
	begin=$SECONDS
	vms destroy --yes victim
	[ $((SECONDS - begin)) -le 30 ] || fail "destroy took $((SECONDS - begin)) s"
	[ ! -e "$SAVED" ] || fail "something was saved: $(ls "$SAVED")"
	# an apply that is undone is one that was not made
	vms apply --undo keep
	eq "$(unapplied)" unknown
	contains "$(vms status keep)" 'unapplied  not known'
	# so does the copy of one that has changes, before it was ever started
	vms clone keep victim
	contains "$(vms diff --stat victim)" 'modified .* one '
	vms destroy --yes victim 2>"$T/err"
	contains "$(cat "$T/err")" "saved in $SAVED/victim-"
	rm -rf "$SAVED"
	vms start --timeout 15m keep
	vms stop --timeout 5m keep
	eq "$(unapplied)" some
}

# What was applied is a copy in the machine, and says so when it is another one here by now.
own_copies() {
	vms start --timeout 15m keep
	in_guest keep 'echo most >>~/project/one'
	vms apply keep
	lacks "$(vms status keep)" 'own copy'
	as_user sh -c 'echo host >>"$1/one"' sh "$PROJECT"
	contains "$(vms status keep)" 'own copy +kept: one: edited here'
	eq "$(in_guest keep 'tail -n 1 ~/project/one')" most
	vms recreate --yes --discard-changes keep
	lacks "$(vms status keep)" 'own copy'
	eq "$(in_guest keep 'tail -n 1 ~/project/one')" host
	vms stop --timeout 5m keep
}

# A share that is taken out of a machine that is off takes no changes with it.
removed_share() {
	vms create gone --share "$PROJECT:~/project"
	vms start --timeout 15m gone
	in_guest gone 'echo kept >~/project/gone'
	vms stop --timeout 5m gone
	status 4 vms share remove gone kept 2>"$T/err"
	contains "$(cat "$T/err")" '1 change that was not applied'
	vms share remove gone kept --discard-changes
	contains "$(vms diff --stat gone)" 'added .* gone '
	vms destroy --yes gone 2>"$T/err"
	contains "$(cat "$T/err")" "saved in $SAVED/gone-"
	contains "$(vms diff --from "$(ls -d "$SAVED"/gone-*)" gone)" '^\+kept$'
	rm -rf "$SAVED"
	no_reader_remains
}

# As docs/tutorial.md has it.
commits_of_a_saved_set() {
	local saved
	rm -rf "$PROJECT-git"
	as_user sh -euc 'git init -q -b main "$1"; cd "$1"; git config user.name t; git config user.email t@localhost
		echo 1 >f; git add f; git commit -qm one' sh "$PROJECT-git"
	vms create gits --share "$PROJECT-git:~/web"
	vms start --timeout 15m gits
	in_guest gits 'cd ~/web; git commit -q --allow-empty -m two; git gc -q'
	vms recreate --yes gits 2>"$T/err"
	contains "$(cat "$T/err")" 'commits that were not pulled'
	saved=$(ls -d "$SAVED"/gits-*)
	vms diff --from "$saved" gits 2>"$T/err"
	contains "$(cat "$T/err")" 'commits stay in kept-git.tar there'
	contains "$(vms pull gits 2>&1)" 'no commits'
	vms cp "$saved/kept-git.tar" gits:
	vms ssh gits -- 'mkdir saved && sudo tar -xf kept-git.tar -C saved --xattrs --xattrs-include=trusted.overlay.*'
	vms ssh gits -- 'sudo mount -t overlay -o lowerdir=saved:/run/vms/lower/kept-git saved ~/web'
	vms pull gits
	eq "$(as_user git -C "$PROJECT-git" log --format=%s refs/vms/gits/main)" $'two\none'
	vms destroy --yes --discard-changes gits
	rm -rf "$SAVED" "$PROJECT-git"
}

running_machine() {
	vms start --timeout 15m keep
	in_guest keep 'cd ~/project; echo running >running; truncate -s 5G big'
	status 5 vms recreate --yes keep 2>"$T/err"
	contains "$(cat "$T/err")" 'more than 4 GiB.*: big;'
	lacks "$(cat "$T/err")" 'stop --force'
	[ ! -e "$SAVED" ] || eq "$(ls -A "$SAVED")" ""
	in_guest keep 'rm ~/project/big'
	vms recreate --yes keep 2>"$T/err"
	contains "$(cat "$T/err")" "saved in $SAVED/keep-"
	contains "$(vms diff --from "$(ls -d "$SAVED"/keep-*)" keep)" '^\+running$'
	rm -rf "$SAVED"
}

throwaway() {
	vms run --share "$PROJECT:~/project" -- sh -c 'echo thrown >~/project/away' 2>"$T/err"
	contains "$(cat "$T/err")" "saved in $SAVED/run-"
	vms run --share "$PROJECT:~/project" --discard-changes -- sh -c 'echo thrown >~/project/away' 2>"$T/err2"
	lacks "$(cat "$T/err2")" 'saved in'
	no_reader_remains
	rm -rf "$SAVED"
}

# Root writes what it likes, and the plug is pulled: the journal is gone through on a layer of the reader's own.
hostile_layer() {
	tree >"$T/before"
	in_guest keep "sudo sh -euc 'cd $UPPER; mknod dev b 8 0; ln -s ../../../etc/passwd up; mkdir .GIT; truncate -s 8T huge
		cp /bin/true s; chmod 6755 s; printf x >\"\$(printf \"a\\\\033[2Jb\")\"; ln -s /etc/shadow shadow; sync'"
	vms stop --force --timeout 1s keep
	eq "$(unapplied)" some
	sha256sum "$DISK" >"$T/sum"
	vms diff --stat keep >"$T/stat" 2>/dev/null
	sha256sum -c --quiet "$T/sum" || fail "a reader wrote to the disk"
	for path in dev up .GIT huge s shadow; do contains "$(cat "$T/stat")" " $path +refused"; done
	lacks "$(cat "$T/stat")" $'\033|root:'
	tree >"$T/after"
	eq "$(diff "$T/before" "$T/after")" "" "what a diff changed on the host"
}

layer_is_a_link() {
	vms start --timeout 15m keep
	in_guest keep "sudo sh -euc 'mv $UPPER $UPPER.was; ln -s /etc $UPPER; sync'"
	vms stop --force --timeout 1s keep
	status 3 vms diff keep >"$T/out" 2>"$T/err"
	contains "$(cat "$T/err")" 'has no layer'
	eq "$(cat "$T/out")" "" "what a link in the layer's place shows"
}

damaged_disk() {
	qemu-io -c 'write -q -P 0xff 1024 1024' "$DISK" >/dev/null
	rm -f "$STATE/keep/review/state"
	status 1 vms diff keep 2>"$T/err"
	contains "$(cat "$T/err")" 'mounting it in a throwaway machine'
	no_reader_remains
	status 1 vms destroy --yes keep 2>"$T/err"
	contains "$(cat "$T/err")" 'could not be saved'
	contains "$(cat "$T/err")" '--discard-changes'
	eq "$(domain_state keep)" "shut off"
	vms destroy --yes --discard-changes keep
	nothing_remains keep
	[ ! -e "$SAVED"/.keep ] || fail "half of something saved is left"
}

t "a machine with a share for review starts and changes things" makes_changes
passed || finish
t "stop notes that there are changes" stop_notes_them
if full; then
	t "diff of a stopped machine reads its disk in a throwaway machine" diff_of_its_disk
fi
t "destroy saves them first; from there they are shown and applied" destroy_saves_them
if full; then
	t "a machine without changes is not read, and destroyed at once" nothing_to_save
	t "what was applied, and edited since, is named" own_copies
	t "a share that is taken away from a stopped machine leaves its changes" removed_share
	t "commits that nobody pulled are in what is saved, and said to be" commits_of_a_saved_set
	t "recreate of a running machine saves what it has" running_machine
	t "the end of a throwaway machine saves what it changed" throwaway
	t "a hostile layer, and a plug that was pulled: read, refused, the disk stays as it was" hostile_layer
	t "a link in the layer's place leads nowhere" layer_is_a_link
	t "a damaged disk: diff and destroy refuse, --discard-changes goes on" damaged_disk
fi
vms destroy --yes --if-exists --discard-changes keep >/dev/null 2>&1
rm -rf "$PROJECT" "$SAVED"
finish
