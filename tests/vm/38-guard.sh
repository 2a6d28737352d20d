#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Somebody takes the host's packet filter rules away, whole or in parts, while a guest sends without pause: vms-guard cuts the
# machine off, pauses it, has the rules made again and lets it go on. Without the guard the same lets the guest out.
# All that happens in a network namespace and a mount namespace of this test, with a libvirt of its own in there. The way out of
# it ends in another namespace, where what gets there is recorded: whatever is missing, nothing leaves this host. Without --full a
# sample of the parts is taken away.
# in turns
if [ -z "${GUARD_WORLD:-}" ]; then
	GUARD_WORLD=yes exec unshare --net --mount --propagation private bash "$0" "$@"
fi
# alone, last: it judges what happens within a second.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

GUARD=$VMS_TESTS_PREFIX/sbin/vms-guard
FAR=198.51.100.2 LAN=192.168.77.2
DORMANT="nft add table ip filter { flags dormant ; }"
LIBVIRTD_CONFIG=$T/libvirtd.conf

# --- the world

# What runs in these namespaces is this test's; names are not asked. QEMU has a mount namespace of its own, who records a network's.
clean_up() {
	local process pid mine

	trap - EXIT
	mine=$(readlink /proc/self/ns/net /proc/self/ns/mnt)
	for process in /proc/[0-9]*; do
		pid=${process#/proc/}
		if [ "$pid" != $$ ] && readlink "$process/ns/net" "$process/ns/mnt" 2>/dev/null | grep -qxF "$mine"; then
			kill -9 "$pid" 2>/dev/null
		fi
	done
}

start_libvirtd() {
	libvirtd -d -f "$LIBVIRTD_CONFIG"
}

libvirt_answers() {
	root_virsh uri >/dev/null 2>&1
}

# within SECONDS COMMAND...
within() {
	local end=$((${EPOCHREALTIME/[.,]/} + $1 * 1000000))
	shift
	until "$@"; do
		[ "${EPOCHREALTIME/[.,]/}" -lt "$end" ] || fail "not in time: $*"
		sleep 0.1
	done
}

makes_the_world() {
	local place iptables

	# places of this namespace's own; the images are those of the host
	mkdir "$T/keep" "$T/keep/cgroup" "$T/keep/images"
	mount --rbind /sys/fs/cgroup "$T/keep/cgroup"
	mount --bind /var/lib/libvirt/images "$T/keep/images"
	cp /etc/libvirt/*.conf "$T/keep/"
	for place in /var/lib/libvirt /var/log/libvirt /etc/libvirt; do
		mount -t tmpfs -o mode=755 tmpfs "$place"
	done
	mkdir /var/lib/libvirt/images /etc/libvirt/nwfilter /etc/libvirt/qemu
	mount --move "$T/keep/images" /var/lib/libvirt/images
	# a host on which programs take long where FORWARD and INPUT are concerned, while the file "slow" is there
	cp -a /etc/alternatives "$T/alternatives"
	iptables=$(readlink -f /usr/sbin/iptables)
	rm "$T/alternatives/iptables"
	cat >"$T/alternatives/iptables" <<-END
		#!/bin/bash
		[[ ! -e $T/slow || " \$* " != *\ @(FORWARD|INPUT)\ * ]] || sleep 0.3
		exec -a iptables $iptables "\$@"
	END
	chmod 755 "$T/alternatives/iptables"
	mount --bind "$T/alternatives" /etc/alternatives
	mv "$T/keep/"*.conf /etc/libvirt/
	mount -t sysfs sysfs /sys
	mount --move "$T/keep/cgroup" /sys/fs/cgroup
	# nothing is mounted there any more, which all goes at the end
	rmdir "$T/keep/cgroup" "$T/keep/images"
	mount -t tmpfs tmpfs /run
	mkdir /run/lock
	ip link set lo up
	ip netns add far
	ip link add up0 type veth peer name eth0 netns far
	ip address add 198.51.100.1/32 dev up0
	ip link set up0 up
	ip netns exec far ip address add "$FAR/24" dev eth0
	ip netns exec far ip address add 198.51.100.5/24 dev eth0
	ip netns exec far ip link set eth0 up
	ip route add default via 198.51.100.5 dev up0 onlink
	sysctl -qw net.bridge.bridge-nf-call-iptables=1 net.ipv4.ip_forward=1
	nft -f /etc/libsandbox/ports.nft
	printf '%s = "%s"\n' unix_sock_group libvirt unix_sock_rw_perms 0770 auth_unix_ro none auth_unix_rw none \
		log_outputs 3:file:/var/log/libvirt/libvirtd.log >"$LIBVIRTD_CONFIG"
	# shellcheck source=/dev/null
	. <(sed -n '/^refuse_machines_without_rules() {/,/^}/p' "$VMS_TESTS_TOP/quickstart.sh")
	refuse_machines_without_rules
	virtlogd -d
	start_libvirtd
	within 30 libvirt_answers
	nsenter --net=/run/netns/far timeout 1800 tcpdump -n -tt -l --immediate-mode -i eth0 udp portrange 9-10 >"$T/uplink" 2>"$T/uplink.err" &
	within 5 grep -q 'listening on' "$T/uplink.err"
}

# --- the guest, the guard

# guest_sends_for_ever MACHINE PORT
guest_sends_for_ever() {
	local since

	since=$(now)
	cat >"$T/loop" <<-END
		exec 3<> <(:)
		while :; do
			echo x >/dev/udp/$LAN/$2
			echo x >/dev/udp/$FAR/$2
			read -r -t 0.02 -u 3
		done 2>/dev/null
	END
	chmod 644 "$T/loop"
	vms cp "$T/loop" "$1:loop"
	in_guest "$1" "setsid timeout 1800 bash loop >/dev/null 2>&1 </dev/null &"
	within 10 sees "$FAR" "$since" "" "$2"
}

now() {
	echo "${EPOCHREALTIME/,/.}"
}

# packets ADDRESS SINCE [TILL [PORT]]: when they got there
packets() {
	awk -v to="$1.${4:-9}:" -v since="$2" -v till="${3:-9999999999}" '$5 == to && $1 >= since && $1 <= till { print $1 }' "$T/uplink"
}

sees() {
	[ -n "$(packets "$@")" ]
}

sees_many() {
	[ "$(packets "$@" | wc -l)" -gt 10 ]
}

# All rules, without counters.
rules() {
	{
		iptables-save
		ebtables-save -t nat
		nft list table inet libsandbox
		nft list table arp libsandbox
		sysctl net.bridge.bridge-nf-call-iptables
	} 2>&1 | grep -v '^#' | sed 's/ *\[[0-9]*:[0-9]*\]//'
}

start_guard() {
	local since

	since=$(now)
	(
		UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 "$GUARD" 2>&1 &
		echo $! >"$T/guard.pid"
		wait
	) |
		while read -r line; do printf '%s %s\n' "${EPOCHREALTIME/,/.}" "$line"; done >>"$T/guard" &
	within 10 logged "$since" 'guarded'
}

stop_guard() {
	kill "-${1:-TERM}" "$(cat "$T/guard.pid")"
	within 10 gone "$(cat "$T/guard.pid")"
}

gone() {
	! kill -0 "$1" 2>/dev/null
}

# logged SINCE PATTERN
logged() {
	awk -v since="$1" '$1 >= since' "$T/guard" 2>/dev/null | grep -qE -- "$2"
}

# time_of SINCE PATTERN: of the first such line
time_of() {
	awk -v since="$1" '$1 >= since' "$T/guard" | grep -E -m 1 -- "$2" | cut -d' ' -f1
}

is() {
	[ "$(domain_state guarded)" = "$1" ]
}

after() {
	awk -v time="$1" -v seconds="$2" 'BEGIN { printf "%.6f\n", time + seconds }'
}

# --- the cases

# What the guard said, when a case failed.
said() {
	passed || sed 's/^[0-9]*\([0-9][0-9][0-9]\.[0-9]*\)[0-9][0-9][0-9]/# \1/' "$T/guard" | tail -n 12
}

# Whoever starts it.
without_ports() {
	local broken

	vms destroy --yes --if-exists guarded
	as_user mkdir -p "$PROFILES"
	printf '[machine]\nmemory=512MiB\ncpus=1\n' | as_user tee "$PROFILES/guarded.profile" >/dev/null
	for broken in 'delete table arp libsandbox' 'flush chain inet libsandbox host'; do
		nft "$broken"
		vms start guarded 2>"$T/err" && fail "it started"
		contains "$(cat "$T/err")" 'ports.nft are not loaded'
		lacks "$(domain_state guarded)" running
		nft -f /etc/libsandbox/ports.nft
	done
	root_virsh create /dev/stdin <<-END
		<domain type='qemu'><name>foreign</name><memory unit='MiB'>32</memory><os><type arch='x86_64'>hvm</type></os></domain>
	END
	root_virsh destroy foreign
}

without_a_guard() {
	local since

	rules >"$T/whole"
	since=$(now)
	nft flush ruleset
	within 5 sees "$LAN" "$since"
	sleep 1.5
	within 15 sees_many "$LAN" "$since"
	is running
}

late_guard() {
	local since

	since=$(now)
	start_guard
	within 5 logged "$since" 'paused: '
	since=$(time_of "$since" 'paused: ')
	within 30 logged "$since" 'resumed'
	eq "$(packets "$LAN" "$since" | wc -l)" 0 "packets to the LAN after it was paused"
	within 5 sees "$FAR" "$(now)"
	eq "$(rules | diff "$T/whole" - | head -5)" "" "rules that are others than before"
}

# milliseconds A B: between them
milliseconds() {
	awk -v a="$1" -v b="$2" 'BEGIN { printf "%d\n", (b - a) * 1000 }'
}

# shut SINCE RESUMED PORT: from one second after SINCE on nothing of the machine that sends to PORT came out, until it went on. That is the
# promise; when it is paused depends on what the host has to do. RESUMED is when it said that it goes on, and is written down a little later.
shut() {
	eq "$(packets "$FAR" "$(after "$1" 1)" "$(after "$2" -0.3)" "$3" | wc -l)" 0 "packets from one second on, till it was resumed"
	eq "$(packets "$LAN" "$(after "$1" 1)" "" "$3" | wc -l)" 0 "packets to the LAN after one second"
}

# took_away COMMAND...: it is seen, and all is well again. The time for which packets still got through goes to a file.
took_away() {
	local since paused resumed last

	within 10 sees "$FAR" "$(now)"
	since=$(now)
	"$@"
	within 3 logged "$since" 'paused: '
	paused=$(time_of "$since" 'paused: ')
	milliseconds "$since" "$paused" >>"$T/pauses"
	# what libvirt cannot mend
	[ "$*" != "$DORMANT" ] || nft add table ip filter
	within 60 logged "$since" 'resumed'
	resumed=$(time_of "$since" 'complete again')
	last=$(packets "$FAR" "$since" "$paused" | tail -n 1)
	milliseconds "$since" "${last:-$since}" | tee -a "$T/windows"
	shut "$since" "$resumed" 9
	within 5 sees "$FAR" "$(now)"
	is running
	eq "$(rules | diff "$T/whole" - | grep -v "${EXPECTED:-^$}" | grep '^[<>]' | head -5)" "" "rules that are others than before"
}

parts() {
	cat <<-END
		nft delete table bridge nat
		nft flush table ip filter
		nft flush table ip nat
		iptables -F
		iptables -t nat -F
		ebtables -t nat -F
		nft delete table inet libsandbox
		nft delete table arp libsandbox
		nft flush chain inet libsandbox host
		sysctl -qw net.bridge.bridge-nf-call-iptables=0
		iptables -F FI-$tap
		iptables -F FO-$tap
		iptables -F HI-$tap
		nft flush chain bridge nat libvirt-I-$tap
		nft flush chain bridge nat libvirt-O-$tap
		iptables -D FI-$tap 5
		iptables -R FI-$tap 5 -d 192.0.2.77 -j DROP
		iptables -D FORWARD -j libvirt-in
		iptables -F libvirt-out
		iptables -D INPUT -j libvirt-host-in
		iptables -I FORWARD -j ACCEPT
		$DORMANT
	END
}

took_part() {
	local part
	read -ra part <<<"$1"

	EXPECTED=
	[[ $1 != *ACCEPT ]] || EXPECTED='-A FORWARD -j ACCEPT'
	took_away "${part[@]}"
	[[ $1 != *ACCEPT ]] || iptables -D FORWARD -j ACCEPT
}

# libvirt cannot move its own rule before this one: the machine stays paused until it is taken away, whoever looks.
killed_guard() {
	local since

	since=$(now)
	ebtables -t nat -I PREROUTING -j ACCEPT
	within 3 logged "$since" 'paused: rule 1 of bridge/nat/PREROUTING lets packets pass'
	within 2 is paused
	stop_guard KILL
	# what this one never saw complete
	iptables -D "FI-$tap" 5
	since=$(now)
	start_guard
	within 5 logged "$since" 'was paused by a guard before'
	sleep 2
	is paused
	eq "$(packets "$FAR" "$since" | wc -l)" 0 "packets while it is paused"
	since=$(now)
	ebtables -t nat -D PREROUTING -j ACCEPT
	within 30 logged "$since" 'resumed'
	within 5 sees "$FAR" "$since"
	eq "$(rules | diff "$T/whole" - | head -5)" "" "rules that are others than before"
}

paused_by_its_user() {
	local since

	root_virsh suspend "$(object guarded)"
	since=$(now)
	nft flush ruleset
	within 3 logged "$since" 'paused already'
	within 60 logged "$since" 'complete again'
	sleep 1
	is paused
	lacks "$(awk -v since="$since" '$1 >= since' "$T/guard")" 'resumed'
	since=$(now)
	root_virsh resume "$(object guarded)"
	within 5 sees "$FAR" "$since"
	# and again when it is ours to pause
	since=$(now)
	iptables -F
	within 3 logged "$since" 'paused: '
	within 60 logged "$since" 'resumed'
}

libvirtd_restarts() {
	local since pid

	pid=$(cat /run/libvirtd.pid)
	kill "$pid"
	within 20 gone "$pid"
	since=$(now)
	nft flush ruleset
	sleep 2
	eq "$(packets "$LAN" "$(after "$since" 1)" | wc -l)" 0 "packets to the LAN without libvirt"
	start_libvirtd
	within 60 logged "$since" 'connected to libvirt'
	within 60 logged "$since" 'complete again'
	within 10 is running
	within 5 sees "$FAR" "$(now)"
	eq "$(rules | diff "$T/whole" - | grep '^[<>]' | head -5)" "" "rules that are others than before"
}

# of MACHINE SINCE PATTERN
of() {
	logged "$2" "$(object "$1").*$3"
}

state_of() {
	[ "$(domain_state "$1")" = "$2" ]
}

# Both are cut off and go on; then one of them is paused by its user.
two_machines() {
	local since name port

	printf '[machine]\nmemory=256MiB\ncpus=1\n' | as_user tee "$PROFILES/second.profile" >/dev/null
	since=$(now)
	vms start second
	of guarded "$since" 'paused' && fail "the start of another machine paused this one"
	guest_sends_for_ever second 10
	since=$(now)
	within 5 sees "$FAR" "$since"
	since=$(now)
	nft flush ruleset
	for name in guarded second; do
		within 5 of "$name" "$since" 'paused: '
		milliseconds "$since" "$(time_of "$since" "$(object "$name").*paused: ")" >>"$T/pauses"
	done
	for name in guarded second; do
		within 60 of "$name" "$since" 'resumed'
		within 5 state_of "$name" running
		port=$([ "$name" = guarded ] && echo 9 || echo 10)
		shut "$since" "$(time_of "$since" "$(object "$name").*resumed")" "$port"
	done
	root_virsh suspend "$(object second)"
	since=$(now)
	nft flush ruleset
	within 5 of guarded "$since" 'paused: '
	within 5 of second "$since" 'paused already'
	within 60 of guarded "$since" 'resumed'
	within 60 of second "$since" 'complete again'
	sleep 1
	state_of guarded running
	state_of second paused
	of second "$since" 'resumed' && fail "it resumed what its user had paused"
	since=$(now)
	within 5 sees "$FAR" "$since"
	root_virsh resume "$(object second)"
	eq "$(in_guest second hostname)" second
	vms destroy --yes second
}

another_domain_starts() {
	root_virsh create /dev/stdin <<-END
		<domain type='qemu'><name>beside</name><memory unit='MiB'>32</memory><os><type arch='x86_64'>hvm</type></os>
			<devices><interface type='bridge'><source bridge='beside0'/><filterref filter='beside'/></interface></devices></domain>
	END
}

jumps_are_out() {
	! iptables-save -t filter | grep -q -- '-A FORWARD -j libvirt-in$'
}

# Where libvirt makes rules for one machine, none has all of its own for a while. It is cut off then, but nothing is lost: who has
# nothing to do with it is not paused, however long it takes; and is, when somebody takes away more meanwhile.
libvirt_at_work() {
	local since till quiet

	ip link add beside0 type bridge
	ip link set beside0 up
	root_virsh nwfilter-define /dev/stdin <<<"<filter name='beside' chain='root'><rule action='drop' direction='inout'><all/></rule></filter>"
	within 5 sees "$FAR" "$(now)"
	touch "$T/slow"
	since=$(now)
	another_domain_starts
	rm "$T/slow"
	till=$(now)
	within 5 sees "$FAR" "$till"
	# control: for longer than the guard waits for whom it does not know
	quiet=$(packets "$FAR" "$since" | awk -v last="$since" '{ if ($1 - last > most) most = $1 - last; last = $1 } END { printf "%d\n", most * 1000 }')
	echo "cut off for $quiet ms"
	[ "$quiet" -ge 1000 ] || fail "it was cut off for $quiet ms only: nothing is shown"
	eq "$(packets "$LAN" "$since" | wc -l)" 0 "packets to the LAN"
	lacks "$(awk -v since="$since" '$1 >= since' "$T/guard")" 'paused'
	is running
	root_virsh destroy beside
	touch "$T/slow"
	another_domain_starts &
	within 5 jumps_are_out
	since=$(now)
	iptables -D "FI-$tap" 5
	within 3 logged "$since" 'paused: '
	jumps_are_out || fail "libvirt was done by then: nothing is shown"
	rm "$T/slow"
	wait $!
	within 60 logged "$since" 'resumed'
	shut "$since" "$(time_of "$since" 'complete again')" 9
	root_virsh destroy beside
	root_virsh nwfilter-undefine beside
	eq "$(rules | diff "$T/whole" - | grep '^[<>]' | head -5)" "" "rules that are others than before"
}

others_are_left_alone() {
	local since

	root_virsh create /dev/stdin <<-END
		<domain type='qemu'><name>foreign</name><memory unit='MiB'>32</memory><os><type arch='x86_64'>hvm</type></os></domain>
	END
	since=$(now)
	iptables -F
	within 3 is paused
	eq "$(root_virsh domstate foreign)" running "a domain of somebody else"
	within 60 logged "$since" 'resumed'
	root_virsh destroy foreign
	lacks "$(cat "$T/guard")" foreign
}

# Thousands of changes of the rules, which do not concern it.
flood() {
	local since pid before after

	nft add table ip flood
	nft add chain ip flood one
	pid=$(cat "$T/guard.pid")
	before=$(awk '{ print $14 + $15 }' "/proc/$pid/stat")
	(
		for ((i = 0; i < 100; i++)); do
			nft -f /dev/stdin < <(for ((j = 0; j < 100; j++)); do echo "add rule ip flood one counter"; done)
			nft flush chain ip flood one
		done
	) &
	sleep 1
	took_away iptables -F "FI-$tap"
	wait $!
	nft delete table ip flood
	after=$(awk '{ print $14 + $15 }' "/proc/$pid/stat")
	echo "the guard took $(((after - before) * 1000 / $(getconf CLK_TCK))) ms of processor time"
	! gone "$pid"
}

is_shown() {
	local since

	contains "$(vms status guarded)" 'guard +runs'
	contains "$(vms status guarded --json)" '"guard_pid" : [1-9]'
	contains "$(vms doctor)" 'good +guard'
	# nobody else can say so
	stop_guard
	contains "$(vms status guarded)" 'guard +does not run'
	contains "$(vms status guarded --json)" '"guard_pid" : 0'
	contains "$(vms doctor)" 'warning +guard'
	as_user python3 -c 'import socket; s = socket.socket(socket.AF_UNIX); s.bind("/run/libsandbox/guard")' 2>&1 | tail -n 1 |
		grep -q PermissionError
	status 5 as_user "$GUARD"
	# one that starts late knows by the filter that a rule is missing which it never saw
	iptables -D "FI-$tap" 5
	since=$(now)
	start_guard
	within 5 logged "$since" 'has [0-9]+ rules instead of'
	within 60 logged "$since" 'resumed'
	eq "$(rules | diff "$T/whole" - | head -5)" "" "rules that are others than before"
	status 1 timeout 20 "$GUARD"
}

goes() {
	vms destroy --yes guarded
	within 20 gone_from_libvirt
	stop_guard
	lacks "$(cat "$T/guard")" 'Sanitizer|runtime error'
	eq "$(cat /run/libsandbox/guard.paused)" "" "machines that are recorded as paused"
}

gone_from_libvirt() {
	[ -z "$(domain_state guarded)" ]
}

trap clean_up EXIT
trap 'exit 143' INT TERM
t "(a host of this test's own, with a way out that is watched)" makes_the_world
passed || finish
need_image
t "no machine starts on a host without ports.nft" without_ports
need_running guarded
tap=$(root_virsh domiflist "$(object guarded)" | awk '/network/ { print $1 }')
t "(the guest sends, to where it may and where it may not)" guest_sends_for_ever guarded 9
passed || finish
t "control: without a guard, a flush lets it out, and it goes on" without_a_guard
t "a guard that starts after that pauses it, and has all rules made again" late_guard
said
t "it is shown, and nobody else can pretend to be it" is_shown
said
t "nft flush ruleset: paused, nothing gets out, and it goes on" took_away nft flush ruleset
said
while read -r part; do
	t "$part: the same" took_part "$part"
	said
done < <(parts | sample 1)
t "libvirt that makes rules for another machine takes nothing away; who does so meanwhile is seen" libvirt_at_work
! passed || grep '^cut off' "$T/$number.out" | sed 's/^/# /'
said
t "a guard that is killed: the next one knows what it paused" killed_guard
said
t "a machine that its user paused stays paused" paused_by_its_user
said
t "without libvirt it is cut off, and goes on when libvirt is back" libvirtd_restarts
said
if full; then
	t "two machines: both are paused and go on, but for one that its user paused" two_machines
	said
	t "domains of others are left alone" others_are_left_alone
	said
	t "a flood of changes" flood
	said
fi
[ ! -s "$T/windows" ] || echo "# packets still got through for (ms): $(sort -n "$T/windows" | tr '\n' ' ')"
[ ! -s "$T/pauses" ] || echo "# paused after (ms): $(sort -n "$T/pauses" | tr '\n' ' ')"
t "it goes, and nothing of it is kept in mind" goes
said
finish
