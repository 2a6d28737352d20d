#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# doctor says what the host can do; --repair finds what killed commands left, shows it, and removes it and nothing else.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

need_image

reports() {
	vms doctor >"$T/out" 2>&1 || true
	contains "$(cat "$T/out")" '[Kk][Vv][Mm]|acceleration'
	contains "$(cat "$T/out")" 'libvirt'
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
	before=$(root_virsh list --all --name | sort)
	vms doctor --repair --yes
	eq "$(root_virsh list --all --name | sort)" "$before" "machines"
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
	local have=0 setting=net.bridge.bridge-nf-call-iptables
	vms create unfiltered --profile ci
	sysctl -q -w "$setting=0"
	vms doctor >"$T/out" 2>&1 || true
	vms start unfiltered >"$T/start.out" 2>&1 || have=$?
	sysctl -q -w "$setting=1"
	eq "$have" 5 "exit status"
	contains "$(cat "$T/start.out")" "sysctl $setting=1"
	contains "$(cat "$T/out")" 'bridge-netfilter|does not filter bridged packets'
	eq "$(remains unfiltered)" "" "what is left"
	vms destroy --yes unfiltered
}

t "doctor reports" reports
t "a host that does not filter bridged packets starts nothing" nothing_starts_unfiltered
t "orphans are shown, then removed" repairs
t "what belongs to machines stays" leaves_machines_alone
t "a domain of our name that is not ours is not touched" foreign_domain_is_not_touched
finish
