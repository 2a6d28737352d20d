#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A machine's life: create, stop, start, clone, recreate, a changed profile, a share that cannot be mounted, destroy.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

need_image
vms destroy --yes --if-exists life copy >/dev/null 2>&1

identity() {
	cat "$STATE/$1"/{user_key,host_key,guest_key}.pub | cut -d' ' -f1,2
	root_virsh domuuid "$(object "$1")"
	root_virsh dumpxml "$(object "$1")" --inactive | grep '<mac '
}

creates_with_a_share() {
	as_user sh -c 'mkdir -p ~/project && echo project >~/project/file'
	vms create life --profile work --share "$TEST_HOME/project:~/src,mode=rw"
	eq "$(remains life)" "" "after create"
	status 4 vms create life --profile work
	vms start life
	eq "$(in_guest life 'cat ~/src/file; findmnt -n -o FSTYPE ~/src')" "project"$'\n'virtiofs
	in_guest life 'echo kept | sudo tee /var/lib/marker >/dev/null; echo kept >~/marker; sync'
	eq "$(in_guest life hostname)" life
}

waits_for_a_port() {
	in_guest life 'setsid sh -c "sleep 6; exec busybox httpd -f -p 127.0.0.1:8123" </dev/null >/dev/null 2>&1 &'
	vms start --wait-for 8123 life
	contains "$(in_guest life 'ss -Hltn "sport = :8123"')" LISTEN
	status 6 vms start --wait-for 8124 --timeout 2s life 2>"$T/err"
	contains "$(cat "$T/err")" 'it runs, but.*port 8124'
	status 2 vms start --wait-for http life
	vms start --wait-for ssh life
}

stops_and_keeps() {
	vms stop life
	eq "$(domain_state life)" "shut off"
	vms stop life
	contains "$(vms list)" 'life +.*stopped'
}

clones() {
	vms clone life copy
	eq "$(domain_state copy)" "shut off" "the copy"
	[ "$(identity copy | sort)" != "$(identity life | sort)" ] || fail "same identity"
	eq "$(comm -12 <(identity life | sort) <(identity copy | sort))" "" "what both identities share"
	vms start copy
	eq "$(in_guest copy 'hostname; cat ~/marker; sudo cat /var/lib/marker')" "copy"$'\n'kept$'\n'kept
	vms destroy --yes copy
	nothing_remains copy
	[ -d "$TEST_HOME/project" ] || fail "a shared directory went away"
}

clone_of_a_running_machine() {
	vms start life
	vms clone life copy
	eq "$(domain_state life)$(domain_state copy)" "runningshut off"
	vms destroy --yes copy
	nothing_remains copy
	eq "$(in_guest life 'cat ~/marker')" kept "after a restart"
}

recreates() {
	local before
	before=$(identity life)
	status 2 vms recreate life # no terminal, no --yes: nothing is asked, nothing done
	vms recreate --yes life
	eq "$(identity life)" "$before" "identity"
	eq "$(domain_state life)" running "it ran before"
	eq "$(in_guest life 'ls ~/marker 2>&1 | wc -l; sudo ls /var/lib/marker >/dev/null 2>&1 || echo gone; cat ~/src/file')" \
		1$'\n'gone$'\n'project
}

changed_profile() {
	local changes
	as_user sh -c 'printf "[machine]\ncpus=1\nmemory=1GiB\n" >>"$1"' sh "$PROFILES/life.profile"
	changes=$(vms start life --dry-run 2>&1)
	contains "$changes" '1 ?GiB'
	vms start life >"$T/out" 2>&1
	contains "$(cat "$T/out")" 'memory|cpus|differ'

	# a power cut when the file system's journal was written, and data only where somebody asked for it
	sleep 6
	root_virsh destroy "$(object life)"
	vms start life
	eq "$(in_guest life 'hostname; id -un; cat /etc/hostname; cut -d " " -f 1 /etc/resolv.conf; stat -c %s /etc/machine-id')" \
		life$'\n'dev$'\n'life$'\n'nameserver$'\n'33 "after a power cut"
	eq "$(in_guest life nproc)" 1 "processors"
	[ "$(in_guest life "awk '/MemTotal/ { print \$2 }' /proc/meminfo")" -lt 1048576 ] || fail "memory"
}

broken_profile_starts_nothing() {
	as_user cp "$PROFILES/life.profile" "$TEST_HOME/saved.profile"
	as_user sh -c 'printf "[machine]\nmemmory=1GiB\n" >"$1"' sh "$PROFILES/life.profile"
	status 2 vms start life 2>"$T/err"
	contains "$(cat "$T/err")" 'life.profile:2.*memmory.*memory'
	as_user cp "$TEST_HOME/saved.profile" "$PROFILES/life.profile"
}

share_that_is_not_mounted() {
	local have=0
	in_guest life 'sudo umount ~/src && sudo rmdir ~/src && touch ~/src && sync'
	vms stop life
	vms start life >"$T/out" 2>"$T/err" || have=$?
	[ "$have" -eq 1 ] || fail "start returned $have"
	contains "$(cat "$T/err")" 'src'
	contains "$(cat "$T/err")" 'mount'
}

destroys() {
	status 2 vms destroy life
	vms destroy --yes life
	nothing_remains life
	[ ! -e "$PROFILES/life.profile" ] || fail "its profile is still there"
	eq "$(cat "$TEST_HOME/project/file")" project "the shared directory"
	status 3 vms destroy --yes life
	vms destroy --yes --if-exists life
}

t "create with a share, start" creates_with_a_share
t "start waits for a port of the machine's" waits_for_a_port
t "stop, and stop again" stops_and_keeps
t "clone: the same disk, another identity" clones
t "clone of a running machine, which goes on" clone_of_a_running_machine
t "recreate: a fresh disk, the same identity" recreates
t "a changed profile is told, and applied when the machine was off; a power cut takes nothing of the first boot away" changed_profile
t "a profile with a mistake starts nothing, and the error says where" broken_profile_starts_nothing
t "start fails when a share is not really mounted" share_that_is_not_mounted
t "destroy leaves nothing but the shared directories" destroys
finish
