# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# The ordinary users as whom the product runs in these tests: made, and removed with everything that is theirs.

TEST_USER=${VMS_TESTS_USER:-vmstest}
OTHER_USER=${TEST_USER}2

# name_test_users LANE: files that run next to each other have users of their own
name_test_users() {
	TEST_USER=vmstest
	[ "$1" -eq 1 ] || TEST_USER=vmstest-lane$1
	OTHER_USER=${TEST_USER}2
}

TEST_GECOS="libsandbox tests"

root_virsh() {
	virsh -q -c qemu:///system "$@"
}

# What a user left in libvirt, in any earlier run too. Done with virsh: it must work when the product does not.
remove_machines_of_uid() {
	local uid=$1 name

	root_virsh list --all --name 2>/dev/null | grep -E "^vms[a-z0-9]*-$uid-" | while read -r name; do
		root_virsh destroy "$name" >/dev/null 2>&1
		root_virsh undefine --managed-save --snapshots-metadata "$name" >/dev/null
	done
	root_virsh net-list --all --name 2>/dev/null | grep -E "^vms[a-z0-9]*-$uid-" | while read -r name; do
		root_virsh net-destroy "$name" >/dev/null 2>&1
		root_virsh net-undefine "$name" >/dev/null
	done
	root_virsh nwfilter-list 2>/dev/null | awk '{ print $2 }' | grep -E "^vms[a-z0-9]*-$uid-" | while read -r name; do
		root_virsh nwfilter-undefine "$name" >/dev/null
	done
	root_virsh vol-list --pool vms 2>/dev/null | awk '{ print $1 }' | grep -E "^vms[a-z0-9]*-$uid-" | while read -r name; do
		root_virsh vol-delete --pool vms "$name" >/dev/null
	done
}

# Ends the processes of a user that was made here: keepers, ssh masters.
end_processes_of_uid() {
	local uid=$1 process

	for process in /proc/[0-9]*; do
		if [ "$(stat -c %u "$process" 2>/dev/null)" = "$uid" ]; then
			kill -9 "${process#/proc/}" 2>/dev/null
		fi
	done
}

remove_test_user() {
	local user=$1 uid

	uid=$(id -u "$user" 2>/dev/null) || return 0
	if [ "$(getent passwd "$user" | cut -d: -f5)" != "$TEST_GECOS" ]; then
		echo "the user $user exists and was not made by these tests: it stays" >&2
		return 1
	fi
	remove_machines_of_uid "$uid"
	end_processes_of_uid "$uid"
	userdel -f -r "$user" >/dev/null 2>&1
	! id "$user" >/dev/null 2>&1
}

remove_test_users() {
	remove_test_user "$TEST_USER"
	remove_test_user "$OTHER_USER"
}

make_test_users() {
	local user

	remove_test_users || return 1
	for user in "$TEST_USER" "$OTHER_USER"; do
		useradd -m -K UMASK=077 -c "$TEST_GECOS" -s /bin/bash -G libvirt "$user" || return 1
		# the numbers of an earlier user of this test are used again: what that one left goes first
		remove_machines_of_uid "$(id -u "$user")"
		grep -q "^$user:" /etc/subuid || {
			echo "useradd gave $user no subordinate user numbers" >&2
			return 1
		}
	done
}
