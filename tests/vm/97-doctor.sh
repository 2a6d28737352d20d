#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# doctor says what the host can do; --repair finds what killed commands left, shows it, and removes it and nothing else.
# in turns
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

need_image

reports() {
	vms doctor >"$T/out" 2>&1 || true
	contains "$(cat "$T/out")" '[Kk][Vv][Mm]|acceleration'
	contains "$(cat "$T/out")" 'libvirt'
	# whoever may use libvirt, of which every machine needs one
	contains "$(cat "$T/out")" "note +group: $TEST_USER is in group libvirt, which is as good as root"
	contains "$(cat "$T/out")" ' (storage|confinement|versions|subid|guard): '
	vms doctor --json | python3 -c 'import json, sys; assert json.load(sys.stdin)["checks"]'
}

make_orphans() {
	root_virsh vol-create-as vms "$(object lost).qcow2" 1M --format qcow2
	root_virsh vol-create-as vms "$(object lost).seed" 4k --format raw
	root_virsh net-define /dev/stdin <<-END
		<network><name>$(object lost)</name><bridge name='vmslost0'/><ip address='10.213.250.1' prefix='29'/></network>
	END
	root_virsh nwfilter-define /dev/stdin <<-END
		<filter name='$(object lost)' chain='root'><rule action='drop' direction='inout'/></filter>
	END
	as_user mkdir -p "$STATE/lost"
	as_user sh -c 'umask 077; echo x >"$1/lost/user_key"' sh "$STATE"
}

repairs() {
	local shown
	make_orphans
	shown=$(vms doctor --repair </dev/null 2>&1) || true
	contains "$shown" 'lost'
	contains "$(remains lost)" 'volume' # shown only: no terminal, no --yes
	vms doctor --repair --yes
	nothing_remains lost
}

leaves_machines_alone() {
	local before
	as_user mkdir -p "$PROFILES"
	printf '[machine]\nmemory=512MiB\n' | as_user tee "$PROFILES/kept.profile" >/dev/null
	vms start kept
	vms stop --force kept
	before=$(remains kept)
	contains "$before" domain
	contains "$before" volume
	vms doctor --repair --yes
	eq "$(remains kept)" "$before" "what a machine consists of"
	vms destroy --yes kept
}

foreign_domain_is_not_touched() {
	root_virsh undefine "$(object foreign)" || true
	vms create foreign --profile credentials
	root_virsh define /dev/stdin <<-END
		<domain type='qemu'><name>$(object foreign)</name><memory unit='MiB'>64</memory><os><type arch='x86_64'>hvm</type></os></domain>
	END
	status 4 vms start foreign
	vms destroy --yes foreign || true
	eq "$(domain_state foreign)" "shut off" "a domain that is not ours"
	root_virsh undefine "$(object foreign)"
	vms destroy --yes --if-exists foreign
}

# Without it the half of the filter that knows connections sees nothing.
nothing_starts_unfiltered() {
	local have=0
	vms create unfiltered --profile ci
	vms doctor >"$T/out" 2>&1 || true
	vms start unfiltered >"$T/start.out" 2>&1 || have=$?
	eq "$have" 5 "exit status"
	contains "$(cat "$T/start.out")" "sysctl $setting=1"
	contains "$(cat "$T/out")" 'bridge-netfilter|does not filter bridged packets'
	eq "$(remains unfiltered)" "" "what is left"
	vms destroy --yes unfiltered
}

# --- a host of its own: /etc is an overlay and the network is empty, so that a fix can be run, and things can be wrong, without the real
# host's being touched. Only libvirt's socket is shared.

private_host() {
	mount --make-rprivate /
	mount -t tmpfs tmpfs "$T/private"
	mkdir "$T/private/upper" "$T/private/work"
	mount -t overlay overlay -o "lowerdir=/etc,upperdir=$T/private/upper,workdir=$T/private/work" /etc
	mount -t sysfs sysfs /sys
	rm -f /etc/sysctl.d/60-libsandbox.conf /etc/modules-load.d/libsandbox.conf
	sysctl -q -w "$setting=0"
}

