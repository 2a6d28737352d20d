#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Warm starts: a fresh machine goes on from the kept memory of a boot, as another machine; whatever is wrong with that memory, it
# boots; a disk that was written to never meets it; throwaway machines from one memory share nothing that should be their own.
# in turns
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/vm/identity-lib.sh
. "$(dirname "$0")/identity-lib.sh"

need_image
vms destroy --yes --if-exists warm >/dev/null 2>&1
POOL=/var/lib/libvirt/images/vms
SHARED=$TEST_HOME/warm-share

# Ids of the kept memory of a machine, from libvirt.
kept() {
	root_virsh vol-list --pool vms | awk '{ print $1 }' | sed -n "s/^warm\.\($(object "$1")\..*\)\.json$/\1/p"
}

started() {
	vms status --json "$1" | python3 -c 'import json, sys; print(json.load(sys.stdin)["machines"][0]["started"])'
}

# The layer that it writes to stands on the kept one, by libvirt and by the file itself.
stands_on() {
	local disk
	disk=$(root_virsh dumpxml "$(object "$1")" | sed -n "s/.*<source file='\([^']*\)'.*/\1/p" | head -n 1)
	contains "$disk" "/$(object "$1")(\.[0-9]+)?\.qcow2$"
	eq "$(qemu-img info -U "$disk" | sed -n 's/^backing file: \([^ ]*\).*/\1/p')" "$2"
}

# A boot on an emulated processor of a busy host may get its clock wrong, and is not kept then.
WRONG_CLOCK='its clock does not run right'
start_warm() {
	for _ in 1 2 3 4; do
		vms start warm >"$T/out" 2>&1
		cat "$T/out"
		grep -q "$WRONG_CLOCK" "$T/out" || break
		eq "$(started warm)" boot
		vms destroy --yes --keep-profile warm
	done
	eq "$(started warm)" warm
}

# What must be a machine's own, one a line.
IDENTIFIERS='cat /etc/machine-id; cat /proc/sys/kernel/random/boot_id; cat /etc/ssh/ssh_host_ed25519_key.pub
cat ~/.ssh/id_ed25519.pub; sudo cat /etc/ssh/authorized_keys.d/$USER; od -An -v -tx1 -N32 /dev/urandom | tr -d "\n "; echo
cat /proc/sys/kernel/random/uuid; sudo sha256sum /var/lib/systemd/random-seed; ssh-keygen -q -t ed25519 -N "" -f /tmp/new -C x; cat /tmp/new.pub
perl -e "print unpack(q(H*), do { open my \$f, q(<), q(/dev/random); read \$f, my \$b, 32; \$b }), qq(\n)"'

begins() {
	rm -rf "$SHARED"
	as_user mkdir -p "$SHARED" "$PROFILES"
	as_user tee "$SHARED/file" <<<"of the host" >/dev/null
	as_user tee "$PROFILES/warm.profile" >/dev/null <<-END
		[profile]
		inherits=ci
		[machine]
		memory=1GiB
		start=warm
		[share:project]
		source=$SHARED
		target=~/project
		mode=rw
	END
	start_warm
	eq "$(kept warm | wc -l)" 1 "warm images"
	stands_on warm "$POOL/warm.$(kept warm).qcow2"
	eq "$(stat -c %a "$POOL/warm.$(kept warm).mem")" 600 "mode of the memory"
	contains "$(vms image list)" "^warm .*warm-$(kept warm)"
	# a restore puts no more of its memory in use than it had in use
	eq "$(awk '/^RssShmem/ { print ($2 < 512 * 1024) ? "little" : $2 }' "/proc/$(qemu_pid warm)/status")" little "memory in use"
}

