#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# filter.sh VMS LIBEXECDIR DOMAINSDIR SOURCEDIR: what the network filter costs: throughput from a guest to the host and through it, and how
# many connections a second it opens, against the same guest whose interface has no filter (taken off and put back while
# it runs, so that one boot on one machine shows both).
#
# BENCH_ROUNDS (5): rounds of each; the best one counts. BENCH_MIB (64): what is sent. Needs root. The other end is a network namespace,
# 198.51.100.2, that is made here.
set -euo pipefail

vms=$1
export SANDBOX_LIBEXEC_DIR=$2 SANDBOX_DOMAINS_DIR=$3 SANDBOX_IMAGES_DIR=$3/images
source=$4
rounds=${BENCH_ROUNDS:-5}
bytes=$((${BENCH_MIB:-64} * 1024 * 1024))
machine=bench-filter
object=vms-0-$machine
uplink=198.51.100.2
namespace=isotest-bench
work=
sink=
address=

skip() {
	echo "skipped: $*"
	exit 77
}

finish() {
	[ -z "$sink" ] || kill "$sink" 2>/dev/null || true
	"$vms" destroy --yes --if-exists "$machine" >/dev/null 2>&1 || true
	ip netns delete "$namespace" 2>/dev/null || true
	[ -z "$work" ] || rm -rf "$work"
}

# What takes connections, and forgets what comes.
SINK='
import socket, threading
listener = socket.create_server(("'$uplink'", 5001), backlog=4096)
print("ready", flush=True)
def drain(end):
    while end.recv(1 << 20):
        pass
    end.close()
while True:
    threading.Thread(target=drain, args=(listener.accept()[0],), daemon=True).start()
'

# Beside the tests that make such a world, not into them.
make_uplink() {
	exec 9>/run/lock/vms-tests-isolation.lock
	flock -w 600 9 || skip "a test of isolation is running"
	ip netns delete "$namespace" 2>/dev/null || true
	ip netns add "$namespace"
	ip link add isotest-bench0 type veth peer name eth0 netns "$namespace"
	ip -n "$namespace" address add "$uplink/24" dev eth0
	ip -n "$namespace" link set eth0 up
	ip -n "$namespace" route add default via 198.51.100.1
	ip address add 198.51.100.1/32 dev isotest-bench0
	ip -n "$namespace" address add 198.51.100.5/24 dev eth0
	ip link set isotest-bench0 up
	ip route add 198.51.100.0/24 via 198.51.100.5 dev isotest-bench0 onlink
	ip route get "$uplink" | grep -q 'dev isotest-bench0' || skip "$uplink does not lead to the namespace"
	: >"$work/sink"
	timeout 3000 ip netns exec "$namespace" python3 -c "$SINK" >"$work/sink" 9>&- &
	sink=$!
	until grep -q ready "$work/sink"; do sleep 0.1; done
}

prepare() {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	work=$(mktemp -d)
	export HOME=$work XDG_DATA_HOME=$work/data XDG_CONFIG_HOME=$work/config
	mkdir -p "$XDG_CONFIG_HOME/vms"
	printf '[profile]\ninherits=ci\n[machine]\nmemory=512MiB\ncpus=1\n' >"$XDG_CONFIG_HOME/vms/$machine.profile"
	gcc -static -O1 -o "$work/front" "$source/tests/vm/front.c" || skip "no static C library"
	make_uplink
	"$vms" destroy --yes --if-exists --keep-profile "$machine" >/dev/null 2>&1 || true
	"$vms" -q start "$machine" >&2 9>&-
	"$vms" cp "$work/front" "$machine:front" 2>/dev/null
	"$vms" ssh "$machine" -- 'sudo mv front /srv/front; echo Port 2222 | sudo tee /etc/ssh/sshd_config.d/00-front.conf >/dev/null
		sudo systemctl restart ssh; sudo systemd-run -q --unit front --service-type forking /srv/front 22 2222' </dev/null
	address=$("$vms" status "$machine" --json | python3 -c 'import json, sys
print(json.load(sys.stdin)["machines"][0]["address"])')
	virsh -q -c qemu:///system dumpxml "$object" | python3 -c 'import sys, xml.etree.ElementTree as tree
interface = tree.parse(sys.stdin).getroot().find("devices/interface")
tree.ElementTree(interface).write(sys.argv[1] + "/with.xml")
interface.remove(interface.find("filterref"))
tree.ElementTree(interface).write(sys.argv[1] + "/without.xml")' "$work"
}

# filter with|without: and a look at whether it is so
filter() {
	local rules
	virsh -q -c qemu:///system update-device "$object" "$work/$1.xml" --live >/dev/null
	rules=$(virsh -q -c qemu:///system dumpxml "$object" | grep -c '<filterref' || true)
	[ "$rules" -eq "$([ "$1" = with ] && echo 1 || echo 0)" ] || skip "libvirt did not change the filter"
}

now() {
	echo $((${EPOCHREALTIME/[.,]/} / 1000))
}

# bytes for each millisecond
to_host() {
	local begin got
	begin=$(now)
	exec 3<>"/dev/tcp/$address/22"
	printf 'pull %s\n' "$bytes" >&3
	got=$(head -c "$bytes" <&3 | wc -c)
	exec 3>&-
	[ "$got" -eq "$bytes" ] || skip "the guest sent $got bytes of $bytes"
	echo $((bytes / ($(now) - begin)))
}

in_guest() {
	"$vms" ssh "$machine" -- "$1" </dev/null
}

# By the guest's clock: starting a command there takes time of its own.
to_uplink() {
	in_guest "begin=\$(date +%s%N); head -c $bytes /dev/zero | bash -c 'cat >/dev/tcp/$uplink/5001'
		echo \$(($bytes / ((\$(date +%s%N) - begin) / 1000000)))"
}

# connections in a second
connections() {
	in_guest "perl -MSocket -MTime::HiRes=time -e '
		my \$to = pack_sockaddr_in(5001, inet_aton(\"$uplink\")); my (\$begin, \$n) = (time, 0);
		while (time < \$begin + 3) {
			socket(my \$s, PF_INET, SOCK_STREAM, 0) or die; connect(\$s, \$to) or die \"connect: \$!\"; close(\$s); \$n++;
			last if \$n >= 3000;
		}
		printf \"%d\\n\", \$n / (time - \$begin);'"
}

# measure KIND...: in that order, so that no kind is always the one that finds a machine warmed up
measure() {
	local kind what
	for kind in "$@"; do
		filter "$kind"
		for what in to_host to_uplink connections; do
			"$what" >>"$work/$what.$kind"
		done
	done
}

report() {
	local with without
	with=$(sort -n "$work/$1.with" | tail -n 1)
	without=$(sort -n "$work/$1.without" | tail -n 1)
	awk -v a="$with" -v b="$without" -v what="$2" -v unit="$3" -v by="$4" 'BEGIN {
		printf "filter: %s: %.2f of unfiltered (%.1f and %.1f %s; aim: at least 0.90)\n", what, a / b, a / by, b / by, unit }'
}

trap finish EXIT
prepare
to_host >/dev/null
to_uplink >/dev/null
connections >/dev/null
for round in $(seq "$rounds"); do
	if [ $((round % 2)) -eq 1 ]; then
		measure with without
	else
		measure without with
	fi
done
echo "network filter, 1 processor, Debian 13, best of $rounds"
report to_host "guest to host" "MB/s" 1000
report to_uplink "guest to the uplink" "MB/s" 1000
report connections "new connections" "a second" 1