# privately FUNCTION
privately() {
	mkdir -p "$T/private"
	unshare -mn bash -c "set -eu; private_host; $1"
}

setting=net.bridge.bridge-nf-call-iptables
as_root() {
	"$VMS_TESTS_PREFIX/bin/vms" "$@"
}

# level ID of the last `doctor --json >$T/report`: all levels that the check ID has, one a line
level() {
	python3 -c 'import json, sys; [print(c["level"]) for c in json.load(open(sys.argv[1]))["checks"] if c["id"] == sys.argv[2]]' "$T/report" "$1"
}

result() {
	python3 -c 'import json, sys; [print(f["result"]) for f in json.load(open(sys.argv[1]))["fixes"] if f["id"] == sys.argv[2]]' "$T/report" "$1"
}

fixes_and_lasts() {
	status 5 as_root doctor >"$T/out"
	as_root doctor --fix --dry-run --json >"$T/report" || true
	eq "$(result bridge-netfilter)" shown
	eq "$(sysctl -n "$setting")" 0 "after --dry-run"
	[ ! -e /etc/sysctl.d/60-libsandbox.conf ]
	status 2 as_root doctor --fix </dev/null # nobody to ask
	eq "$(sysctl -n "$setting")" 0 "without --yes"
	as_root doctor --fix --yes --json >"$T/report"
	eq "$(result bridge-netfilter)" "done"
	eq "$(level bridge-netfilter)" good
	eq "$(sysctl -n "$setting")" 1
	eq "$(cat /etc/sysctl.d/60-libsandbox.conf)" "$setting=1"
	eq "$(cat /etc/modules-load.d/libsandbox.conf)" br_netfilter
	eq "$(result ports)" "done"
	contains "$(nft list table inet libsandbox)" 'iifname "vnet\*" drop'
	# once more, and once more where only the next boot is wrong
	as_root doctor --fix --yes --json >"$T/report"
	eq "$(result bridge-netfilter)$(result ports)" "" "what is fixed again"
	echo "net/bridge/bridge-nf-call-iptables = 0" >/etc/sysctl.d/60-libsandbox.conf
	as_root doctor --json >"$T/report"
	eq "$(level bridge-netfilter-boot)" warning
	as_root doctor --fix --yes --json >"$T/report"
	eq "$(result bridge-netfilter-boot)" "done"
	echo "$setting=0" >/etc/sysctl.d/99-other.conf # of somebody else's: told, not overwritten
	as_root doctor --json >"$T/report"
	eq "$(level bridge-netfilter-boot)" warning
	as_root doctor --fix --yes --json >"$T/report"
	eq "$(result bridge-netfilter-boot)" ""
	eq "$(cat /etc/sysctl.d/99-other.conf)" "$setting=0"
}

says_that_it_failed() {
	mkdir -p /etc/sysctl.d
	mount -t tmpfs -o ro tmpfs /etc/sysctl.d
	status 5 as_root doctor --fix --yes --json >"$T/report"
	eq "$(result bridge-netfilter)" failed
	eq "$(level bridge-netfilter)" error
	# commands that succeed and change nothing
	umount /etc/sysctl.d
	mount --bind /bin/true "$(command -v sysctl)"
	status 5 as_root doctor --fix --yes --json >"$T/report"
	eq "$(result bridge-netfilter)" not-helped
}

