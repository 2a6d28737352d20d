#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Once the image is there, nothing needs a network: everything in a network name space of its own, which has no way out,
# with a libvirtd of its own (the host's network and libvirt are not touched).
# in turns
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

# private NAME: an empty directory over NAME, in this mount name space only
private() {
	[ ! -d "$1" ] || mount -t tmpfs -o mode=755 tmpfs "$1"
}

start_daemons() {
	local directory

	ip link set lo up
	nft -f /etc/libsandbox/ports.nft
	private /run/dbus # no machined, no polkit of the host
	private /run/libvirt
	private /var/cache/libvirt
	private /var/lib/libvirt/qemu
	chown libvirt-qemu:kvm /var/lib/libvirt/qemu
	private /var/lib/libvirt/dnsmasq
	cp -a /etc/libvirt "$T/etc-libvirt"
	rm -rf "$T"/etc-libvirt/{qemu,storage,secrets,nwfilter}
	mount --bind "$T/etc-libvirt" /etc/libvirt
	for directory in qemu storage; do
		mkdir -p "/etc/libvirt/$directory"
	done
	cat >"$T/libvirtd.conf" <<-END
		unix_sock_group = "libvirt"
		unix_sock_rw_perms = "0770"
		auth_unix_ro = "none"
		auth_unix_rw = "none"
		log_outputs = "3:file:$T/libvirtd.log"
	END
	virtlogd -d -p "$T/virtlogd.pid" >/dev/null 2>&1
	libvirtd -d -f "$T/libvirtd.conf" -p "$T/libvirtd.pid" >/dev/null 2>&1
	for _ in $(seq 100); do
		! root_virsh uri >/dev/null 2>&1 || return 0
		sleep 0.2
	done
	fail "libvirtd does not answer: $(cat "$T/libvirtd.log")"
}

stop_daemons() {
	remove_machines_of_uid "$TEST_UID"
	kill "$(cat "$T/libvirtd.pid")" "$(cat "$T/virtlogd.pid")"
	trap - EXIT
}

no_way_out() {
	eq "$(ip -4 route show default)$(ip -6 route show default)" "" "default routes"
	eq "$(ip -o link show up | awk -F': ' '{ print $2 }')" lo "interfaces"
}

builds_nothing() {
	vms create offline --profile work
	vms image build debian-13
	contains "$(vms image list)" 'debian-13'
}

starts_and_works() {
	vms start offline
	contains "$(in_guest offline 'uname -a; findmnt ~/shared')" 'virtiofs'
	in_guest offline 'echo offline >~/shared/file'
	eq "$(stat -c %U "$TEST_HOME/vms/offline/file"):$(cat "$TEST_HOME/vms/offline/file")" "$TEST_USER:offline"
	contains "$(in_guest offline 'timeout 5 bash -c "</dev/tcp/198.51.100.1/80" 2>&1; echo status $?')" 'status (1|124)'
}

lives_on() {
	eq "$(echo through | vms exec offline -- cat)" through
	vms stop offline
	vms clone offline offline2
	vms recreate --yes offline
	vms start offline
	eq "$(in_guest offline hostname)" offline
	vms destroy --yes offline offline2
	nothing_remains offline
	nothing_remains offline2
}

# With --full: what a profile provisions was made before, with a network; a machine, a fresh disk and a throwaway machine
# stand on it now.
makes_layer() {
	as_user mkdir -p -m 0700 "$PROFILES"
	printf '#!/bin/sh\necho provisioned >/opt/offline\n' | as_user tee "$PROFILES/offline.sh" >/dev/null
	printf '[profile]\ninherits=base\n[machine]\nmemory=1GiB\ncpus=1\n[provision]\nsetup=offline.sh\n' |
		as_user tee "$PROFILES/layered.profile" >/dev/null
	vms image build layered
}

layers_work() {
	vms -v start layered 2>"$T/said"
	lacks "$(cat "$T/said")" 'starting a machine for'
	eq "$(in_guest layered 'cat /opt/offline')" provisioned
	vms recreate --yes layered
	eq "$(in_guest layered 'cat /opt/offline')" provisioned
	vms destroy --yes --keep-profile layered
	eq "$(vms run -p layered -- cat /opt/offline 2>/dev/null)" provisioned
}

removes_layer() {
	local id
	for id in $(vms image list --json | python3 -c "import json, sys
for layer in json.load(sys.stdin)['layers']:
    if layer['uid'] == $TEST_UID and layer['profile'] == 'layered': print(layer['id'])"); do
		vms image remove "$id"
	done
	rm -f "$PROFILES/layered.profile" "$PROFILES/offline.sh"
}

if [ "${1:-}" != inside ]; then
	need_image
	if full && ! makes_layer >"$T/layer.out" 2>&1; then
		sed 's/^/# /' "$T/layer.out"
		echo "not ok 1 - the layer"
		exit 1
	fi
	rm -rf "$T"
	exec unshare --mount --net --propagation private bash "$VMS_TESTS_TOP/tests/vm/85-offline.sh" inside
fi
trap stop_daemons EXIT
t "(a libvirtd of its own, in a name space without a network)" start_daemons
passed || finish
t "there is no way out" no_way_out
t "the image is there" builds_nothing
t "start, ssh and the drop box work" starts_and_works
t "so do exec, stop, clone, recreate and destroy" lives_on
if full; then
	t "a layer that was made before serves a machine, its fresh disk, and a throwaway machine" layers_work
	t "(it is removed)" removes_layer
fi
stop_daemons
finish
