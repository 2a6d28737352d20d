# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# A world around guests, for the tests of what they reach: network namespaces, which stand for the LAN, the internet and other
# bridges of the host, with canaries that judge. Sourced after lib.sh; begin with `open_world MACHINE...`.
#
# Every address that is asked belongs to a namespace made here, or to the host on an interface made here, before any guest
# runs: where a rule is missing a canary sees it, and nothing leaves this host.
# shellcheck disable=SC2034 # used by test files

HERE=$VMS_TESTS_TOP/tests/vm
PIDS=/run/vms-tests-isolation.pids
SECONDS_MAX=1800
PUBLIC=198.51.100.2 PUBLIC6=2001:db8:66::2 HOST_PUBLIC=198.51.100.129
LAN=192.168.77.2 LAN_NEXT=192.168.77.3 HOST_LAN=192.168.77.1
# a LAN of public addresses, and a router of the host that has one
LAN_PUBLIC=198.51.100.66 HOST_LAN_PUBLIC=198.51.100.65 ROUTER=198.51.100.5
DOCKER=172.17.66.2 HOST_DOCKER=172.17.66.1
CLOSED=(10.66.6.6 10.255.255.254 172.16.66.6 172.31.255.254 192.168.0.66 192.168.255.254 100.64.66.6 100.127.255.254 198.18.66.6
	198.19.255.254 192.0.0.66 169.254.66.6 240.66.6.6 0.66.6.6)
METADATA=169.254.169.254
# a host that asks its names there goes on doing so
! grep -q "$METADATA" /etc/resolv.conf || METADATA=169.254.169.66
declare -A address=() gateway=() mac=() bridge=() bridge_mac=() tap=() since=() till=()

# --- the world around the guests

clean_up() {
	local line namespace chain

	trap - EXIT
	while read -r line; do
		tr '\0' ' ' 2>/dev/null <"/proc/$line/cmdline" | grep -qE 'isolation\.py canary|tcpdump .*--immediate-mode' && kill "$line"
	done < <(cat "$PIDS" 2>/dev/null)
	rm -f "$PIDS"
	for line in "nat PREROUTING" "filter FORWARD"; do
		while iptables -w -t "${line% *}" -D "${line#* }" -j VMSISO 2>/dev/null; do :; done
		iptables -w -t "${line% *}" -F VMSISO 2>/dev/null
		iptables -w -t "${line% *}" -X VMSISO 2>/dev/null
	done
	for namespace in lan public docker; do
		for line in $(ip netns pids "isotest-$namespace" 2>/dev/null); do kill "$line"; done
		ip link delete "isotest-${namespace:0:1}0" 2>/dev/null
		ip netns delete "isotest-$namespace" 2>/dev/null
	done
	ip link delete isotest-br 2>/dev/null
	for chain in host ports; do
		for line in $(nft -a list chain inet libsandbox "$chain" 2>/dev/null | sed -n 's/.*"isotest".* handle //p'); do
			nft delete rule inet libsandbox "$chain" handle "$line"
		done
	done
	return 0
}

inside() {
	local namespace=isotest-$1
	shift
	ip netns exec "$namespace" "$@"
}

# namespace NAME ADDRESS HOST-ADDRESS: a host of its own behind the interface isotest-N0
namespace() {
	local name=$1 link=isotest-${1:0:1}0

	ip netns add "isotest-$name"
	ip link add "$link" type veth peer name eth0 netns "isotest-$name"
	inside "$name" ip link set lo up
	inside "$name" ip address add "$2" dev eth0
	inside "$name" ip link set eth0 up
	inside "$name" ip route add default via "${3%/*}"
	ip link set "$link" up
}