# A prefix for which AppArmor's profile of libvirt's daemon needs a rule.
permits_the_share_helper() {
	local profile=/etc/apparmor.d/usr.sbin.libvirtd
	rm -rf /etc/apparmor.d
	as_root doctor --json >"$T/report" || true
	eq "$(level apparmor)" "" "without a profile"
	mkdir -p /etc/apparmor.d/local
	printf '/usr/sbin/libvirtd {\n  /usr/sbin/* PUx,\n  #include <local/usr.sbin.libvirtd>\n}\n' >"$profile"
	as_root doctor --json >"$T/report" || true
	if [ -d /sys/kernel/security/apparmor ]; then # what it would load is not what this host has
		eq "$(level apparmor)" error
		return
	fi
	# no harm yet, so that it is left to whoever reads it
	eq "$(level apparmor)" note
	python3 -c 'import json, sys; print(next(c["fix"] for c in json.load(sys.stdin)["checks"] if c["id"] == "apparmor"))' <"$T/report" >"$T/fix"
	bash "$T/fix"
	eq "$(cat "/etc/apparmor.d/local/${profile##*/}")" "$VMS_TESTS_PREFIX/sbin/vms-virtiofsd PUx,"
	as_root doctor --json >"$T/report" || true
	eq "$(level apparmor)" good
}

# The test user may use sudo here, and only here.
user_with_sudo() {
	echo "$TEST_USER ALL=(ALL) NOPASSWD: ALL" >/etc/sudoers.d/test
	chmod 440 /etc/sudoers.d/test
	sed -i "/^$TEST_USER:/d" /etc/subuid /etc/subgid
	status 5 vms doctor >"$T/out"
	contains "$(cat "$T/out")" "sudo (/usr/bin/)?tee /etc/sysctl.d/60-libsandbox.conf"
	vms doctor --fix --yes --json >"$T/report"
	eq "$(result bridge-netfilter)" "done"
	eq "$(sysctl -n "$setting")" 1
	eq "$(result subid)" "done"
	# a range that no other user has
	awk -F: -v user="$TEST_USER" '$1 == user { first = $2; end = $2 + $3 } $1 != user { from[NR] = $2; to[NR] = $2 + $3 }
		END { for (n in from) if (from[n] < end && first < to[n]) { print "overlaps " from[n]; exit 1 }; exit !end }' /etc/subuid
	lacks "$(cat "$T/report")" '"usermod",[^]]*"-a?G' # nobody is put into a group
}

user_without_sudo() {
	local program
	for program in sudo pkexec; do
		[ ! -e "/usr/bin/$program" ] || mount --bind /dev/null "/usr/bin/$program"
	done
	status 5 vms doctor --fix --yes >"$T/out" 2>&1
	contains "$(cat "$T/out")" 'neither sudo nor pkexec'
	contains "$(cat "$T/out")" 'tee /etc/sysctl.d/60-libsandbox.conf'
	eq "$(sysctl -n "$setting")" 0
}

# The file system of the pool as it could be: smaller than an image, then smaller than what disks may grow by (40 GiB for a sparse volume).
sees_little_room() {
	local pool
	pool=$(root_virsh pool-dumpxml vms | sed -n 's:.*<path>\(.*\)</path>.*:\1:p')
	root_virsh vol-create-as vms "$(object roomy).qcow2" 40G --format qcow2 >/dev/null
	mount -t tmpfs -o size=1G tmpfs "$pool"
	vms doctor --json >"$T/report" || true
	eq "$(level storage)" warning "with 1 GiB"
	contains "$(cat "$T/report")" 'the storage pool has 1(\.0)? GiB left'
	mount -o remount,size=3G "$pool"
	vms doctor --json >"$T/report" || true
	eq "$(level storage)" note "with 3 GiB, and a disk that may grow by 40"
	root_virsh vol-delete --pool vms "$(object roomy).qcow2" >/dev/null
	mount -o remount,size=4096G "$pool"
	vms doctor --json >"$T/report" || true
	eq "$(level storage)" good "with 4 TiB"
	umount "$pool"
}

# No KVM, and something else in its place.
sees_a_useless_kvm() {
	[ -e /dev/kvm ] || return 0
	as_root doctor --json >"$T/report" || true
	cp "$T/report" "$T/report.kvm"
	mount --bind /dev/null /dev/kvm
	as_root doctor --json >"$T/report" || true
	eq "$(level kvm)" note
	contains "$(cat "$T/report")" 'machines run emulated \(TCG\), which is slow: /dev/kvm'
	umount /dev/kvm
	as_root doctor --json >"$T/report" || true
	eq "$(level kvm)" "$(cp "$T/report.kvm" "$T/report"; level kvm)" "the host's own again"
}

# What weakens a sandbox is seen, and is not seen where it is not.
sees_what_is_wrong() {
	local id
	as_root doctor --json >"$T/report" || true
	eq "$(level qemu-conf)" good
	eq "$(level forward)" good
	eq "$(level dns)" good
	eq "$(level subnets)" good
	eq "$(level ufw)$(level vpn)$(level firewalld)$(level nftables)" ""
	vms doctor --json >"$T/report" || true
	for id in forward dns qemu-conf; do
		eq "$(level $id)" unknown "$id, as an ordinary user sees it"
	done
	sees_little_room
	sees_a_useless_kvm

	printf 'seccomp_sandbox = 0\nuser = "root"\n' >>/etc/libvirt/qemu.conf
	mkdir -p /etc/ufw
	echo ENABLED=yes >/etc/ufw/ufw.conf
	mkdir -p /etc/systemd/system/sysinit.target.wants
	ln -sf /lib/systemd/system/nftables.service /etc/systemd/system/sysinit.target.wants/nftables.service
	cp /bin/sleep "$T/private/firewalld"
	"$T/private/firewalld" 60 &
	ip link add docker0 type bridge
	iptables -P FORWARD DROP
	iptables -P INPUT DROP
	ip link add lan0 type bridge
	ip address add 10.213.8.1/24 dev lan0
	ip link set lan0 up
	ip tuntap add tun0 mode tun
	ip address add 198.51.100.1/32 dev tun0
	ip link set tun0 up
	ip route add 198.51.100.0/24 dev tun0
	mkdir "$T/private/holes"
	echo "Vulnerable: nothing is done" >"$T/private/holes/some_hole"
	mount --bind "$T/private/holes" /sys/devices/system/cpu/vulnerabilities
	echo 1 >"$T/private/ksm"
	[ ! -e /sys/kernel/mm/ksm/run ] || mount --bind "$T/private/ksm" /sys/kernel/mm/ksm/run
	as_root doctor --json >"$T/report" || true
	eq "$(level qemu-conf)" "$(printf 'warning\nwarning')"
	for id in ufw forward dns vpn mitigations; do
		eq "$(level $id)" warning "$id"
	done
	for id in subnets nftables firewalld; do
		eq "$(level $id)" note "$id"
	done
	[ ! -e /sys/kernel/mm/ksm/run ] || eq "$(level ksm)" note
	contains "$(cat "$T/report")" some_hole
	echo "Mitigation: something" >"$T/private/holes/some_hole"
	as_root doctor --json >"$T/report" || true
	eq "$(level mitigations)" good
	rm "$T/private/holes/some_hole"
	as_root doctor --json >"$T/report" || true
	eq "$(level mitigations)" unknown "with nothing to read"
}

# under_init COMMAND: what doctor finds (in $T/report) where the first process is a shell that goes on with COMMAND
under_init() {
	local i init
	rm -f "$T/told"
	unshare -pf --kill-child --mount-proc bash -c "(sh -c 'sleep 0.1 & exec true' &)
		(sleep 1; '$VMS_TESTS_PREFIX/bin/vms' doctor --json >'$T/report'; touch '$T/told') & $1" &
	init=$!
	for ((i = 0; i < 50; i++)); do
		[ ! -e "$T/told" ] || break
		sleep 1
	done
	kill "$init"
}

# A first process that leaves ended ones about, and one that does not.
sees_a_bad_init() {
	under_init "exec sleep 60"
	eq "$(level pid1)" warning
	under_init "sleep 60; :"
	eq "$(level pid1)" good
}

# A libvirt that takes connections and says nothing costs a line, not the command. Waited for while the other cases run.
ask_silent_libvirt() {
	python3 -c 'import socket, sys, time
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(8); time.sleep(90)' "$T/silent" &
	for _ in $(seq 100); do
		[ ! -S "$T/silent" ] || break
		sleep 0.1
	done
	chmod 777 "$T/silent"
	as_user timeout 90 vms -c "qemu+unix:///system?socket=$T/silent" doctor --json >"$T/silent.report"
	echo $? >"$T/silent.status"
	kill %1
}

silent_libvirt() {
	local i
	for ((i = 0; i < 100; i++)); do
		[ ! -e "$T/silent.status" ] || break
		sleep 1
	done
	eq "$(cat "$T/silent.status")" 5 "exit status"
	mv "$T/silent.report" "$T/report"
	contains "$(cat "$T/report")" 'does not answer'
	eq "$(level libvirt)" error
	eq "$(level kvm | wc -l)" 1 "checks that need no libvirt"
}

# No addresses of the host: no machine. Netlink sockets are forbidden to vms by a seccomp filter.
nothing_starts_without_addresses() {
	local have=0
	vms create addressless --profile ci
	as_user timeout 60 python3 - "$VMS_TESTS_PREFIX/bin/vms" start addressless >"$T/out" 2>&1 <<-'END' || have=$?
		import ctypes, os, struct, sys
		# socket (AF_NETLINK, ...) fails with EPERM
		code = [(0x20, 0, 0, 0), (0x15, 0, 3, 41), (0x20, 0, 0, 16), (0x15, 0, 1, 16), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7fff0000)]
		rules = b"".join(struct.pack("HBBI", *line) for line in code)
		text = ctypes.create_string_buffer(rules, len(rules))
		program = struct.pack("HxxxxxxP", len(code), ctypes.addressof(text))
		libc = ctypes.CDLL(None, use_errno=True)
		if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, program, 0, 0):
		    sys.exit("no seccomp filter: " + os.strerror(ctypes.get_errno()))
		os.execv(sys.argv[1], sys.argv[1:])
	END
	eq "$have" 5 "exit status"
	contains "$(cat "$T/out")" 'Cannot read the addresses of this host'
	eq "$(remains addressless)" "" "what is left"
	vms destroy --yes addressless
}

