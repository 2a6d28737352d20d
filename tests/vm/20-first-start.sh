#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The two commands: `vms start work`, then `ssh work`, with a shared directory whose files are owned right on both sides.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

need_image

starts() {
	vms start work
	eq "$(domain_state work)" running "state"
}

starts_again() {
	local before=$SECONDS
	vms start work
	[ $((SECONDS - before)) -le 10 ] || fail "took $((SECONDS - before)) s"
}

is_the_user() {
	eq "$(in_guest work 'id -u; id -g' | tr '\n' ' ')" "$TEST_UID $(id -g "$TEST_USER") " "uid and gid in the guest"
	eq "$(in_guest work 'sudo -n id -u')" 0 "sudo"
	eq "$(in_guest work hostname)" work "host name"
}

shares_both_ways() {
	eq "$(in_guest work 'findmnt -n -o FSTYPE ~/shared')" virtiofs "file system of ~/shared"
	eq "$(stat -c '%a %U' "$TEST_HOME/vms/work")" "700 $TEST_USER" "the drop box"
	in_guest work 'echo from the guest >~/shared/guest; mkdir ~/shared/dir; echo x >~/shared/dir/file'
	eq "$(cat "$TEST_HOME/vms/work/guest")" "from the guest"
	eq "$(stat -c %U "$TEST_HOME"/vms/work/{guest,dir,dir/file} | sort -u)" "$TEST_USER" "owner on the host"
	as_user sh -c 'echo from the host >~/vms/work/host'
	eq "$(in_guest work 'cat ~/shared/host')" "from the host"
	eq "$(in_guest work 'stat -c %u ~/shared/host')" "$TEST_UID" "owner in the guest"
	in_guest work 'echo more >>~/shared/host && mv ~/shared/host ~/shared/moved && rm -r ~/shared/dir'
	eq "$(cat "$TEST_HOME/vms/work/moved")" "from the host"$'\n'"more"
	[ ! -e "$TEST_HOME/vms/work/dir" ] || fail "a directory that the guest removed is still there"
}

plain_ssh() {
	# a user's file with something in it, which must stay
	as_user sh -c 'mkdir -p -m 700 ~/.ssh && printf "Host elsewhere\n  User me\n" >~/.ssh/config && chmod 600 ~/.ssh/config'
	vms ssh-config --install
	vms ssh-config --install
	eq "$(grep -c '^Include' "$TEST_HOME/.ssh/config")" 1 "Include lines"
	contains "$(cat "$TEST_HOME/.ssh/config")" '^Host elsewhere'
	contains "$(as_user ssh -o BatchMode=yes work 'uname -a; findmnt ~/shared' </dev/null)" 'Linux work .*'
	contains "$(as_user ssh -o BatchMode=yes work 'findmnt ~/shared' </dev/null)" 'virtiofs'
}

copies_with_the_usual_tools() {
	as_user rm -rf tree back
	in_guest work 'rm -rf by-scp by-rsync'
	as_user sh -c 'mkdir -p ~/tree/sub && echo one >~/tree/a && echo two >~/tree/sub/b && head -c 3000000 /dev/urandom >~/tree/big'
	as_user scp -q -r -o BatchMode=yes tree work:by-scp
	as_user rsync -a -e 'ssh -o BatchMode=yes' tree/ work:by-rsync
	as_user rsync -a -e 'ssh -o BatchMode=yes' work:by-rsync/ back
	as_user diff -r tree back
	eq "$(in_guest work 'diff -r by-scp by-rsync && sha256sum <by-scp/big')" "$(sha256sum <"$TEST_HOME/tree/big")"
}

mounts_with_sshfs() {
	as_user mkdir -p mnt
	as_user sshfs -o BatchMode=yes work: mnt
	as_user sh -c 'echo via sshfs >mnt/via-sshfs'
	as_user fusermount -u mnt || as_user fusermount3 -u mnt
	eq "$(in_guest work 'cat via-sshfs')" "via sshfs"
}

reports() {
	contains "$(vms list)" 'work +.*running'
	vms list --json | python3 -c 'import json, sys
machines = json.load(sys.stdin)["machines"]
assert [(m["name"], m["state"]) for m in machines] == [("work", "running")], machines'
	contains "$(vms status work)" 'running'
	vms status work --json | python3 -c 'import json, sys; json.load(sys.stdin)'
	contains "$(vms start work --dry-run)" 'debian-13'
}

t "vms start work, from nothing" starts
t "a second start is quick" starts_again
t "the guest's user has the host user's numbers, and sudo" is_the_user
t "the drop box works both ways, with the right owner" shares_both_ways
t "plain ssh work" plain_ssh
t "scp and rsync" copies_with_the_usual_tools
if as_user test -w /dev/fuse && command -v sshfs >/dev/null; then
	t "sshfs" mounts_with_sshfs
else
	skip "sshfs" "no /dev/fuse, or sshfs is not installed"
fi
t "list, status and start --dry-run tell of it" reports
finish
