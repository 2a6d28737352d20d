#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# vms verify: finds nothing on a sound machine, and what is missing when a part of its filter is taken away.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/vm/isolation-lib.sh
. "$VMS_TESTS_TOP/tests/vm/isolation-lib.sh"

# What is asked is always of this test, never the host's real gateway.
TARGETS=(--lan "$LAN" --public "$PUBLIC" --public "$PUBLIC:80" --metadata "$METADATA")

# verify STATUS FILE NAME OPTION...: the document into FILE
verify() {
	local want=$1 file=$2
	shift 2
	status "$want" vms verify "$@" "${TARGETS[@]}" --json >"$T/$file"
}

# found FILE VERDICT: "ID TARGET: EXPECTED" of the findings, sorted; checks the document on the way
found() {
	python3 - "$T/$1" "$2" <<-'END'
		import json, sys
		data = json.load(open(sys.argv[1], encoding="utf-8"))
		assert data["format"] == 1 and type(data["inside"]) is bool and data["name"], data
		assert set(data) == {"format", "name", "inside", "holds", "findings"}, set(data)
		assert data["holds"] is not any(found["verdict"] == "fail" for found in data["findings"])
		for found in data["findings"]:
		    assert set(found) == {"id", "property", "target", "expected", "found", "verdict"}, found
		    assert all(type(value) is str and value for value in found.values()), found
		    assert found["verdict"] in ("pass", "fail", "unknown"), found
		lines = {f"{f['id']} {f['target']}: {f['expected']}" for f in data["findings"] if f["verdict"] == sys.argv[2]}
		print("\n".join(sorted(lines)))
	END
}

# The properties that do not hold.
broken() {
	found "$1" fail | cut -d' ' -f1 | sort -u | tr '\n' ' '
}

# Throwaway machines of verify.
throwaways() {
	{
		root_virsh list --all --name
		root_virsh net-list --all --name
		root_virsh nwfilter-list
		root_virsh vol-list --pool vms
		find "$STATE" -maxdepth 1 -name 'run-*'
		pgrep -fa "sandbox-keeper.*vms-$TEST_UID-run-"
	} 2>/dev/null | grep -E "vms-$TEST_UID-run-|/run-" || true
}

# Beside the start of another machine, which is one that must not be reached.
sound_throwaway() {
	local all

	verify 0 sound tested
	eq "$(found sound fail)" "" "what does not hold"
	all=$(found sound pass)
	for id in host-gateway host-addresses host-loopback answers link-groups groups protocols ipv6 spoof-address spoof-mac spoof-arp dns \
		dns-other lan metadata internet inbound filter devices nested seccomp qemu-user forwards machines; do
		contains "$all" "^$id "
	done
	contains "$all" "^host-addresses $HOST_PUBLIC: closed: tcp [0-9]+, udp [0-9]+"
	contains "$all" "^lan $LAN: open: tcp 8080$"
	contains "$all" "^lan $LAN: closed: .*tcp 8081"
	contains "$all" "^internet $PUBLIC: open: tcp 443$"
	contains "$all" "^internet $PUBLIC: closed: ping, tcp 80$"
	contains "$all" "^dns 10[.][0-9.]+: open: "
	contains "$all" "^metadata $METADATA: closed: tcp 80"
	lacks "$(found sound unknown)" '^(lan|internet|metadata|dns)'
	eq "$(throwaways)" "" "what is left"
}

sound_inside() {
	vms forward add --host tested 18084
	# the guest's own processes are looked at as well: nothing of the probes stays
	verify 0 inside tested --inside
	contains "$(found inside pass)" '^host-services 127[.]0[.]0[.]1:18084 of this host: open$'
	contains "$(found inside unknown)" '^guard this host: runs$'
	vms forward remove --host tested 18084
	eq "$(found inside fail)" "" "what does not hold"
	contains "$(found inside unknown)" '^inside tested: '
	contains "$(found inside pass)" "^lan $LAN: open: tcp 8080$"
	eq "$(in_guest tested 'ls -d /tmp/tmp.* 2>/dev/null; pgrep -fa "ask [0-9]" || true')" "" "what the probes left in the machine"
}

# What holds a guest in any case, set-up's own table, is not what is tried here.
host_lets_in() {
	nft list chain inet libsandbox host 2>/dev/null >"$T/chain" || return 0
	grep -q "iifname \"${bridge[tested]}\" .*isotest" "$T/chain" || nft insert rule inet libsandbox host iifname "${bridge[tested]}" accept comment isotest
}