export T TEST_USER TEST_HOME TEST_UID STATE VMS_TESTS_PREFIX setting
# shellcheck disable=SC2046 # names
export -f $(compgen -A function)
ask_silent_libvirt >"$T/silent.out" 2>&1 </dev/null &

t "doctor reports" reports
t "a host that does not filter bridged packets starts nothing" privately nothing_starts_unfiltered
t "a host whose addresses cannot be read starts nothing" nothing_starts_without_addresses
t "--fix shows, asks, mends for good, and looks again" privately fixes_and_lasts
t "an AppArmor profile that does not let libvirt's daemon start the share helper is seen" privately permits_the_share_helper
t "--fix says when it failed, or did not help" privately says_that_it_failed
if command -v sudo >/dev/null; then
	t "an ordinary user's --fix uses sudo" privately user_with_sudo
else
	skip "an ordinary user's --fix uses sudo" "no sudo here"
fi
t "without sudo, --fix says what root has to run" privately user_without_sudo
t "what weakens a sandbox is seen, and only then" privately sees_what_is_wrong
t "a first process that does not reap is seen" sees_a_bad_init
t "a libvirt that says nothing does not stop doctor" silent_libvirt
t "orphans are shown, then removed" repairs
t "what belongs to machines stays" leaves_machines_alone
t "a domain of our name that is not ours is not touched" foreign_domain_is_not_touched
finish
