#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The machine's QEMU is killed while vms stands before or after any step, at which it has one, of what changes a machine's time. Whatever vms
# then says: what it reported as done is done, the machine starts, every snapshot is there and equal, nothing is orphaned. With --full at each
# of these steps of the program's own tables. (74-daemon does the same with libvirtd; 65-merge kills QEMU where it matters most.)
# in turns
# with --full it may take 14400 s
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/vm/time-lib.sh
. "$(dirname "$0")/time-lib.sh"

need_image
clear_time
t "the program lists the steps of its verbs" has_points
passed || finish
t "a machine with files, a share and a snapshot" begins
passed || finish
while read -r verb point; do
	t "QEMU is killed at $verb:$point" dies QEMU "$verb" "$point"
done < <(for verb in $TIME_VERBS; do points_with_qemu "$verb"; done | sample 3)
t "back to the snapshot: its files, and nothing of later; the disks are sound" goes_back
clear_time
finish
