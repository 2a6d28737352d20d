# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# What the tests share in which libvirtd or QEMU dies while vms stands before or after a step of what changes a machine's time: the
# machine, the verbs, and what must hold whatever vms then says. What the machine must hold is known here, not only in it: else a disk
# that went back as a whole, with its checksums, would pass.

FILE=$TEST_HOME/time.vms
OUT=$TEST_HOME/again.vms
HERE=$TEST_HOME/time
POOL=/var/lib/libvirt/images/vms
# A boot on an emulated processor of a busy host may get its clock wrong, and is not kept then.
WRONG_CLOCK='its clock does not run right'

# Of $T: first, new, now, exported: what the machine holds, or held when that was made: a checksum for each file. boot: its boot.

clear_time() {
	vms destroy --yes --if-exists time time2 timewarm >/dev/null 2>&1
	vms image remove imported >/dev/null 2>&1
	rm -rf "$HERE" "$FILE" "$OUT" "$PROFILES"/time*.profile
}

begins() {
	as_user mkdir -p "$HERE" "$PROFILES"
	as_user sh -c 'echo one >"$1/one"' sh "$HERE"
	as_user tee "$PROFILES/time.profile" >/dev/null <<-END
		[profile]
		inherits=ci
		[machine]
		memory=512MiB
		cpus=1
		start=boot
		[share:code]
		source=$HERE
		target=~/code
		mode=review
	END
	as_user tee "$PROFILES/timewarm.profile" >/dev/null <<<$'[profile]\ninherits=ci\n[machine]\nmemory=512MiB\ncpus=1\nstart=warm'
	vms start time
	in_guest time 'mkdir tree && for i in $(seq 60); do head -c 20000 /dev/urandom >tree/$i; done'
	write_more
	vms snapshot time first
	cp "$T/now" "$T/first"
	write_more
}

# Files that were not there before, in the layer that is written to now, and a line in what it changed of the share.
write_more() {
	in_guest time 'n=$(date +%s%N); for i in 1 2 3 4; do head -c 100000 /dev/urandom >tree/$n-$i; done; echo $n >>code/one; sync'
	contents >"$T/now"
}

contents() {
	in_guest time 'sha256sum code/one tree/*'
}

# holds WANTED HAVE WHAT: the same files, and equal
holds() {
	[ -s "$1" ] || fail "nothing is known of what $3 must hold"
	diff <(sort "$1") <(sort "$2") >"$T/differences" || fail "$3 (<: what it must hold): $(head -n 20 "$T/differences")"
}

