#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Forwarded ports: exactly those that are listed, on 127.0.0.1 and nowhere else, with 1,024 open files, and back again after everything
# that ends an ssh. A judge is the kernel's table of listeners, not the product.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

SERVICE=21434 SECRET=21435 TAKEN=23500
servers=()

end_servers() {
	[ "${#servers[@]}" -eq 0 ] || kill "${servers[@]}" 2>/dev/null
}
trap end_servers EXIT

# serve USER PORT: the file "who" on 127.0.0.1:PORT of this host; its process number in $pid
serve() {
	mkdir -p "$T/www-$2"
	echo "host service $2" >"$T/www-$2/who"
	run_as "$1" python3 -m http.server --bind 127.0.0.1 --directory "$T/www-$2" "$2" >/dev/null 2>&1 </dev/null &
	servers+=("$!")
	for _ in $(seq 50); do
		pid=$(ss -Hltnp "src 127.0.0.1:$2" | sed -n 's/.*pid=\([0-9]*\).*/\1/p')
		[ -z "$pid" ] || break
		sleep 0.1
	done
	[ -n "$pid" ] || { echo "not ok 1 - a service on port $2 (what follows needs it)" && exit 1; }
	servers+=("$pid")
}

# Everything that ssh processes of the user listen on.
listeners() {
	local process

	ss -Hltnp | sed -nE 's/^([^ ]+ +){3}([^ ]+) .*"ssh",pid=([0-9]+).*/\3 \2/p' >"$T/sockets"
	for process in $(cut -d' ' -f1 "$T/sockets" | sort -u); do
		[ "$(stat -c %u "/proc/$process" 2>/dev/null)" != "$TEST_UID" ] || sed -n "s/^$process //p" "$T/sockets"
	done | sort
}

# listed PORT|FIRST-LAST...: what listeners must print
listed() {
	local item
	for item in "$@"; do
		seq -f '127.0.0.1:%.0f' "${item%-*}" "${item#*-}"
	done | sort
}

exactly() {
	listeners >"$T/have"
	listed "$@" >"$T/want"
	diff "$T/want" "$T/have" >"$T/diff" || fail "listeners differ from the list (<: missing, >: not listed): $(head -5 "$T/diff")"
}

# become PORTS...: within a minute
become() {
	for _ in $(seq 120); do
		(exactly "$@") >/dev/null 2>&1 && return
		sleep 0.5
	done
	exactly "$@"
}

fetch() {
	curl -sS -m 20 --noproxy '*' "http://127.0.0.1:$1/who" 2>&1
}

# For as long as a login of an emulated guest takes.
fetch_until() {
	for _ in $(seq 60); do
		[ "$(fetch "$1")" != "$2" ] || return 0
		sleep 1
	done
	eq "$(fetch "$1")" "$2" "port $1"
}

serve_in_guest() {
	in_guest fw 'mkdir -p ~/www; echo the guest >~/www/who; busybox httpd -p 127.0.0.1:8080 -h ~/www; busybox httpd -p 127.0.0.1:28500 -h ~/www'
}

starts_with_1024_files() {
	local keeper

	mkdir -p "$PROFILES"
	printf '[machine]\nmemory=512MiB\n[network]\nforward=28000-29000;23000;28080:8080\nhost=%s\n' "$SERVICE" >"$PROFILES/fw.profile"
	chown -R "$TEST_USER:" "$PROFILES"
	(
		ulimit -n 1024
		vms start fw
	)
	keeper=$(keeper_pids fw)
	contains "$(cat "/proc/$keeper/limits")" '^Max open files +1024 +1024'
	exactly 28000-29000 23000
	eq "$(listeners | wc -l)" 1002 "listeners"
}

connects() {
	serve_in_guest
	eq "$(fetch 28500)" "the guest" "a port of the range"
	eq "$(fetch 28080)" "the guest" "a port that goes elsewhere than its range"
	# nobody listens there in the guest: the connection is taken, and ends
	lacks "$(fetch 28999)" 'guest'
}