# The machine's own keys, its share, the right time, a system that runs.
is_itself() {
	eq "$(in_guest warm 'cat ~/project/file; echo of the guest >~/project/new; findmnt -n -o FSTYPE ~/project; hostname')" \
		"of the host"$'\n'virtiofs$'\n'warm
	eq "$(cat "$SHARED/new")" "of the guest"
	eq "$(in_guest warm 'cat /etc/ssh/ssh_host_ed25519_key.pub')" "$(cat "$STATE/warm/host_key.pub")"
	eq "$(in_guest warm 'cat ~/.ssh/id_ed25519.pub')" "$(cat "$STATE/warm/guest_key.pub")"
	eq "$(in_guest warm 'sudo cat /etc/ssh/authorized_keys.d/dev')" "$(cat "$STATE/warm/user_key.pub")"
	eq "$(in_guest warm 'stat -c %a:%U /etc/ssh/ssh_host_ed25519_key ~/.ssh/id_ed25519')" "600:root"$'\n'"600:dev"
	local off=$(($(in_guest warm 'date +%s') - $(date +%s)))
	[ "${off#-}" -le 5 ] || fail "its clock is $off s off"
	lacks "$(in_guest warm 'systemctl list-units --failed --plain --no-legend')" service
	# the keys of the boot open nothing any more
	local key
	key=$(as_user find "$TEST_HOME/.cache" -path "*/warm/$(object warm)/user_key")
	contains "$key" user_key
	as_user ssh -F none -i "$key" -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
		"dev@$(vms status --json warm | python3 -c 'import json, sys; print(json.load(sys.stdin)["machines"][0]["address"])')" true \
		2>"$T/err" && fail "the key of the boot lets in"
	contains "$(cat "$T/err")" 'Permission denied'
}

recreates() {
	local before image
	in_guest warm "$IDENTIFIERS" >"$T/first"
	in_guest warm 'echo mine >~/mine; sync'
	image=$(kept warm)
	before=$(stat -c %Y:%s "$POOL/warm.$image.qcow2")
	vms recreate --yes warm
	eq "$(started warm)" warm
	eq "$(kept warm)" "$image" "the warm image"
	eq "$(stat -c %Y:%s "$POOL/warm.$image.qcow2")" "$before" "its layer"
	eq "$(in_guest warm 'ls ~/mine 2>/dev/null | wc -l')" 0 "files of the machine before"
	is_itself
	in_guest warm "$IDENTIFIERS" >"$T/second"
	# it is the same machine: its keys and its machine-id stay; all else is new
	eq "$(sed -n '1p;3,5p' "$T/second")" "$(sed -n '1p;3,5p' "$T/first")"
	eq "$(sort "$T/first" "$T/second" | uniq -d | wc -l)" 4 "lines that are equal"
}

# It has a disk of its own: it boots, with what was on it.
boots_its_disk() {
	in_guest warm 'echo mine >~/mine; sync'
	vms stop --force warm
	vms start warm
	eq "$(started warm)" boot
	eq "$(in_guest warm 'cat ~/mine ~/project/file')" mine$'\n'"of the host"
}

# A fresh machine that is off and has no disk.
without_disk() {
	local have=0
	SANDBOX_FAULT=recreate:old-disk:after:kill vms recreate --yes warm || have=$?
	eq "$have" 137
	eq "$(domain_state warm)" "shut off"
}

layers() {
	root_virsh vol-list --pool vms | awk '{ print $1 }' | grep -cE "^$(object warm)(\.[0-9]+)?\.qcow2$"
}

# Killed between the new layer and the memory: that layer is a disk as after a power cut, and is booted.
# Its memory goes on, and it is not yet itself: the next command ends it with its disk, and begins anew.
killed_before_it_is_itself() {
	local have=0
	without_disk
	SANDBOX_FAULT=warm-start:adopt:before:kill vms start warm || have=$?
	eq "$have" 137
	eq "$(domain_state warm)" running
	[ -e "$STATE/warm/restored" ] || fail "no note"
	vms start warm
	eq "$(started warm)" warm
	[ ! -e "$STATE/warm/restored" ] || fail "the note is still there"
	is_itself
}