# disk_holds WANTED DISK WHAT: the disk is sound, and has the same files, by neither vms nor a machine. Its journal is replayed in a copy.
# What it changed of the share is there under another name.
disk_holds() {
	local have=0
	grep ' tree/' "$1" >"$T/wanted" || fail "nothing is known of what $3 must hold"
	qemu-img check -q -U "$2" || fail "$3: $2 is damaged"
	rm -rf "$T/files"
	mkdir "$T/files"
	qemu-img convert -U -O raw "$2" "$T/raw"
	e2fsck -f -p "$T/raw" >"$T/e2fsck" 2>&1 || have=$?
	[ "$have" -le 1 ] || fail "$3: its file system: $(cat "$T/e2fsck")"
	debugfs -R "rdump /home/dev/tree $T/files" "$T/raw" 2>/dev/null
	rm "$T/raw"
	(cd "$T/files" && sha256sum tree/*) >"$T/have"
	holds "$T/wanted" "$T/have" "$3"
}

snapshots_of_time() {
	vms snapshot list --json time | python3 -c '
import json, sys
print(*(s["name"] for s in json.load(sys.stdin)["snapshots"]), sep="\n")'
}

# layer_of SNAPSHOT: the file that has what it froze
layer_of() {
	local number
	number=$(sed -n "/^\[$1\]\$/,/^\$/s/^layer=//p" "$STATE/time/snapshots")
	[ -n "$number" ] || fail "there is no layer of $1"
	[ "$number" -ne 0 ] || number=
	echo "$POOL/$(object time)${number:+.$number}.qcow2"
}

boot_of_time() {
	in_guest time 'cat /proc/sys/kernel/random/boot_id'
}

# --- the verbs

# points VERB: "VERB STEP:WHEN" of each step, from the program's own table
points() {
	vms help --steps | awk -v verb="$1" '$1 == verb { print verb, $2 ":before"; last = $2 ":after" } END { if (last) print verb, last }'
}

TIME_VERBS="snapshot-create snapshot-delete revert suspend resume clone export import warm-capture warm-start"

# machine_of VERB: the machine whose QEMU it works with
machine_of() {
	case $1 in
	import) echo time2 ;;
	warm-*) echo timewarm ;;
	*) echo time ;;
	esac
}

# points_with_qemu VERB: those at which that machine has one. An import never starts what it makes.
points_with_qemu() {
	local from='' to=''
	case $1 in
	import) return ;;
	revert) to=shutdown:before ;;
	suspend) to=memory:before ;;
	resume) from=record:before ;;
	warm-capture) from=ssh:before to=memory:before ;;
	warm-start) from=plug:before ;;
	esac
	points "$1" | awk -v from="$from" -v to="$to" '
		from == "" && NR == 1 || $2 == from { on = begun = 1 }
		on { print }
		$2 == to { on = 0; ended = 1 }
		END { if (!begun || to != "" && !ended) print "no such point:", from, to }'
}

has_points() {
	local verb
	for verb in $TIME_VERBS; do
		[ "$(points "$verb" | wc -l)" -ge 4 ] || fail "$verb has no steps: $(points "$verb")"
		lacks "$(points_with_qemu "$verb")" 'no such point'
	done
}

# qemu_of VERB: its process, when there is one
qemu_of() {
	local pid
	pid=$(qemu_pid "$(machine_of "$1")") || return 0
	[ ! -e "/proc/$pid" ] || echo "$pid"
}

# what a case has made, and one that failed has left
remove_made() {
	local name
	rm -f "$OUT"
	for name in $(snapshots_of_time | grep -v '^first$'); do vms snapshot delete time "$name"; done
	vms destroy --yes --if-exists time2
	vms image remove imported >/dev/null 2>&1 || true
}

# brings what the verb needs to where it begins
ready_for() {
	[ "$(domain_state time)" = running ] || vms start time
	remove_made
	rm -rf "$T/new" "$T/export"
	write_more
	boot_of_time >"$T/boot"
	case $1 in
	snapshot-create) cp "$T/now" "$T/new" ;;
	snapshot-delete)
		cp "$T/now" "$T/new"
		vms snapshot time new
		# what the merge brings together differs
		write_more
		;;
	resume) vms suspend time ;;
	import)
		[ -e "$FILE" ] || {
			vms export time "$FILE"
			cp "$T/now" "$T/exported"
		}
		;;
	warm-*) vms destroy --yes --if-exists --keep-profile timewarm ;;
	esac
}

# The process that stopped itself; nothing when it ended without having come to its point.
standing() {
	local pid
	for _ in $(seq 3000); do
		for pid in $(pgrep -u "$TEST_UID" -x vms); do
			if grep -q '^State:.T' "/proc/$pid/status" 2>/dev/null; then
				echo "$pid"
				return
			fi
		done
		kill -0 "$1" 2>/dev/null || return 0
		sleep 0.1
	done
}

# begin VERB POINT: its command, in the background, until it stands at that point: $job, $pid; its words in $T/said
begin() {
	local words
	case $1 in
	snapshot-create) words="snapshot time new" ;;
	snapshot-delete) words="snapshot delete time new" ;;
	revert) words="revert --yes --force time first" ;;
	suspend) words="suspend time" ;;
	resume) words="resume time" ;;
	clone) words="clone time time2" ;;
	export) words="export time $OUT" ;;
	import) words="import --name time2 $FILE" ;;
	warm-*) words="start timewarm" ;;
	esac
	for _ in 1 2 3 4; do
		# shellcheck disable=SC2086 # words
		SANDBOX_FAULT=$1:$2:stop vms $words >"$T/said" 2>&1 &
		job=$!
		pid=$(standing "$job")
		if [ -n "$pid" ] || ! grep -q "$WRONG_CLOCK" "$T/said"; then
			break
		fi
		wait "$job" || true
		vms destroy --yes --if-exists --keep-profile timewarm
	done
	[ -n "$pid" ] || fail "vms did not come to $1:$2: $(cat "$T/said")"
}

# killed WHO VERB: libvirtd is there again afterwards
killed() {
	local pid
	if [ "$1" = libvirtd ]; then
		pid=$(cat /run/libvirtd.pid)
	else
		pid=$(qemu_of "$2")
	fi
	[ -n "$pid" ] || fail "there is no process to kill"
	kill -KILL "$pid"
	for _ in $(seq 50); do
		[ -e "/proc/$pid" ] || break
		sleep 0.1
	done
	[ "$1" = QEMU ] || "$VMS_TESTS_TOP/quickstart.sh" --host-only >"$T/quickstart" 2>&1 || fail "$(cat "$T/quickstart")"
}

# dies WHO VERB POINT
dies() {
	local who=$1 verb=$2 point=$3 job pid have=0 wanted=no
	ready_for "$verb"
	begin "$verb" "$point"
	# one that stands holds a lock, for which whatever comes next would wait
	# shellcheck disable=SC2064 # now
	trap "kill -KILL $pid 2>/dev/null || true" EXIT
	! points_with_qemu "$verb" | grep -qxF "$verb $point" || wanted=yes
	eq "$([ -z "$(qemu_of "$verb")" ] && echo no || echo yes)" "$wanted" "whether $(machine_of "$verb") has a QEMU there"
	killed "$who" "$verb"
	kill -CONT "$pid"
	wait "$job" || have=$?
	trap - EXIT
	echo "status $have: $(tail -n 3 "$T/said")"
	[ "$have" -le 6 ] || fail "it ended with $have"
	[ "$have" -eq 0 ] || grep -q ': .' "$T/said" || fail "it failed without a word"
	[ "$have" -ne 0 ] || is_done "$who" "$verb"
	is_whole "$who" "$verb"
}

# --- what must hold

# is_done WHO VERB: what was reported as done is
is_done() {
	case $2 in
	snapshot-create) contains "$(snapshots_of_time)" '^new$' ;;
	snapshot-delete) lacks "$(snapshots_of_time)" '^new$' ;;
	suspend) contains "$(root_virsh vol-list --pool vms)" " $(object time)\.memory " ;;
	clone) copy_is_whole "$T/now" ;;
	import) copy_is_whole "$T/exported" ;;
	export) [ -e "$OUT" ] || fail "there is no file" ;;
	warm-*) [ "$1" = QEMU ] || eq "$(domain_state timewarm)" running ;;
	esac
}

# copy_is_whole WANTED
copy_is_whole() {
	eq "$(domain_state time2)" "shut off"
	disk_holds "$1" "$(root_virsh dumpxml "$(object time2)" | sed -n "s/.*<source file='\([^']*\.qcow2\)'.*/\1/p" | head -n 1)" "the copy"
	vms start time2
	eq "$(in_guest time2 'hostname; sha256sum tree/*')" "time2"$'\n'"$(grep ' tree/' "$1")" "what the copy says"
}

# A file that is there is whole, whether or not that was said.
file_is_whole() {
	mkdir "$T/export"
	tar -xf "$OUT" -C "$T/export"
	(cd "$T/export" && sha256sum --quiet --strict -c SHA256SUMS)
	disk_holds "$T/now" "$T/export/disk.qcow2" "the exported file"
	rm -r "$T/export"
}

snapshots_are_whole() {
	local name
	for name in $(snapshots_of_time); do
		case $name in
		first) disk_holds "$T/first" "$(layer_of first)" "the snapshot first" ;;
		new) disk_holds "$T/new" "$(layer_of new)" "the snapshot new" ;;
		# what a revert left
		auto-*) disk_holds "$T/now" "$(layer_of "$name")" "the snapshot $name" ;;
		*) fail "there is a snapshot $name" ;;
		esac
	done
	contains "$(snapshots_of_time)" '^first$'
}