makes_the_world() {
	local place

	namespace lan "$LAN/24" "$HOST_LAN"
	inside lan ip address add "$LAN_NEXT/24" dev eth0
	ip address add "$HOST_LAN/24" dev isotest-l0
	inside lan ip address add "$LAN_PUBLIC/26" dev eth0
	ip address add "$HOST_LAN_PUBLIC/26" dev isotest-l0
	for place in "${CLOSED[@]}" "$METADATA"; do
		inside lan ip address add "$place/32" dev lo
		ip route add "$place/32" via "$LAN"
	done
	namespace public "$PUBLIC/24" 198.51.100.1
	inside public ip address add 198.51.100.3/24 dev eth0
	inside public ip address add "$ROUTER/24" dev eth0
	# what is on the host's wires is its LAN: the internet is behind them, behind a router, to which itself nothing may go
	ip address add 198.51.100.1/32 dev isotest-p0
	ip route add 198.51.100.0/24 via "$ROUTER" dev isotest-p0 onlink src 198.51.100.1
	ip address add "$HOST_PUBLIC/32" dev isotest-p0
	inside public ip -6 address add "$PUBLIC6/64" dev eth0 nodad
	ip -6 route add 2001:db8:66::/64 dev isotest-p0
	ip link add isotest-br type bridge
	namespace docker "$DOCKER/29" "$HOST_DOCKER"
	ip link set isotest-d0 master isotest-br
	ip address add "$HOST_DOCKER/29" dev isotest-br
	ip link set isotest-br up
	# a published port, as Docker makes it; and a host that forwards what libvirt's rules for networks would stop: what holds a
	# guest is to be its own filter. To the internet, libvirt's rules decide.
	iptables -w -t nat -N VMSISO
	iptables -w -t nat -A VMSISO -d "$HOST_PUBLIC" -p tcp --dport 8099 -j DNAT --to-destination "$DOCKER:80"
	iptables -w -t nat -A VMSISO -d "$HOST_PUBLIC" -p udp --dport 8099 -j DNAT --to-destination "$DOCKER:80"
	iptables -w -t nat -I PREROUTING -j VMSISO
	iptables -w -t filter -N VMSISO
	iptables -w -t filter -A VMSISO -o isotest-p0 -j RETURN
	iptables -w -t filter -A VMSISO -i isotest-+ -j ACCEPT
	iptables -w -t filter -A VMSISO -s 10.213.0.0/16 -j ACCEPT
	iptables -w -t filter -A VMSISO -s 172.29.0.0/16 -j ACCEPT
	iptables -w -t filter -I FORWARD -j VMSISO
	for place in "$LAN" "$LAN_NEXT" "$LAN_PUBLIC" "$ROUTER" "$METADATA" "${CLOSED[@]}" "$PUBLIC" 198.51.100.3 "$DOCKER"; do
		contains "$(ip route get "$place")" 'dev isotest-'
	done
	contains "$(ip -6 route get "$PUBLIC6")" 'dev isotest-'
	install -m 755 "$VMS_TESTS_PREFIX/libexec/libsandbox/sandbox-probe" "$T/probe"
}

# background NAME COMMAND...: with an end, and a file by which a later run finds it. Returns when it says that it is ready.
background() {
	local name=$1 tries
	shift
	"$@" >"$T/$name.log" 2>"$T/$name.err" 9>&- &
	echo $! >>"$PIDS"
	for ((tries = 0; tries < 300; tries++)); do
		! grep -qsE '^ready|listening on' "$T/$name.log" "$T/$name.err" || return 0
		kill -0 $! 2>/dev/null || break
		sleep 0.1
	done
	sed 's/^/# /' "$T/$name.err"
	return 1
}

