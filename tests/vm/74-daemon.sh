#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# libvirtd is killed while vms stands before or after any step of what changes a machine's time. Whatever vms then says: what it reported as
# done is done, the machine goes on, every snapshot is there and equal, nothing is orphaned. With --full at each step of the program's own
# tables; otherwise at two. (73-qemu does the same with QEMU.)
# alone, last: it kills the host's libvirtd.
# in turns
# with --full it may take 14400 s
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/vm/time-lib.sh
. "$(dirname "$0")/time-lib.sh"

if [ "${VMS_TESTS_OWN_DAEMON:-no}" != yes ]; then
	skip "libvirtd dies at any step" "the libvirtd here was not started by the tests"
	finish
fi

need_image
clear_time
t "the program lists the steps of its verbs" has_points
passed || finish
t "a machine with files, a share and a snapshot" begins
passed || finish
if full; then
	all=$(for verb in $TIME_VERBS; do points "$verb"; done)
else
	all=$'snapshot-delete merge:after\nexport flatten:before'
fi
while read -r verb point; do
	t "libvirtd is killed at $verb:$point" dies libvirtd "$verb" "$point"
done <<<"$all"
t "back to the snapshot: its files, and nothing of later; the disks are sound" goes_back
clear_time
finish