# What was there, or after a revert also what was at first, and then all the rest in a snapshot.
machine_is_whole() {
	contents >"$T/have"
	if [ "$1" = revert ] && cmp -s "$T/first" "$T/have"; then
		contains "$(snapshots_of_time)" '^auto-'
	else
		holds "$T/now" "$T/have" "the machine"
	fi
	lacks "$(in_guest time 'sudo dmesg')" 'EXT4-fs error|corrupt'
}

# Whatever its volumes are, a snapshot or the machine itself needs them.
no_volume_is_left_over() {
	local top name
	top=$(root_virsh dumpxml "$(object time)" | sed -n "s/.*<source file='\([^']*\.qcow2\)'.*/\1/p" | head -n 1)
	{
		echo "$(object time).seed"
		{
			echo "$top"
			for name in $(snapshots_of_time); do layer_of "$name"; done
		} | while read -r name; do qemu-img info -U --backing-chain "$name" | sed -n 's|^image: .*/||p'; done
	} >"$T/needed"
	eq "$(root_virsh vol-list --pool vms | awk '{ print $1 }' | grep "^$(object time)\." | grep -vxF -f "$T/needed")" "" "volumes that nobody needs"
	eq "$(root_virsh list --all --name | grep -c '\.merge$')" 0 "machines that merge"
}