killed_between() {
	local have=0
	without_disk
	eq "$(layers)" 0 layers
	SANDBOX_FAULT=warm-start:restore:between:kill vms start warm || have=$?
	eq "$have" 137
	eq "$(domain_state warm)" "shut off"
	eq "$(layers)" 1 layers
	# nothing has run on that layer: it goes, and another one is made
	vms start warm
	eq "$(started warm)" warm
	eq "$(layers)" 1 layers
	[ ! -e "$STATE/warm/restored" ] || fail "the note is still there"
	lacks "$(in_guest warm 'sudo dmesg')" 'EXT4-fs error|corrupt'
	is_itself
}

# A point of the capture at which nothing has booted yet is enough to see that it begins.
is_invalid() {
	local have=0
	eq "$(kept warm | wc -l)" 1 "warm images"
	without_disk
	as_user sed -i 's/^memory=.*/memory=1100MiB/' "$PROFILES/warm.profile"
	SANDBOX_FAULT=warm-capture:boot:before:kill vms start warm || have=$?
	eq "$have" 137
	eq "$(kept warm)" "" "kept memory of another profile"
	vms doctor --repair --yes >/dev/null
	lacks "$(root_virsh vol-list --pool vms)" "warm\.$(object warm)\."
	vms start --boot warm
	eq "$(started warm)" boot
	eq "$(kept warm)" "" "kept memory with --boot"
}

# run_once FILE: what is its own; in FILE.all everything that says which machine it is, once its programs have made theirs.
run_once() {
	# shellcheck disable=SC2016 # for the guest's shell
	local ready='i=0; until systemctl -q is-active docker.service || [ $i -ge 120 ]; do i=$((i + 1)); sleep 1; done'
	for _ in 1 2 3 4; do
		as_user timeout 900 vms run -p warmrun -- sh -c "$IDENTIFIERS; $ready; exec sudo sh -eu -c \"\$1\"" sh "$(identifiers_script)" \
			>"$1.both" 2>"$T/err"
		cat "$T/err"
		grep -q "$WRONG_CLOCK" "$T/err" || break
	done
	contains "$(cat "$T/err")" 'going on from its kept memory'
	sed 10q "$1.both" >"$1"
	sed 1,10d "$1.both" >"$1.all"
}

# A program that says at each boot who the machine is, as docker does, and makes what is missing of the others' too.
writes_setup() {
	{
		printf "#!/bin/sh\nset -eu\ncat >/usr/local/sbin/plant <<'END'\n#!/bin/sh\nset -eu\n"
		plant_script
		printf 'END\nchmod 755 /usr/local/sbin/plant\n'
		cat <<-'SETUP'
			cat >/etc/systemd/system/docker.service <<END
			[Service]
			Type=oneshot
			RemainAfterExit=yes
			ExecStart=/usr/local/sbin/plant
			[Install]
			WantedBy=multi-user.target
			END
			systemctl enable docker.service
		SETUP
	} | as_user tee "$PROFILES/warmrun.sh" >/dev/null
}

# What throwaway machines that come after one another under one name both have.
SAME_NAME="hostname it is one name
etc-hostname it is one name
hosts it is one name
dmi-product_uuid it is made of the name
mac it is made of the name
address the first that is free
address-6 it is made of the MAC
route the first network that is free"