no_other_address() {
	local address own
	own=$(vms status fw --json | sed -n 's/.*"address" : "\(.*\)\.[0-9]*".*/\1/p')
	for address in 127.0.0.2 "$(ip -4 -br address | sed -n "s/.* \($own\.[0-9]*\)\/29.*/\1/p")"; do
		contains "$address" '^[0-9.]+$'
		contains "$(curl -sS -m 5 --noproxy '*' "http://$address:28500/who" 2>&1)" "(refused|Couldn't connect|Failed to connect)"
	done
}

offers_the_service() {
	local out
	out=$(in_guest fw "curl -sm 20 http://127.0.0.1:$SERVICE/who; curl -sm 20 http://\$(hostname -I | cut -d' ' -f1):$SERVICE/who
		curl -sm 5 http://127.0.0.1:$SECRET/who || echo closed")
	eq "$out" "host service $SERVICE"$'\n'"host service $SERVICE"$'\n'"closed"
	contains "$(vms forward list fw)" "\*:$SERVICE .*listening"
}

guest_opens_nothing() {
	# shellcheck disable=SC2016 # the guest's shell
	in_guest fw 'for port in 3000 5173 23001 29001; do busybox httpd -p "$port" -h ~/www; done; ss -ltn' >"$T/guest"
	contains "$(cat "$T/guest")" ':29001'
	sleep 3
	exactly 28000-29000 23000
}

live() {
	contains "$(vms forward add fw 23100 23200:8080 2>&1)" '127[.]0[.]0[.]1:23200 of this host leads to port 8080 of the machine'
	exactly 28000-29000 23000 23100 23200
	eq "$(fetch 23200)" "the guest"
	contains "$(cat "$PROFILES/fw.profile")" '^forward=28000-29000;23000;28080:8080;23100;23200:8080$'
	vms forward remove fw 28000-29000 28080:8080 23100
	become 23000 23200
	contains "$(cat "$PROFILES/fw.profile")" '^forward=23000;23200:8080$'
	status 3 vms forward remove fw 23100
	contains "$(status 3 vms forward remove fw 23200 2>&1)" 'did you mean "23200:8080"[?]'
	status 2 vms forward add fw 23200
	status 2 vms forward add fw 80
	exactly 23000 23200
	eq "$(fetch 23200)" "the guest"
}

for_a_time() {
	local seconds=8
	# a host with much to do: it may be over before it listens, or before it is asked
	for (( ; ; seconds *= 4)); do
		[ "$seconds" -le 200 ] || fail "it never listened"
		if vms forward add fw 23300:8080 --for "${seconds}s" 2>"$T/err"; then
			[ "$(fetch 23300)" != "the guest" ] || break
		else
			contains "$(cat "$T/err")" 'was over before it listened'
		fi
		become 23000 23200
	done
	contains "$(vms forward list fw)" '^23300:8080 .* s +listening'
	lacks "$(cat "$PROFILES/fw.profile")" 23300
	sleep "$seconds"
	become 23000 23200
	lacks "$(vms forward list fw)" 23300
}

taken() {
	local out
	serve "$TEST_USER" $TAKEN
	out=$(status 4 vms forward add fw $TAKEN 2>&1)
	contains "$out" "port $TAKEN .*python3 \(pid $pid\)"
	lacks "$(cat "$PROFILES/fw.profile")" $TAKEN
	printf '[machine]\nmemory=512MiB\n[network]\nforward=%s\n' $TAKEN >"$PROFILES/fw2.profile"
	out=$(status 4 vms start fw2 2>&1)
	contains "$out" "port $TAKEN .*python3 \(pid $pid\)"
	contains "$(status 4 vms start --dry-run fw2 2>&1)" "port $TAKEN .*python3 \(pid $pid\)"
	nothing_remains fw2
	printf '[machine]\nmemory=512MiB\n[network]\nforward=23000\n' >"$PROFILES/fw2.profile"
	contains "$(status 4 vms start fw2 2>&1)" 'port 23000 .*machine "fw"'
	nothing_remains fw2
	rm "$PROFILES/fw2.profile"
	kill "$pid"
}

# The ssh processes that hold ports.
holders() {
	pgrep -u "$TEST_UID" -f "ssh .*$STATE/fw/.*-[LR][0-9*]"
}

ssh_dies() {
	# shellcheck disable=SC2046 # process numbers
	kill -9 $(holders)
	exactly
	become 23000 23200
	fetch_until 23200 "the guest"
}

keeper_dies() {
	kill -9 "$(keeper_pids fw)"
	for _ in $(seq 20); do
		[ -n "$(holders)" ] || break
		sleep 0.1
	done
	eq "$(holders)" "" "ssh processes without a keeper"
	vms forward list fw
	become 23000 23200
	fetch_until 23200 "the guest"
}

reboots() {
	in_guest fw 'sudo systemd-run -q --on-active=1 systemctl reboot' || true
	# until the old one is gone
	for _ in $(seq 60); do
		[ "$(fetch 23200)" = "the guest" ] || break
		sleep 1
	done
	for _ in $(seq 120); do
		serve_in_guest >/dev/null 2>&1 && break
		sleep 1
	done
	become 23000 23200
	fetch_until 23200 "the guest"
	contains "$(in_guest fw "for try in \$(seq 30); do curl -sm 20 http://127.0.0.1:$SERVICE/who && break; sleep 1; done")" "host service $SERVICE"
}

# More connections than ssh has descriptors, none of which is ever answered to the end.
flood() {
	local holder
	in_guest fw "perl -MSocket -e 'for (1 .. 1500) { socket my \$s, AF_INET, SOCK_STREAM, 0; connect \$s, pack_sockaddr_in($SERVICE, inet_aton(\"127.0.0.1\")); push @s, \$s } sleep 15'" &
	for _ in $(seq 12); do
		for holder in $(holders); do
			[ "$(find "/proc/$holder/fd" -mindepth 1 2>/dev/null | wc -l)" -le 1024 ] || fail "ssh $holder has more than 1024 descriptors"
		done
		sleep 1
	done
	eq "$(fetch 23200)" "the guest" "another port, meanwhile"
	wait
	exactly 23000 23200
}

# As after a suspend of the host, and as a guest that says nothing.
sleeps() {
	root_virsh suspend "$(object fw)"
	lacks "$(curl -sS -m 3 --noproxy '*' http://127.0.0.1:23200/who 2>&1)" 'the guest'
	exactly 23000 23200
	root_virsh resume "$(object fw)"
	fetch_until 23200 "the guest"
}

refused_by_the_guest() {
	in_guest fw 'busybox httpd -p 23400 -h ~/www'
	contains "$(status 5 vms forward add fw --host 23400 2>&1)" 'port 23400 of the machine is in use there'
	lacks "$(cat "$PROFILES/fw.profile")" 23400
	contains "$(vms forward list fw)" "\*:$SERVICE "
}

empty() {
	vms forward remove fw 23000 23200:8080
	vms forward remove fw --host "$SERVICE"
	exactly
	eq "$(holders)" "" "ssh processes"
	in_guest fw "curl -sm 5 http://127.0.0.1:$SERVICE/who && exit 1; exit 0"
	contains "$(cat "$PROFILES/fw.profile")" '^forward=$'
}

destroyed() {
	vms destroy --yes fw
	nothing_remains fw
}

need_image
vms destroy --yes --if-exists fw >/dev/null 2>&1
serve root $SERVICE
serve root $SECRET
t "a range of 1,001 ports with 1,024 open files: the listeners are the list" starts_with_1024_files
passed || { vms destroy --yes --if-exists fw && finish; }
t "what connects to a port is in the guest" connects
t "no other address of the host takes connections" no_other_address
t "a service of the host is offered on every address of the guest, and no other one" offers_the_service
t "a guest that opens ports opens none on the host" guest_opens_nothing
t "ports are added and removed while it runs" live
t "a forward with a time limit ends by itself" for_a_time
t "a taken port is named with its holder before anything is made" taken
t "they come back when ssh is killed" ssh_dies
t "they end with a killed keeper, and come back with the next command" keeper_dies
t "what the guest does not give is said" refused_by_the_guest
if full; then
	t "they come back when the guest reboots" reboots
	t "a flood from the guest is bounded" flood
	t "they outlast a pause" sleeps
fi
t "an empty list forwards nothing" empty
t "destroy leaves nothing" destroyed
finish
