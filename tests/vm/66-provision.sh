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

# Volumes of layers but those of other users, who may make some meanwhile.
layer_files() {
	local others
	others=$(vms image list --json | python3 -c "import json, sys
for layer in json.load(sys.stdin)['layers']:
    if layer['uid'] != $TEST_UID: print(layer['id'].replace('layer-', 'layer.', 1) + '.')")
	root_virsh vol-list --pool vms | awk '$1 ~ /^layer[.]/ { print $1 }' | grep -vF "${others:-none}" || true
}

# What is half there may be another user's; it is whole or gone soon.
no_half_layers() {
	[ "$(layer_files | sed -n 's/[.]json$//p')" = "$(layer_files | sed -n 's/[.]qcow2$//p')" ]
}

# eventually COMMAND...: within two minutes
eventually() {
	local end=$((SECONDS + 120))
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || fail "$*: not so, but $(layer_files | tr '\n' ' ')"
		sleep 1
	done
}

layers_are() {
	[ "$(layer_files)" = "$1" ]
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
		printf '[profile]\ninherits=base\n[machine]\ndisk=10GiB\nmemory=1GiB\ncpus=1\n[provision]\n'
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
		echo "$GREETING $ODD" >/opt/root-greeting
		df --output=size -B1M / | tail -n 1 >/opt/room
		echo "the last words: $(printf '\033')[31m"
	END
	write_script user.sh <<-'END'
		#!/bin/sh
		{ id -un && pwd; } >user-ran
		echo "$GREETING" >user-greeting
	END
	write_script greeting <<<"good morning"
	write_profile p1 <<-'END'
		setup=root.sh;user.sh,as=user
		files=greeting:/etc/greeting,mode=0640;greeting:~/.config/x/greeting
		env=GREETING=hello there;ODD=* (x)
	END
	cp "$PROFILES/p1.profile" "$PROFILES/p2.profile"
	chown "$TEST_USER:" "$PROFILES/p2.profile"
}

makes_a_layer() {
	local disk
	# what the user's defaults say of starts is not for the machine that makes it: its disk would stand on kept memory's
	as_user tee "$PROFILES/defaults.profile" >/dev/null <<<$'[machine]\nstart=warm'
	vms -v image build p1 2>"$T/said"
	rm "$PROFILES/defaults.profile"
	lacks "$(root_virsh vol-list --pool vms)" "warm\.vms-$TEST_UID-run-"
	disk=/var/lib/libvirt/images/vms/layer.$(layers | sed s/layer-//).qcow2
	contains "$(qemu-img info "$disk")" 'backing file: .*/image\.[^/]*\.qcow2'
	contains "$(cat "$T/said")" 'setup: starting a machine'
	eq "$(layers | wc -l)" 1 layers
	layer_sum "$(layers)" >"$T/sum"
	eq "$(stat -c %a "/var/lib/libvirt/images/vms/layer.$(layers | sed s/layer-//).qcow2")" 444 mode
	lacks "$(vms list)" '^run-'
	# as large as disk= says, not as the image
	eq "$(root_virsh vol-dumpxml --pool vms "layer.$(layers | sed s/layer-//).qcow2" | sed -n 's/.*<capacity[^>]*>\([0-9]*\)<.*/\1/p')" \
		$((10 * 1024 * 1024 * 1024)) "the layer's size"
	nothing_remains p1
	nothing_remains p2
}

# A builder that was killed between making a manifest and filling it, or a host that went down, leaves one that is blank.
a_blank_manifest_counts_for_nothing() {
	local digest id
	digest=$(layers | sed 's/layer-//; s/-.*//')
	for id in "$digest-29991231T235959" "$digest-20200101T000000"; do
		root_virsh vol-create-as vms "layer.$id.qcow2" 1G --format qcow2
		root_virsh vol-create-as vms "layer.$id.json" 300b --format raw
	done
	eq "$(layers | wc -l)" 1 layers
	lacks "$(vms image list)" "$digest-(2999|2020)"
	lacks "$(vms start --dry-run p2)" "$digest-2999"
	contains "$(vms start --dry-run p2)" "^layer: .*$(layers | sed s/layer-//)"
	contains "$(vms doctor --repair --yes 2>&1)" "$digest-20200101T000000"
	lacks "$(root_virsh vol-list --pool vms)" "$digest-2020"
	vms image remove "layer-$digest-29991231T235959"
	lacks "$(root_virsh vol-list --pool vms)" "$digest-2999"
	layer_sum "$(layers)" | diff - "$T/sum"
}

# What a profile with a mistake in it wants nobody can tell, nor that of one whose script is not there now.
prune_keeps_what_it_cannot_judge() {
	local layer
	layer=$(layers)
	mv "$PROFILES/p2.profile" "$T/p2.profile"
	lacks "$(vms image prune 2>&1)" "$layer"
	as_user sed -i 's/^memory=/memroy=/' "$PROFILES/p1.profile"
	lacks "$(vms image prune 2>&1)" "$layer"
	as_user sed -i 's/^memroy=/memory=/' "$PROFILES/p1.profile"
	mv "$PROFILES/root.sh" "$T/root.sh"
	lacks "$(vms image prune 2>&1)" "$layer"
	mv "$T/root.sh" "$PROFILES/root.sh"
	mv "$PROFILES/p1.profile" "$T/p1.profile"
	contains "$(vms image prune 2>&1)" "$layer"
	mv "$T/p1.profile" "$T/p2.profile" "$PROFILES"
}

starts_from_the_layer() {
	vms -v start p2 2>"$T/said"
	lacks "$(cat "$T/said")" 'starting a machine for'
	eq "$(in_guest p2 'cat /opt/root-ran user-ran .config/x/greeting; stat -c "%a %U" /etc/greeting .config/x/greeting; echo $GREETING')" \
		"root
good morning
dev
/home/dev
good morning
640 root
644 dev
hello there"
	# what the scripts had, and what sudo has
	eq "$(in_guest p2 'cat /opt/root-greeting user-greeting; sudo -n sh -c "echo \$GREETING"')" "hello there * (x)
hello there
hello there"
	eq "$(in_guest p2 'awk "{ print (\$1 > 9000) }" /opt/room')" 1 "room for the script"
	contains "$(vms image list)" "$(object p2)"
	contains "$(vms status p2)" "layers +$(layers)"
	lacks "$(vms status p2)" 'provision +its profile'
	# its age
	contains "$(vms image list)" "^p1 +setup +20[0-9-]+T[0-9:]+Z "
	status 4 vms image remove "$(layers)" 2>"$T/errors"
	contains "$(cat "$T/errors")" "used by.*$(object p2)"
}

# Whatever was the throwaway machine's own: not in this one, which stands on its disk.
has_its_own_identity() {
	eq "$(in_guest p2 'hostname; cat /etc/hostname')" "p2
p2"
	lacks "$(in_guest p2 'sudo grep -rlE "run-[0-9a-f]{8}" /etc /var/log /home /root /opt 2>/dev/null')" .
	lacks "$(in_guest p2 'ls -d /run/vms-provision /var/lib/systemd/random-seed 2>/dev/null')" provision
	eq "$(in_guest p2 'cat /etc/machine-id')" "$(root_virsh domuuid "$(object p2)" | tr -d '\n-')"
	eq "$(in_guest p2 'cut -d" " -f2 .ssh/id_ed25519.pub')" "$(vms key p2 | cut -d' ' -f2)"
}

# A machine that keeps its disk: the disk says what was done on it.
brings_up_to_date() {
	contains "$(vms provision p2 2>&1)" 'as its profile says already'
	lacks "$(in_guest p2 'id -nG')" video
	write_script user.sh <<<$'#!/bin/sh\necho again >user-ran; sudo -n usermod -aG video $(id -un)'
	as_user sed -i 's/hello there/hello again/' "$PROFILES/p2.profile"
	contains "$(vms status p2)" 'provision +its profile says something else by now: `vms provision p2`'
	contains "$(vms provision p2 2>&1)" '1 step done'
	lacks "$(vms status p2)" 'provision +its profile'
	eq "$(in_guest p2 'cat user-ran; grep GREETING /etc/environment; cat /etc/hostname; wc -l </etc/hosts')" "again
GREETING=\"hello again\"
p2
2"
	# for the next command already
	contains "$(in_guest p2 'id -nG')" video
	eq "$(in_guest p2 'echo "$GREETING"')" 'hello again'
	contains "$(vms provision p2 2>&1)" 'as its profile says already'
	write_script user.sh <<<$'#!/bin/sh\necho it broke; exit 9'
	status 1 vms provision p2 2>"$T/errors"
	contains "$(cat "$T/errors")" 'exit status 9'
	contains "$(cat "$T/errors")" 'it broke'
	contains "$(cat "$T/errors")" 'vms ssh p2'
	eq "$(in_guest p2 'ls /var/lib/vms/provisioned')" ""
	# the status that ssh has for a lost machine
	write_script user.sh <<<$'#!/bin/sh\necho it broke; exit 255'
	status 1 vms provision p2 2>"$T/errors"
	lacks "$(cat "$T/errors")" 'lost its machine'
	contains "$(cat "$T/errors")" 'it broke'
	contains "$(cat "$T/errors")" 'exit status 255'
	# one that is killed leaves the addresses of the sources behind, until the next one
	write_script user.sh <<<$'#!/bin/sh\nsudo -n sh -c "echo 192.0.2.1 left \'# vms: sources\' >>/etc/hosts"; kill -KILL $(pgrep -f "^/bin/sh /run/vms-provision/run")'
	as_user sed -i 's/user.sh,as=user/user.sh/' "$PROFILES/p2.profile"
	status 1 vms provision p2 2>"$T/errors"
	contains "$(in_guest p2 'cat /etc/hosts')" '192.0.2.1 left'
	as_user sed -i 's/;user.sh/;user.sh,as=user/' "$PROFILES/p2.profile"
	write_script user.sh <<<$'#!/bin/sh\necho mended >user-ran'
	contains "$(vms provision p2 2>&1)" '1 step done'
	eq "$(in_guest p2 'cat user-ran; wc -l </etc/hosts')" mended$'\n'2
	lacks "$(vms -v start p2 2>&1)" 'provisions has changed'
}

# Each step says that it begins; what is forbidden makes none begin again.
does_what_changed() {
	as_user sed -i 's/^setup=/packages=tree\n&/' "$PROFILES/p2.profile"
	write_script user.sh <<<$'#!/bin/sh\necho two >user-ran'
	vms provision p2 2>"$T/said"
	contains "$(cat "$T/said")" 'p2: packages: tree'
	contains "$(cat "$T/said")" 'p2: setup: files, variables, scripts'
	contains "$(cat "$T/said")" '2 steps done'
	as_user tee -a "$PROFILES/p2.profile" >/dev/null <<<$'[policy]\nforbid=left-tool'
	contains "$(vms provision p2 2>&1)" 'as its profile says already'
	as_user sed -i -e '/^.policy/,$d' -e '/^packages=/d' "$PROFILES/p2.profile"
	contains "$(vms provision p2 2>&1)" 'as its profile says already'
}

step_runs() {
	in_guest p2 'pgrep -fx "sleep 1234"' >/dev/null
}

# In a process group of its own, whose number is in $T/group.
provisions_in_group() {
	as_user bash -c 'set -m; vms provision p2 & echo $! >&3; wait $!' 2>"$T/errors" 3>"$T/group"
}

# interrupted_by SIGNAL STATUS: to all of its processes, as a terminal sends it
interrupted_by() {
	local have=0
	provisions_in_group &
	eventually step_runs
	kill "-$1" -- "-$(cat "$T/group")"
	wait $! || have=$?
	eq "$have" "$2" "exit status"
	contains "$(cat "$T/errors")" 'vms: interrupted'
	lacks "$(cat "$T/errors")" 'lost its machine'
	! step_runs || fail "the step runs on"
}

# Nothing of a step runs on in the machine, however it was ended.
ends_in_the_machine() {
	write_script user.sh <<<$'#!/bin/sh\nsleep 1234'
	interrupted_by INT 130
	interrupted_by TERM 143
	# whom nobody could ask
	provisions_in_group &
	eventually step_runs
	kill -KILL -- "-$(cat "$T/group")"
	wait $! || true
	step_runs || fail "it ended by itself: the next one has nothing to end"
	write_script user.sh <<<$'#!/bin/sh\necho mended >user-ran'
	contains "$(vms provision p2 2>&1)" '1 step done'
	! step_runs || fail "the step runs on beside the next one"
}

# It is refused until it is gone, whoever put it there: no "as its profile says" meanwhile.
looks_for_what_is_forbidden() {
	as_user tee -a "$PROFILES/p2.profile" >/dev/null <<<$'[policy]\nforbid=left-tool'
	write_script user.sh <<<$'#!/bin/sh\nsudo -n install -m 755 /bin/true /usr/local/bin/left-tool'
	for _ in first second; do
		status 2 vms provision p2 2>"$T/errors"
		contains "$(cat "$T/errors")" 'forbids .*left-tool'
		contains "$(cat "$T/errors")" 'begins with this step'
	done
	lacks "$(in_guest p2 'ls /var/lib/vms/provisioned')" setup
	write_script user.sh <<<$'#!/bin/sh\n:'
	in_guest p2 'sudo rm /usr/local/bin/left-tool'
	contains "$(vms provision p2 2>&1)" '1 step done'
	contains "$(vms provision p2 2>&1)" 'as its profile says already'
	in_guest p2 'sudo install -m 755 /bin/true /usr/local/bin/left-tool'
	status 2 vms provision p2 2>"$T/errors"
	contains "$(cat "$T/errors")" 'all steps of its profile are done.*left-tool'
	as_user sed -i '/^.policy/,$d' "$PROFILES/p2.profile"
}

leaves_the_layer_alone() {
	in_guest p2 'sudo touch /opt/mine; sync'
	vms stop --timeout 5m p2
	eq "$(layer_sum "$(layers)")" "$(cat "$T/sum")" "the layer's checksum"
}

update_makes_it_anew() {
	local old new
	old=$(layers)
	vms destroy --yes --if-exists --keep-profile p1 p2
	write_script user.sh <<<$'#!/bin/sh\n{ id -un && pwd; } >user-ran'
	new=$(vms image build p1 --update)
	[ "$new" != "$old" ] || fail "it is the same: $new"
	contains "$(layers)" "$new"
	contains "$(vms image prune 2>&1)" "${old%% *}"
	contains "$(layers)" "${old%% *}"
	contains "$(vms image prune --yes 2>&1)" "${old%% *}"
	eq "$(layers)" "$new" "layers"
}

# failing [TIMEOUT]: the script stands in bad.sh; starts p3, which must fail and leave nothing
failing() {
	local before
	eventually no_half_layers
	before=$(layer_files)
	write_profile p3 <<-END
		setup=bad.sh
		timeout=${1:-60m}
	END
	status "${2:-1}" vms start p3 2>"$T/errors"
	eventually layers_are "$before"
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

# What is said, and kept, of a throwaway machine's layers has the name of the profile that is there when it is gone.
a_throwaway_machines_step() {
	local before
	before=$(layers)
	write_script bad.sh <<<$'#!/bin/sh\necho "for $VMS_PROFILE"\nexit 7'
	write_profile p3 <<<$'packages=tree\nsetup=bad.sh'
	status 125 vms run -p p3 -- true 2>"$T/errors"
	contains "$(cat "$T/errors")" 'provisioning p3: the step "setup" failed'
	contains "$(cat "$T/errors")" 'for p3'
	contains "$(cat "$T/errors")" 'vms image build p3 --debug'
	contains "$(vms image list)" '^p3 +packages '
	lacks "$(vms image list)" '^run-'
	lacks "$(vms list)" '^run-'
	vms image remove "$(comm -13 <(sort <<<"$before") <(layers | sort))"
}

a_hanging_step() {
	write_script bad.sh <<<$'#!/bin/sh\necho hangs\nexec sleep 1000'
	failing 10s 6
	contains "$(cat "$T/errors")" 'did not end within 10 s'
}

# The other steps: each says what failed, and what was made before it stays.
failing_packages_and_npm() {
	write_profile p3 <<<"packages=there-is-no-such-package"
	status 1 vms start p3 2>"$T/errors"
	contains "$(cat "$T/errors")" 'the step "packages" failed with exit status'
	contains "$(cat "$T/errors")" 'there-is-no-such-package'
	contains "$(cat "$T/errors")" 'no layer was made'
	write_profile p3 <<<"use=node
npm=@there-is-no-such-scope-8842/at-all"
	status 1 vms start p3 2>"$T/errors"
	contains "$(cat "$T/errors")" 'the step "npm" failed with exit status'
	contains "$(cat "$T/errors")" 'there-is-no-such-scope-8842'
	eq "$(vms image list --json | python3 -c "import json, sys
for layer in json.load(sys.stdin)['layers']:
    if layer['uid'] == $TEST_UID and layer['profile'] == 'p3': print(layer['step'])")" packages "layers of it"
	nothing_remains p3
}

# A machine in which a step failed is kept when one asks for it. What the step put in may be hostile, and has root: it
# gets nothing of the user's at a later start either, but what is asked for.
debug_keeps_the_machine() {
	local name
	write_script bad.sh <<<$'#!/bin/sh\ntouch /opt/half-done\nexit 3'
	write_profile p3 <<<"setup=bad.sh"
	as_user mkdir -p "$TEST_HOME/notes" "$TEST_HOME/wanted"
	as_user tee "$PROFILES/defaults.profile" >/dev/null <<<$'[share:notes]\nsource=~/notes\nmode=rw\n[network]\nhost=11434'
	status 1 vms image build p3 --debug 2>"$T/errors"
	name=$(grep -oE 'vms ssh run-[0-9a-f]+' "$T/errors" | cut -d' ' -f3)
	in_guest "$name" 'ls /opt/half-done /run/vms-provision/step'
	vms stop --force --timeout 1s "$name"
	contains "$(vms start --dry-run p3)" '^share notes: '
	contains "$(vms start --dry-run "$name")" '^policy: '
	lacks "$(vms start --dry-run "$name")" '^(share|host service)'
	vms share add "$name" "$TEST_HOME/wanted"
	contains "$(vms start --dry-run "$name")" '^share wanted: '
	lacks "$(vms start --dry-run "$name")" '^share notes: '
	rm "$PROFILES/defaults.profile"
	vms destroy --yes "$name"
	lacks "$(vms list)" '^run-'
}

# What was made before the step that failed is not made again.
goes_on_where_it_failed() {
	local before
	before=$(layers | wc -l)
	write_script bad.sh <<<$'#!/bin/sh\nexit 7'
	write_profile p3 <<<$'packages=tree\nsetup=bad.sh'
	status 1 vms start p3 2>"$T/errors"
	eq "$(layers | wc -l)" $((before + 1)) "the first step's layer"
	write_script bad.sh <<<$'#!/bin/sh\ntree --version'
	vms -v start p3 2>"$T/said"
	contains "$(cat "$T/said")" 'setup: starting a machine'
	lacks "$(cat "$T/said")" 'packages: starting'
	in_guest p3 'tree /opt'
	vms destroy --yes p3
}

is_killed_at() {
	local before have=0
	eventually no_half_layers
	before=$(layer_files)
	SANDBOX_FAULT=provision:$1:$2:kill vms start p3 >/dev/null 2>&1 || have=$?
	eq "$have" 137 "exit status"
	contains "$(layer_files)" "${before:-^$}"
	vms list >/dev/null
	vms doctor --repair --yes >/dev/null 2>&1 || true
	eventually layers_are "$before"
	lacks "$(vms list)" '^run-'
}

killed_everywhere() {
	local step
	write_script bad.sh <<<$'#!/bin/sh\ntrue'
	write_profile p3 <<<"setup=bad.sh"
	for step in machine send run policy clean stop copy manifest; do
		is_killed_at "$step" before
	done
	is_killed_at copy after
	vms image build p3
	vms start p3
	vms destroy --yes p3
}

t "scripts and profiles" makes_scripts
passed || finish
t "building makes a layer: files, variables, scripts as root and as the user" makes_a_layer
passed || finish
t "a layer whose manifest is blank is none, and a repair takes it" a_blank_manifest_counts_for_nothing
t "prune keeps what was made for a profile that nobody can read" prune_keeps_what_it_cannot_judge
t "a machine starts from it without building" starts_from_the_layer
passed || finish
t "nothing of the throwaway machine's identity is in it" has_its_own_identity
t "provision: only the steps that changed, in the machine itself; a failing one is told and done again" brings_up_to_date
t "provision: each step that changed says so, and none is done for what is forbidden" does_what_changed
t "provision: what is interrupted ends in the machine, too" ends_in_the_machine
t "provision: what is forbidden is looked for each time, and its step is not done" looks_for_what_is_forbidden
if full; then
	t "the layer stays as it is" leaves_the_layer_alone
	t "update makes it anew, and the old one goes when nobody needs it" update_makes_it_anew
	t "a failing step: no layer, its last words, escaped and bounded" a_failing_step
	t "a throwaway machine's failing step: what is said and kept has the profile's name" a_throwaway_machines_step
	t "a hanging step ends at its time limit" a_hanging_step
	t "a failing package, a failing npm package: the step, its words, the layer before it" failing_packages_and_npm
	t "debug keeps the machine in which a step fails" debug_keeps_the_machine
	t "the next try goes on after the last good step" goes_on_where_it_failed
	t "killed at each step: no layer, nothing left after a repair, the next try works" killed_everywhere
fi
t "all of it is removed" remove_layers
finish