warm_is_whole() {
	vms start timewarm
	eq "$(in_guest timewarm 'hostname; cat /etc/ssh/ssh_host_ed25519_key.pub')" "timewarm"$'\n'"$(cat "$STATE/timewarm/host_key.pub")"
	[ "$(root_virsh vol-list --pool vms | grep -c "warm\.$(object timewarm)\..*\.json")" -le 1 ] || fail "halves of kept memory"
	vms stop --force --timeout 20s timewarm
	qemu-img check -q "$POOL/$(object timewarm).qcow2" || fail "its disk is damaged"
	vms destroy --yes --keep-profile timewarm
	nothing_remains timewarm
	lacks "$(root_virsh vol-list --pool vms)" "warm\.$(object timewarm)\."
}

# is_whole WHO VERB: whatever was said
is_whole() {
	vms list --json >/dev/null
	vms doctor --repair --yes
	vms start time
	machine_is_whole "$2"
	snapshots_are_whole
	no_volume_is_left_over
	# it is not libvirtd that a machine lives in
	[ "$1/$2" = libvirtd/revert ] || [ "$1" = QEMU ] || eq "$(boot_of_time)" "$(cat "$T/boot")" "its boot"
	[ ! -e "$OUT" ] || file_is_whole
	remove_made
	nothing_remains time2
	case $2 in warm-*) warm_is_whole ;; esac
}

goes_back() {
	local layer
	vms revert --yes --force --discard --discard-changes time first
	vms start time
	contents >"$T/have"
	holds "$T/first" "$T/have" "the machine after a revert to first"
	vms stop --force --timeout 20s time
	for layer in $(root_virsh vol-list --pool vms | awk '{ print $1 }' | grep -E "^$(object time)(\.[0-9]+)?\.qcow2$"); do
		qemu-img check -q "$POOL/$layer" || fail "$layer is damaged"
	done
	vms destroy --yes time
	nothing_remains time
}
