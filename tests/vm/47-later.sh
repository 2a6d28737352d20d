#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What waits for a machine's next start: changes that were discarded while it was off are dropped, and what was applied and edited on the host since is
# seen by the machine again, unless it has changed it.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

need_image
PROJECT=$TEST_HOME/later
vms destroy --yes --if-exists later >/dev/null 2>&1
rm -rf "$PROJECT"

in_project() {
	in_guest later "set -eu; cd ~/project; $1"
}

# The paths of what `vms diff` lists.
paths() {
	vms diff --json later | python3 -c 'import json,sys; print(*[c["path"] for c in json.load(sys.stdin)["shares"][0]["changes"]])'
}

own_copies() {
	vms status --json later | python3 -c 'import json,sys; print(*[p for s in json.load(sys.stdin)["machines"][0]["shares"] for p in s["own_copies"]])'
}

works_and_stops() {
	as_user sh -euc 'umask 022; mkdir "$1"; cd "$1"; mkdir src; for i in one two three; do echo $i >$i; done; echo s >src/s; ln -s one link' sh "$PROJECT"
	vms create later --share "$PROJECT:~/project"
	vms start --timeout 15m later
	in_project 'echo bad >>one; rm two; echo bad >bad; echo kept >>three; rm -r src; mkdir src; echo other >src/other; ln -sfn src link
		mkdir -p new/.git; echo ref: refs/heads/main >new/.git/HEAD; echo n >new/n'
	eq "$(paths)" "bad link new new/n one src/other src/s three two"
	vms stop --timeout 5m later
}

discards_while_it_is_off() {
	vms discard --yes later one two bad new src link 2>"$T/err"
	contains "$(cat "$T/err")" 'thrown away; the machine drops them when it starts'
	eq "$(paths)" "new three"
	vms start --timeout 15m later 2>"$T/err"
	contains "$(cat "$T/err")" 'share "later": dropped 7 changes that were discarded while it was off'
	in_project 'cat one two three src/s; readlink link; ls bad src/other src/link 2>/dev/null || :' >"$T/view"
	eq "$(tr '\n' ' ' <"$T/view")" "one two three kept s one "
	# what is git's was no change that could be discarded
	eq "$(in_project 'ls -A new; rm -r new')" .git
	eq "$(paths)" three
	eq "$(own_copies)" ""
}

# A service of the machine writes there at the boot.
keeps_what_is_new() {
	in_project 'mkdir -p ~/.config/systemd/user/default.target.wants; cd ~/.config/systemd/user
		printf "[Service]\nType=oneshot\nExecStart=/bin/sh -c \"echo second >%%h/project/made\"\n" >w.service; ln -sf ../w.service default.target.wants/
		cd ~/project; echo first >made; echo first >gone; sync'
	vms stop --timeout 5m later
	eq "$(paths)" "gone made three"
	vms discard --yes later made gone
	eq "$(paths)" three
	vms start --timeout 15m later 2>/dev/null
	in_project 'for _ in $(seq 60); do ! grep -qs second made || break; sleep 1; done; rm -r ~/.config/systemd'
	eq "$(paths)" "made three"
	eq "$(in_project 'cat made; ls gone 2>/dev/null || :')" second
}

follows_the_host() {
	vms apply later >/dev/null 2>&1 || :
	in_project 'echo guest >a; echo guest >b; echo guest >c; rm one; ln -sfn src link'
	vms apply later
	as_user sh -euc 'cd "$1"; echo host >a; echo host >b; rm c; echo host >one; ln -sfn three link' sh "$PROJECT"
	in_project 'echo mine >>b'
	eq "$(own_copies)" "a b c link one"
	vms stop --timeout 5m later
	vms start --timeout 15m later
	eq "$(in_project 'cat a one; readlink link; tail -n 1 b; ls c 2>/dev/null || :' | tr '\n' ' ')" "host host three mine "
	eq "$(own_copies)" b
	eq "$(paths)" b
}

forgets_with_the_disk() {
	in_project 'echo x >x'
	vms stop --timeout 5m later
	vms discard --yes later x
	eq "$(paths)" ""
	vms recreate --yes later
	eq "$(find "$STATE/later/review" -name "*.dropped")" ""
	[ ! -d "$STATE/saved_changes" ] || fail "what was discarded was saved"
	vms start --timeout 15m later
	in_project '[ ! -e x ]'
}

t "a machine works in a share and stops" works_and_stops
passed || finish
t "discard while it is off: no changes any more, and dropped at its next start" discards_while_it_is_off
! full || t "what it writes again at a start is a change" keeps_what_is_new
t "what was applied and edited on the host is seen again after a restart, unless the machine has changed it" follows_the_host
! full || t "with the disk goes what waits for it" forgets_with_the_disk
vms destroy --yes --discard-changes later
rm -rf "$PROJECT"
finish
