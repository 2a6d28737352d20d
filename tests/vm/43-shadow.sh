#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Directories of a share that are on the machine's disk (shadow=): from its boot on, for a share that comes while it runs, over reboots,
# and against a tree that has a link where one is to be. The host judges by its own directory.
# in turns
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

need_image
HERE=$TEST_HOME/shadow
as_user rm -rf "$HERE"
as_user mkdir -p "$HERE/app/web/.venv" "$HERE/more" "$HERE/hostile/below"
as_user sh -c 'echo host >"$1/web/.venv/of-host"; echo code >"$1/code"' sh "$HERE/app"
vms destroy --yes --if-exists shadow >/dev/null 2>&1

starts() {
	vms create shadow --profile work --share "$HERE/app:~/app,mode=rw,shadow=node_modules;web/.venv"
	as_user sh -c 'printf "\n[machine]\nimage=%s\n" "$2" >>"$1"' sh "$PROFILES/shadow.profile" "${VMS_TESTS_IMAGE:-debian-13}"
	contains "$(vms start shadow --dry-run)" "app, rw, on the machine's disk: node_modules;web/.venv"
	vms start shadow
}

is_the_machines() {
	in_guest shadow 'cd app && echo guest >node_modules/made && sudo touch web/.venv/roots && echo through >written && stat -c %U node_modules web/.venv'
	eq "$(in_guest shadow 'ls app/web/.venv')" roots "the machine's own .venv"
	eq "$(cat "$HERE/app/written")" through
	eq "$(ls -A "$HERE/app/node_modules")" "" "what is in the host's"
	eq "$(stat -c %U "$HERE/app/node_modules")" "$TEST_USER" "the owner of the directory that was made"
	eq "$(ls -A "$HERE/app/web/.venv")" of-host "what is in the host's"
	eq "$(in_guest shadow 'sudo stat -c %a /var/lib/vms/shadows')" 700
}

says_when_one_is_gone() {
	in_guest shadow 'sudo umount app/node_modules'
	contains "$(vms share list shadow)" 'app .*not-mounted'
	in_guest shadow 'sudo mount --bind /var/lib/vms/shadows/app/node_modules ~/app/node_modules'
	contains "$(vms share list shadow)" 'app .* mounted'
}

mounted_again() {
	local tries
	for ((tries = 0; tries < 60; tries++)); do
		! in_guest shadow 'cat app/node_modules/made && mountpoint -q app/node_modules && ls app/web/.venv/roots' >/dev/null 2>&1 || return 0
		sleep 0.5
	done
	fail "not mounted again after $1"
}

# With the directory on which it lies the kernel takes the mount away: what the machine wrote then would be the host's.
comes_back_after_the_host() {
	local change
	for change in 'rm -rf node_modules' 'rm -rf node_modules; mkdir node_modules; echo x >node_modules/of-host' \
		'mv node_modules old; mkdir node_modules' 'rm -rf web; mkdir -p web/.venv; echo host >web/.venv/of-host' 'mv web web2; sleep 1; mv web2 web'; do
		as_user sh -c "cd '$HERE/app' && $change"
		# looked up by the machine, before and after what it believes for a while
		in_guest shadow 'for i in 1 2 3 4; do ls app/node_modules app/web/.venv; sleep 0.7; done' >/dev/null 2>&1 || true
		mounted_again "$change"
		in_guest shadow 'sleep 3; mountpoint -q app/node_modules && mountpoint -q app/web/.venv && grep -c "/app/" /proc/self/mounts' >"$T/mounts"
		eq "$(cat "$T/mounts")" 2 "mounts after $change"
		in_guest shadow 'echo again >app/node_modules/again'
		[ ! -e "$HERE/app/node_modules/again" ] || fail "it is the host's after $change"
	done
	contains "$(vms share list shadow)" 'app .* mounted'
	as_user sh -c 'cd "$1" && rm -rf old node_modules/of-host' sh "$HERE/app"
}

adds_live() {
	vms share add shadow "$HERE/more,mode=rw,shadow=target;a/b"
	in_guest shadow 'cd more && echo x >target/x && echo y >a/b/y && echo z >a/z'
	eq "$(cd "$HERE/more" && find . -type f)" ./a/z "files on the host"
	contains "$(cat "$PROFILES/shadow.profile")" '^shadow=target;a/b$'
	vms share remove shadow more
	eq "$(in_guest shadow 'sudo ls /var/lib/vms/shadows; grep -c more /proc/self/mounts')" $'app\n0' "what is left of it"
}

# Whatever lies there instead of a directory: nothing is mounted, there or elsewhere.
hostile_tree() {
	local name
	as_user sh -c 'cd "$1"; ln -s /etc absolute; ln -s ../../../../etc up; ln -s below inside; echo >file; ln -s nowhere dangling; ln -s below through; mkfifo fifo' sh "$HERE/hostile"
	for name in $(printf '%s\n' absolute up inside file dangling through/deeper fifo | sample 3); do
		! vms share add shadow "$HERE/hostile,mode=rw,shadow=$name" 2>"$T/err" || fail "$name is shadowed"
		contains "$(cat "$T/err")" 'is no directory'
		eq "$(in_guest shadow 'grep -cE "hostile| /etc| /root" /proc/self/mounts; true')" 0 "mounts after $name"
	done
	eq "$(in_guest shadow 'sudo ls /var/lib/vms/shadows | grep -v app | xargs -r -I{} sudo find /var/lib/vms/shadows/{} -type f')" "" "files"
	eq "$(cd "$HERE/hostile" && find below -mindepth 1)" "" "what was made on the host"
}

is_kept() {
	vms restart shadow
	eq "$(in_guest shadow 'cd app && cat node_modules/made; ls web/.venv')" $'guest\nroots'
	full || return 0
	# a link in its place: the machine says so
	vms stop --force shadow
	as_user sh -c 'cd "$1" && rmdir node_modules && ln -s web node_modules' sh "$HERE/app"
	! vms start shadow 2>"$T/err" || fail "it started"
	contains "$(cat "$T/err")" 'not mounted in the machine: "app"'
	as_user rm "$HERE/app/node_modules"
}

goes_with_recreate() {
	vms recreate --yes shadow
	vms start shadow
	eq "$(in_guest shadow 'cd app && ls node_modules web/.venv | grep -v :')" "" "what is in them"
	eq "$(cat "$HERE/app/web/.venv/of-host")" host
}

t "a machine starts with directories of its own in a share" starts
passed || finish
t "what is written there stays on its disk, all else goes through" is_the_machines
t "one that is not mounted is told of" says_when_one_is_gone
t "one whose directory the host removes or replaces is mounted again" comes_back_after_the_host
t "a share that comes while it runs has them, too, and takes them with it" adds_live
t "a link or a file in a tree's place leads no mount elsewhere" hostile_tree
t "they are kept over a restart, which fails where there is a link now" is_kept
if full; then
	t "recreate empties them" goes_with_recreate
fi
vms destroy --yes shadow >/dev/null 2>&1
rm -rf "$HERE"
finish