# mutant FILE PROPERTY...: with that filter these do not hold
mutant() {
	local file=$1 property have
	shift
	host_lets_in
	root_virsh nwfilter-define "$T/$file"
	verify 1 mutant tested --inside
	have=" $(broken mutant)"
	found mutant fail
	for property in "$@"; do
		[[ $have == *" $property "* ]] || fail "$property is said to hold; what is not:$have"
	done
	root_virsh nwfilter-define "$T/filter.xml"
}

without_rules() {
	python3 -c 'import re, sys; print(re.sub(r"<rule .*</rule>", "", open(sys.argv[1]).read(), flags=re.S))' "$1"
}

filters() {
	root_virsh nwfilter-dumpxml "$(object tested)" >"$T/filter.xml"
	python3 -B "$HERE/filter_rules.py" without "$T/filter.xml" frames >"$T/frames.xml"
	# without its limit of connections, too: a kernel that has just been given it can drop what was begun before
	python3 -B "$HERE/filter_rules.py" without "$T/filter.xml" connections 0 >"$T/connections.xml"
	without_rules "$T/filter.xml" >"$T/none.xml"
	# one network less, in both layers
	python3 -c 'import re, sys
print(re.sub(r"<rule (?:(?!</rule>).)*192\.168\.0\.0.*?</rule>", "", open(sys.argv[1]).read(), flags=re.S))' "$T/filter.xml" >"$T/lan.xml"
	eq "$(grep -c '192[.]168[.]0[.]0' "$T/filter.xml")" 3
	eq "$(grep -c '192[.]168[.]0[.]0' "$T/lan.xml" || true)" 0
	python3 -c 'import sys, xml.etree.ElementTree as tree
for name in ("spoof", "mac", "arp"):
    document = tree.parse(sys.argv[1])
    for rule in list(document.getroot().iter("rule")):
        child = next(iter(rule), None)
        if child is None:
            continue
        if name == "spoof" and child.tag == "ip" and child.get("match") == "no" or name == "mac" and child.tag == "mac":
            document.getroot().remove(rule)
        if name == "arp" and child.tag == "arp" and child.get("arpsrcmacaddr"):
            del child.attrib["arpsrcipaddr"]
    document.write(f"{sys.argv[2]}/{name}.xml")' "$T/filter.xml" "$T"
}

# What the host itself has to drop: a bridge hands these up past the filter.
without_the_hosts_own_rules() {
	nft insert rule inet libsandbox ports iifname "${tap[tested]}" accept comment isotest
	verify 1 mutant tested --inside
	eq "$(broken mutant)" "link-groups " "what does not hold"
	nft -a list chain inet libsandbox ports | sed -n 's/.*"isotest".* handle //p' >"$T/handle"
	nft delete rule inet libsandbox ports handle "$(cat "$T/handle")"
}

with_another_card() {
	root_virsh attach-interface "$(object tested)" network "$(object tested)" --model virtio --live
	verify 1 mutant tested --inside
	eq "$(broken mutant)" "devices " "what does not hold"
}

# The same of a machine that is there for the test alone: its rules go as soon as it runs. The other machine's, too: each alone keeps one
# from the other.
mutated_throwaway() {
	local tries name=

	(
		for ((tries = 0; tries < 300; tries++)); do
			name=$(root_virsh list --name | grep -E "^vms-$TEST_UID-run-") && break
			sleep 0.2
		done
		for ((tries = 0; tries < 50; tries++)); do
			root_virsh nwfilter-dumpxml "$name" >"$T/throwaway.xml" && break
			sleep 0.2
		done
		without_rules "$T/throwaway.xml" >"$T/throwaway-none.xml"
		root_virsh nwfilter-define "$T/throwaway-none.xml"
	) &
	root_virsh nwfilter-define "$T/none.xml"
	verify 1 throwaway tested
	wait
	root_virsh nwfilter-define "$T/filter.xml"
	contains " $(broken throwaway)" ' spoof-arp '
	contains " $(broken throwaway)" ' lan '
	contains " $(broken throwaway)" ' filter '
	contains " $(broken throwaway)" ' machines '
	eq "$(throwaways)" "" "what is left"
}