throwaways_differ() {
	writes_setup
	as_user tee "$PROFILES/warmrun.profile" >/dev/null <<-END
		[profile]
		inherits=ci
		[machine]
		memory=1GiB
		start=warm
		[provision]
		setup=warmrun.sh
	END
	run_once "$T/one"
	run_once "$T/two"
	eq "$(wc -l <"$T/one")" 10 "lines"
	eq "$(wc -l <"$T/two")" 10 "lines"
	eq "$(sort "$T/one" "$T/two" | uniq -d)" "" "what two machines of one memory share"
	lacks "$(grep -E '^(docker|iscsi|nvme|dhcp|network-manager|credential)' "$T/one.all")" ' none$'
	SAME="$SAME$SAME_NAME"
	differ "$T/one.all" "$T/two.all"
	lacks "$(root_virsh list --all --name)" "vms-$TEST_UID-run-"
	contains "$(vms image list)" '^run-[0-9a-f]{8} .*warm-vms-'
	vms image prune --yes >"$T/pruned" 2>&1
	contains "$(cat "$T/pruned")" 'warm-vms-'
	lacks "$(root_virsh vol-list --pool vms)" "warm\.vms-$TEST_UID-run-"
	rm -f "$PROFILES/warmrun.profile" "$PROFILES/warmrun.sh"
}

# both FILE: two throwaway machines at the same moment, which stay until each has said what it is.
both() {
	local i pids=()
	rm -f "$T/stay."*
	mkfifo -m 644 "$T/stay.1" "$T/stay.2"
	exec 6<>"$T/stay.1" 7<>"$T/stay.2"
	for i in 1 2; do
		as_user timeout 900 vms run -p warmtwo -- sh -c "$IDENTIFIERS; echo said; read -r _" <"$T/stay.$i" >"$1.$i" 2>"$1.$i.err" 6>&- 7>&- &
		pids+=($!)
	done
	until grep -qx said "$1.1" && grep -qx said "$1.2"; do
		{ kill -0 "${pids[0]}" && kill -0 "${pids[1]}"; } || fail "one has ended: $(cat "$1".?.err)"
		sleep 0.5
	done
	root_virsh list --name | grep "^vms-$TEST_UID-run-" | sort >"$1.names"
	ls "$STATE" >"$1.state"
	echo >&6
	echo >&7
	wait "${pids[0]}"
	wait "${pids[1]}"
	exec 6>&- 7>&-
	sed -i '/^said$/d' "$1.1" "$1.2"
}

# They take two slots, whose memory is kept at the same time; then both go on from it at the same time.
two_at_once() {
	local name
	as_user tee "$PROFILES/warmtwo.profile" >/dev/null <<<"[profile]"$'\n'inherits=ci$'\n'"[machine]"$'\n'memory=1GiB$'\n'start=warm
	for _ in 1 2 3 4; do
		both "$T/kept"
		grep -q "$WRONG_CLOCK" "$T"/kept.?.err || break
	done
	both "$T/again"
	for name in kept.1 kept.2 again.1 again.2; do
		contains "$(cat "$T/$name.err")" 'going on from its kept memory'
		[ "$(wc -l <"$T/$name")" -ge 10 ] || fail "$name: $(cat "$T/$name")"
	done
	lacks "$(cat "$T"/again.?.err)" 'booting once'
	eq "$(cat "$T/again.names")" "$(cat "$T/kept.names")" "their names"
	eq "$(sed 's/.$//' "$T/kept.names" | uniq -c | awk '{ print $1 }')" 2 "machines of one kind"
	eq "$(sed 's/.*\(.\)$/\1/' "$T/kept.names" | tr '\n' ' ')" "0 1 " "slots"
	eq "$(sort "$T"/kept.[12] "$T"/again.[12] | uniq -d)" "" "what two of four machines share"
	for name in $(sed "s/^vms-$TEST_UID-//" "$T/kept.names"); do
		contains "$(cat "$T/again.state")" "^$name$"
		nothing_remains "$name"
	done
	vms image prune --yes >/dev/null 2>&1
	lacks "$(root_virsh vol-list --pool vms)" "vms-$TEST_UID-run-"
	rm -f "$PROFILES/warmtwo.profile"
}

# Every step of both tables, failed and killed: it starts all the same, and nothing is left behind.
points() {
	vms help --steps | awk '$1 == "warm-capture" || $1 == "warm-start" { print $1 ":" $2 ":before"; last = $1 ":" $2 ":after" }
		$1 == "warm-start" { end = last } END { print end }'
}