# record NAME COMMAND... INTERFACE: all frames there, into NAME.pcap. COMMAND: for another namespace.
record() {
	local name=$1 interface=${!#}
	shift
	background "capture-$name" "${@:1:$#-1}" timeout $SECONDS_MAX tcpdump -n -U --immediate-mode -B 8192 -s 0 -Z root -w "$T/$name.pcap" \
		-i "$interface" ${direction:+-Q "$direction"}
}

canaries_sing() {
	local port place places=() host=()

	for port in 22 53 80 443 444 8080 8081; do
		places+=("tcp:0.0.0.0:$port" "udp:0.0.0.0:$port")
	done
	for place in lan public docker; do
		background "$place" ip netns exec "isotest-$place" python3 -B "$HERE/isolation.py" canary $SECONDS_MAX "${places[@]}"
		record "$place" ip netns exec "isotest-$place" eth0
	done
	for place in 0.0.0.0:18080 0.0.0.0:40022 "$HOST_LAN:18082" "$HOST_PUBLIC:18083" "$HOST_DOCKER:18085" 127.0.0.1:18084; do
		host+=("tcp:$place" "udp:$place")
	done
	for port in 1 2 4 6 17 33 41 47 50 51 89 94 103 108 112 132 136 253; do
		host+=("raw:$port")
	done
	background host python3 -B "$HERE/isolation.py" canary $SECONDS_MAX "${host[@]}" udp::::18080 raw6:17 raw6:58

	{
		for place in "$LAN" "$LAN_NEXT" "$LAN_PUBLIC" "$ROUTER" "$METADATA" "${CLOSED[@]}" "$PUBLIC" "$DOCKER"; do
			echo "tcp-$place tcp $place 80"
			echo "udp-$place udp $place 80"
			echo "ping-$place ping $place"
		done
		for place in "$HOST_LAN" "$HOST_PUBLIC" "$HOST_DOCKER" 127.0.0.1; do
			echo "tcp-$place tcp $place 18080"
			echo "udp-$place udp $place 18080"
		done
		echo "tcp-lan tcp $HOST_LAN 18082"
		echo "tcp-public tcp $HOST_PUBLIC 18083"
		echo "tcp-docker tcp $HOST_DOCKER 18085"
		echo "tcp-loopback tcp 127.0.0.1 18084"
	} | "$T/probe" ask 10 >"$T/control"
	lacks "$(cat "$T/control")" 'silent|refused|unreachable'
	# as whoever is neither the host nor a guest: the host forwards, and the published port is one
	printf 'control-%s\n' "dnat tcp $HOST_PUBLIC 8099" "dnat-udp udp $HOST_PUBLIC 8099" "lan tcp $LAN 80" "docker tcp $DOCKER 80" |
		inside public "$T/probe" ask 10 >"$T/control"
	lacks "$(cat "$T/control")" 'silent|refused|unreachable'
	contains "$(cat "$T/docker.log")" " tcp $PUBLIC $DOCKER:80\$"
	contains "$(cat "$T/docker.log")" " udp $PUBLIC $DOCKER:80 marks=control-dnat-udp"
	inside public "$T/probe" ask 5 <<<"control-6 udp $HOST_PUBLIC 18080" >/dev/null
	contains "$(cat "$T/host.log")" "raw-17 $PUBLIC $HOST_PUBLIC sport=[0-9]+ dport=18080 marks=control-6"
	contains "$(tcpdump -nr "$T/lan.pcap" "tcp and dst host $METADATA" 2>/dev/null)" ' > '
}

# --- the machines

machine_profile() {
	as_user mkdir -p "$PROFILES"
	printf '[machine]\nmemory=512MiB\ncpus=1\n[network]\n%s\n' "$2" | as_user tee "$PROFILES/$1.profile" >/dev/null
}

starts_machines() {
	local name jobs=()

	for name in "$@"; do
		vms start "$name" >"$T/start-$name" 2>&1 &
		jobs+=($!)
	done
	for name in "${jobs[@]}"; do wait "$name" || true; done
	for name in "$@"; do
		[ "$(domain_state "$name")" = running ] || fail "$name: $(cat "$T/start-$name")"
	done
}

# Where the machine is, for the shell that all cases begin in.
learn() {
	local name=$1 xml

	[ "$(domain_state "$name")" = running ] || return 1
	address[$name]=$(vms status "$name" --json | python3 -c 'import json, sys
data = json.load(sys.stdin)
print((data["machines"][0] if "machines" in data else data)["address"])')
	xml=$(root_virsh net-dumpxml "$(object "$name")")
	gateway[$name]=$(sed -n "s/.*<ip address='\([0-9.]*\)'.*/\1/p" <<<"$xml")
	bridge[$name]=$(sed -n "s/.*<bridge name='\([^']*\)'.*/\1/p" <<<"$xml")
	bridge_mac[$name]=$(cat "/sys/class/net/${bridge[$name]}/address")
	xml=$(root_virsh domiflist "$(object "$name")" | grep network)
	tap[$name]=$(awk '{ print $1 }' <<<"$xml")
	mac[$name]=$(awk '{ print $5 }' <<<"$xml")
}

# Before the tap (what the guest sends), behind it (what the host's own interface gets), and on the way into the guest.
watched() {
	local name=$1

	[ -n "${address[$name]:-}" ] || fail "$name does not run"
	direction=in record "bridge-$name" "${bridge[$name]}"
	direction=in record "out-$name" "${tap[$name]}"
	direction=out record "in-$name" "${tap[$name]}"
	vms cp "$T/probe" "$name:probe"
	in_guest "$name" "sudo ./probe serve $SECONDS_MAX 443 8080"
	# hosts that publish ports switch this on: the guest's own filter has to hold then
	echo 1 >"/proc/sys/net/ipv4/conf/${bridge[$name]}/route_localnet"
}

# ask NAME SECONDS < LINES: from inside
ask() {
	vms ssh "$1" -- sudo ./probe ask "$2"
}

# during NAME FILE: lines that begin with a time, of when this guest attacked
during() {
	awk -v a="${since[$1]}" -v b="${till[$1]}" '$1 >= a && $1 <= b' "$2"
}

# open_world MACHINE...: nothing of an earlier run is left, of another run neither. What is made goes at the end, whatever that is.
open_world() {
	exec 9>/run/lock/vms-tests-isolation.lock
	flock -w 1200 9 || {
		echo "not ok 1 - another run of this test does not end"
		exit 1
	}
	if [ -S /run/libsandbox/guard ] && pgrep -x vms-guard >/dev/null; then
		echo "not ok 1 - vms-guard runs on this host: it would put back the rules that this test takes away; stop it meanwhile"
		exit 1
	fi
	clean_up
	vms destroy --yes --if-exists "$@" >/dev/null 2>&1
	trap clean_up EXIT
	trap 'exit 143' INT TERM
	need_image
	t "(a LAN, an internet and another bridge, of this test)" makes_the_world
	passed || finish
	t "control: every canary sees and answers whoever may ask it" canaries_sing
}