nothing_allowed() {
	local all

	verify 0 none nothing
	eq "$(found none fail)" "" "what does not hold"
	all=$(found none pass)
	contains "$all" "^dns [0-9.]+: closed: DNS"
	contains "$all" "^internet $PUBLIC: closed: tcp 443"
	contains "$all" "^lan $LAN: closed: "
	lacks "$all" ': open'
	eq "$(throwaways)" "" "what is left"
}

# What it might have that is forbidden nobody can see then; everything else holds or does not all the same.
a_paused_machine() {
	as_user tee -a "$PROFILES/tested.profile" >/dev/null <<<$'[policy]\nforbid=left-tool'
	root_virsh suspend "$(object tested)"
	verify 0 paused tested
	root_virsh resume "$(object tested)"
	eq "$(found paused fail)" "" "what does not hold"
	contains "$(found paused pass)" "^internet $PUBLIC: closed: ping, tcp 80$"
	contains "$(found paused pass)" '^forbidden run-'
	eq "$(found paused unknown | grep '^forbidden')" 'forbidden tested: nothing'
	as_user sed -i '/^.policy/,$d' "$PROFILES/tested.profile"
}

# While the machine boots: the worst time.
interrupted() {
	local tries pid

	as_user vms verify tested "${TARGETS[@]}" >"$T/interrupted" 2>&1 &
	for ((tries = 0; tries < 200; tries++)); do
		! root_virsh list --name | grep -qE "^vms-$TEST_UID-run-" || break
		sleep 0.2
	done
	pid=$(pgrep -u "$TEST_UID" -f 'vms verify tested')
	kill -INT "$pid"
	status 130 wait $!
	eq "$(throwaways)" "" "what is left"
}

shows_a_table() {
	status 2 vms verify tested --lan nowhere
	status 2 vms verify tested --lan 192.168.77.2:0
	status 4 vms verify nothing --inside --lan "$LAN"
	vms verify tested --inside "${TARGETS[@]}" >"$T/table" || fail "it says: $(grep -vE '^(pass|unknown) ' "$T/table")"
	contains "$(cat "$T/table")" '^VERDICT +PROPERTY +TARGET +EXPECTED +FOUND'
	contains "$(cat "$T/table")" "^pass +the LAN +$LAN +open: tcp 8080 +open"
}

they_go() {
	vms destroy --yes tested
	nothing_remains tested
	eq "$(throwaways)" "" "what is left"
}

open_world tested nothing
machine_profile tested $'mode=nat\negress=443/tcp\nallow=192.168.77.2:8080/tcp'
machine_profile nothing mode=none
starts_machines tested &
t "a throwaway machine of the same profile: everything holds, allow= and egress= show, nothing is left" sound_throwaway
wait $!
t "(the machine itself runs)" learn tested
passed || finish
learn tested
t "--inside: everything holds, and that it is weaker is said" sound_inside
t "(parts of its filter)" filters
# Each address that the host learned of is one that it cannot learn again: there are four, so these come first.
while read -r what; do
	case $what in
	spoof) t "without the rule about its address" mutant spoof.xml filter spoof-address ;;
	mac) t "without the rule about its card" mutant mac.xml filter spoof-mac ;;
	arp) t "without the address in the rule about ARP" mutant arp.xml filter spoof-arp ;;
	frames) t "without the layer that knows frames" mutant connections.xml filter spoof-address spoof-mac spoof-arp ipv6 ;;
	connections) t "without the layer that knows connections" mutant frames.xml filter answers ;;
	esac
done < <(printf '%s\n' spoof mac arp frames connections | sample 1)
# as hosts do that publish ports on their loopback
t "(the host routes its loopback)" sysctl -q "net.ipv4.conf.${bridge[tested]}.route_localnet=1"
t "without a filter" mutant none.xml filter host-gateway host-addresses host-loopback answers groups protocols ipv6 spoof-mac lan metadata \
	internet inbound
! full || t "without one closed network" mutant lan.xml filter lan
t "the rules are back: everything holds again; a table; mistakes" shows_a_table
if full && nft list chain inet libsandbox ports >/dev/null 2>&1; then
	t "without the host's own rules for what a bridge keeps to itself" without_the_hosts_own_rules
fi
! full || t "with a card that no profile gives" with_another_card
if full; then # a machine more for each
	t "mode=none: nothing is open" nothing_allowed
	t "a throwaway machine without a filter is noticed" mutated_throwaway
	t "a machine that is paused: what could be looked at is told" a_paused_machine
fi
t "Ctrl-C while it boots leaves nothing" interrupted
t "(the machine goes)" they_go
finish