fails_at() {
	vms destroy --yes --if-exists --keep-profile warm
	SANDBOX_FAULT=$1:fail vms start warm
	eq "$(started warm)" boot
	eq "$(in_guest warm hostname)" warm
	eq "$(kept warm)" "" "kept memory that does not work"
	vms destroy --yes --keep-profile warm
	nothing_remains warm
	lacks "$(root_virsh vol-list --pool vms)" "warm\.$(object warm)\."
}

killed_at() {
	local have=0
	vms destroy --yes --if-exists --keep-profile warm
	SANDBOX_FAULT=$1:kill vms start warm || have=$?
	eq "$have" 137
	vms start warm
	eq "$(in_guest warm hostname)" warm
	is_itself
	vms doctor --repair --yes >/dev/null
	eq "$(kept warm | wc -l)" 1 "warm images"
	vms stop warm
	qemu-img check -q "$POOL/$(object warm).qcow2" || fail "its disk is damaged"
}

# writes_memory JOB: waits until some of the memory is on the host's disk; fails when that command ended before
writes_memory() {
	local bytes
	while kill -0 "$1" 2>/dev/null; do
		bytes=$(stat -c %s "$POOL/warm.$(object warm)."*.mem 2>/dev/null) || bytes=0
		[ "$bytes" -lt 1000000 ] || return 0
		sleep 0.02
	done
	return 1
}

# The start goes on as a boot, and says so.
qemu_killed_while_saving() {
	local try have killed=no
	for _ in 1 2 3 4; do
		vms destroy --yes --if-exists --keep-profile warm
		have=0
		vms start warm >"$T/out" 2>&1 &
		try=$!
		if writes_memory $try; then
			kill -KILL "$(qemu_pid warm)" && killed=yes
		fi
		wait $try || have=$?
		cat "$T/out"
		grep -q "$WRONG_CLOCK" "$T/out" || break
	done
	eq "$killed" yes "whether QEMU was killed while its memory was written"
	eq "$have" 0 "exit status of the start"
	contains "$(cat "$T/out")" 'boots, since it cannot start warm'
	eq "$(started warm)" boot
	eq "$(in_guest warm hostname)" warm
	eq "$(kept warm)" "" "kept memory that is not whole"
	vms destroy --yes --keep-profile warm
	nothing_remains warm
	lacks "$(root_virsh vol-list --pool vms)" "warm\.$(object warm)\."
}

t "the first start keeps the memory of its boot, and goes on from it" begins
t "it is the machine itself: keys, share, clock; the keys of the boot open nothing" is_itself
t "recreated: from the same memory, onto a new disk, with fresh random numbers" recreates
t "a disk that was written to is booted, never restored onto" boots_its_disk
t "two throwaway machines of one memory differ in all that is their own" throwaways_differ
t "two throwaway machines at once: a slot, memory and identifiers of its own each, and nothing stays" two_at_once
t "killed between layer and memory: begins anew, on another layer" killed_between
t "killed before it has its identity: begins anew" killed_before_it_is_itself
t "another profile: the kept memory is removed, --boot keeps none" is_invalid
if full; then
	for point in $(points); do
		t "fails at $point: boots, nothing is left" fails_at "$point"
		t "killed at $point: the next start works" killed_at "$point"
	done
	t "QEMU killed while its memory is saved" qemu_killed_while_saving
fi
goes() {
	vms destroy --yes --if-exists warm
	nothing_remains warm
	lacks "$(root_virsh vol-list --pool vms)" "warm\.$(object warm)\."
	eq "$(as_user find "$TEST_HOME/.cache" -path "*/warm/$(object warm)")" "" "keys of the boot"
}
t "destroyed: nothing is left, nor of its kept memory" goes
rm -rf "$SHARED" "$PROFILES/warm.profile"
finish
