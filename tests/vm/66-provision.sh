#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Provisioning: what a profile wants is installed once, in a throwaway machine, and kept as a layer.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

need_image

# The layers of the test user are those whose manifest has its number.
layers() {
	vms image list --json | python3 -c "import json, sys
for layer in json.load(sys.stdin)['layers']:
    if layer['uid'] == $TEST_UID: print(layer['id'])"
}

layer_files() {
	root_virsh vol-list --pool vms | awk '$1 ~ /^layer[.]/ { print $1 }'
}

remove_layers() {
	local id
	vms destroy --yes --if-exists p1 p2 p3 >/dev/null 2>&1 || true
	for id in $(layers); do
		vms image remove "$id"
	done
	lacks "$(layers)" layer
}

# write_profile NAME: stdin is its [provision]
write_profile() {
	{
		printf '[profile]\ninherits=base\n[machine]\ndisk=10GiB\nmemory=1GiB\n[provision]\n'
		cat
	} | as_user tee "$PROFILES/$1.profile" >/dev/null
}

# write_script NAME: stdin is its text
write_script() {
	as_user mkdir -p -m 0700 "$PROFILES"
	as_user tee "$PROFILES/$1" >/dev/null
}

layer_sum() {
	sha256sum "/var/lib/libvirt/images/vms/layer.${1#layer-}.qcow2" | cut -d' ' -f1
}

makes_scripts() {
	remove_layers
	write_script root.sh <<-'END'
		#!/bin/sh
		id -un >/opt/root-ran
		cat /etc/greeting >>/opt/root-ran
		echo "the last words: $(printf '\033')[31m"
	END
	write_script user.sh <<-'END'
		#!/bin/sh
		{ id -un && pwd; } >user-ran
	END
	write_script greeting <<<"good morning"
	write_profile p1 <<-'END'
		setup=root.sh;user.sh,as=user
		files=greeting:/etc/greeting,mode=0640;greeting:~/.config/x/greeting
		env=GREETING=hello there
	END
	cp "$PROFILES/p1.profile" "$PROFILES/p2.profile"
	chown "$TEST_USER:" "$PROFILES/p2.profile"
}

makes_a_layer() {
	vms -v start p1 2>"$T/said"
	contains "$(cat "$T/said")" 'setup: starting a machine'
	eq "$(layers | wc -l)" 1 layers
	layer_sum "$(layers)" >"$T/sum"
	eq "$(stat -c %a "/var/lib/libvirt/images/vms/layer.$(layers | sed s/layer-//).qcow2")" 444 mode
	eq "$(in_guest p1 'cat /opt/root-ran user-ran .config/x/greeting; stat -c "%a %U" /etc/greeting .config/x/greeting; echo $GREETING')" \
		"root
good morning
dev
/home/dev
good morning
640 root
644 dev
hello there"
	lacks "$(vms list)" '^run-'
	nothing_remains p2
}

# Whatever was the throwaway machine's own: not in this one, which stands on its disk.
has_its_own_identity() {
	eq "$(in_guest p1 'hostname; cat /etc/hostname')" "p1
p1"
	lacks "$(in_guest p1 'sudo grep -rlE "run-[0-9a-f]{8}" /etc /var/log /home /root /opt 2>/dev/null')" .
	lacks "$(in_guest p1 'ls -d /run/vms-provision /var/lib/systemd/random-seed 2>/dev/null')" provision
	eq "$(in_guest p1 'cat /etc/machine-id')" "$(root_virsh domuuid "$(object p1)" | tr -d '\n-')"
	eq "$(in_guest p1 'cut -d" " -f2 .ssh/id_ed25519.pub')" "$(vms key p1 | cut -d' ' -f2)"
}

second_from_the_layer() {
	vms stop --timeout 5m p1
	vms -v start p2 2>"$T/said"
	lacks "$(cat "$T/said")" 'starting a machine for'
	eq "$(in_guest p2 'head -1 /opt/root-ran; sudo touch /opt/mine; hostname')" "root
p2"
	vms stop --timeout 5m p2
	eq "$(layer_sum "$(layers)")" "$(cat "$T/sum")" "the layer's checksum"
	contains "$(vms image list)" "$(object p1)"
	status 4 vms image remove "$(layers)" 2>"$T/errors"
	contains "$(cat "$T/errors")" "used by.*$(object p2)"
}

# failing [TIMEOUT]: the script stands in bad.sh; starts p3, which must fail and leave nothing
failing() {
	local before
	before=$(layer_files)
	write_profile p3 <<-END
		setup=bad.sh
		timeout=${1:-60m}
	END
	status "${2:-1}" vms start p3 2>"$T/errors"
	eq "$(layer_files)" "$before" "layers"
	lacks "$(vms list)" '^run-'
	nothing_remains p3
	contains "$(cat "$T/errors")" '--debug'
}

a_failing_step() {
	write_script bad.sh <<-'END'
		#!/bin/sh
		seq 100000
		printf 'evil \033]0;title\007 words\n'
		exit 7
	END
	failing
	contains "$(cat "$T/errors")" 'exit status 7'
	contains "$(cat "$T/errors")" 'evil .*x1b.*title'
	lacks "$(cat "$T/errors")" "$(printf '\033')"
	eq "$(wc -c <"$T/errors" | awk '{ print ($1 < 20000) }')" 1 "bounded"
}

a_hanging_step() {
	write_script bad.sh <<<$'#!/bin/sh\necho hangs\nexec sleep 1000'
	failing 10s 6
	contains "$(cat "$T/errors")" 'did not end within 10 s'
}

is_killed_at() {
	local before have=0
	before=$(layer_files)
	SANDBOX_FAULT=provision:$1:$2:kill vms start p3 >/dev/null 2>&1 || have=$?
	eq "$have" 137 "exit status"
	contains "$(layer_files)" "${before:-^$}"
	vms list >/dev/null
	vms doctor --repair --yes >/dev/null 2>&1 || true
	eq "$(layer_files)" "$before" "layers after $1"
	lacks "$(vms list)" '^run-'
}

killed_everywhere() {
	local step
	write_script bad.sh <<<$'#!/bin/sh\ntrue'
	write_profile p3 <<<"setup=bad.sh"
	for step in machine send run clean stop copy manifest; do
		is_killed_at "$step" before
	done
	is_killed_at copy after
	vms image build p3
	vms start p3
	vms destroy --yes p3
}

t "scripts and profiles" makes_scripts
passed || finish
t "the first start makes a layer: files, variables, scripts as root and as the user" makes_a_layer
passed || finish
t "nothing of the throwaway machine's identity is in it" has_its_own_identity
t "a second machine starts from it without building, and it stays as it is" second_from_the_layer
if full; then
	t "a failing step: no layer, its last words, escaped and bounded" a_failing_step
	t "a hanging step ends at its time limit" a_hanging_step
	t "killed at each step: no layer, nothing left after a repair, the next try works" killed_everywhere
fi
t "all of it is removed" remove_layers
finish
