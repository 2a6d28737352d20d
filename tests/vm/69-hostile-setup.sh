#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A setup script that attacks while a layer is made: as root, with a program of its choice. Canaries judge what left the
# machine; what it found inside it writes down, and a machine that stands on its layer tells. With --full.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
if ! full; then
	echo "1..0"
	exit 0
fi
# shellcheck source=tests/vm/isolation-lib.sh
. "$VMS_TESTS_TOP/tests/vm/isolation-lib.sh"

MARK=the-users-secret-4711
open_world h1

# Everything that the user has, and would like to keep: a share in the profile, an agent's socket, keys, variables.
makes_the_user() {
	as_user mkdir -p -m 0700 "$PROFILES" "$TEST_HOME/.ssh" "$TEST_HOME/hostile-share"
	as_user ssh-keygen -q -t ed25519 -N '' -C "$MARK" -f "$TEST_HOME/.ssh/hostile-test" <<<y
	as_user tee "$TEST_HOME/hostile-share/file" >/dev/null <<<"$MARK"
	as_user cp "$T/probe" "$PROFILES/probe"
	{
		printf '#!/bin/sh\nexec >/opt/report 2>&1\nenv\ncat /proc/mounts\nip address\n'
		printf 'grep -rlsE "%s|BEGIN OPENSSH PRIVATE KEY" /etc /root /home /run /srv /mnt /opt /var /tmp\n' "$MARK"
		# shellcheck disable=SC2016 # the guest's shell expands it
		printf 'grep -aqE "%s" /sys/firmware/qemu_fw_cfg/by_name/opt/org.libsandbox/seed/raw && echo seed-has-it\n' "$MARK"
		printf 'ls /sys/firmware/qemu_fw_cfg/by_name/opt/org.libsandbox /dev/disk/by-id /dev/virtio-ports\n'
		printf 'for tag in src project shared share hostile; do mkdir -p /mnt/$tag; mount -t virtiofs $tag /mnt/$tag 2>/dev/null && echo mounted-$tag; done\n'
		printf '/opt/probe ask 5 <<END\n'
		for place in "$LAN" "$LAN_NEXT" "$METADATA" "$DOCKER" "${CLOSED[@]}"; do
			printf '%s\n' "h-$place-tcp tcp $place 80" "h-$place-udp udp $place 80" "h-$place-ping ping $place"
		done
		for place in "$HOST_LAN" "$HOST_PUBLIC" "$HOST_DOCKER"; do
			printf '%s\n' "h-$place-tcp tcp $place 18080" "h-$place-udp udp $place 18080"
		done
		printf '%s\n' "h-published tcp $HOST_PUBLIC 8099" "control tcp $PUBLIC 443" "control-udp udp $PUBLIC 443" END
		printf 'exit 0\n'
	} | as_user tee "$PROFILES/hostile.sh" >/dev/null
	printf '%s\n' '[profile]' inherits=base '[machine]' memory=768MiB cpus=1 disk=10GiB \
		'[network]' "allow=$LAN:80/tcp" host=18084 forward=18999 \
		'[share:hostile]' 'source=~/hostile-share' 'target=~/hostile' \
		'[provision]' files=probe:/opt/probe,mode=0755 setup=hostile.sh | as_user tee "$PROFILES/h1.profile" >/dev/null
}

# The host's raw sockets hear every machine's ssh: what they tell is looked at for the script's marks only.
counts() {
	local name
	for name in lan docker host; do grep -vc ' raw' "$T/$name.log" || true; done
}

attacks() {
	local public
	counts >"$T/before"
	public=$(wc -l <"$T/public.log")
	vms image build h1
	[ "$(wc -l <"$T/public.log")" -gt "$public" ] || fail "control: the script reached nothing at all"
}

nobody_was_reached() {
	eq "$(counts)" "$(cat "$T/before")" "what canaries saw"
	lacks "$(cat "$T/lan.log" "$T/docker.log" "$T/host.log")" 'h-[0-9p]'
}

found_nothing() {
	local report
	vms start h1
	report=$(in_guest h1 'sudo cat /opt/report')
	contains "$report" 'control (open|answer)'
	lacks "$report" "mounted-|virtiofs|seed-has-it|SSH_AUTH_SOCK=|$MARK"
	# its own two, of a machine that is gone
	eq "$(grep -E '^/(etc|root|home|run|srv|mnt|opt|var|tmp)/[^ :]*$' <<<"$report" | grep -v '^/run/vms-provision/setup-0$' | sort -u | tr '\n' ' ')" \
		"/etc/ssh/ssh_host_ed25519_key /home/dev/.ssh/id_ed25519 " "private keys that it found"
	lacks "$(grep -E '^h-' <<<"$report")" ' (open|answer)'
}

is_gone() {
	local id
	vms destroy --yes h1
	for id in $(vms image list --json | python3 -c "import json, sys
for layer in json.load(sys.stdin)['layers']:
    if layer['uid'] == $TEST_UID and layer['profile'] == 'h1': print(layer['id'])"); do
		vms image remove "$id"
	done
	rm -rf "$TEST_HOME/hostile-share" "$TEST_HOME/.ssh/hostile-test" "$TEST_HOME/.ssh/hostile-test.pub" "$PROFILES/h1.profile" \
		"$PROFILES/hostile.sh" "$PROFILES/probe"
}

t "(a user with a share, keys, and a profile that allows more than a build gets)" makes_the_user
passed || finish
t "the script runs, and reaches the internet" attacks
passed || finish
t "no LAN, no host, no other bridge: not even what the profile allows its machine" nobody_was_reached
t "it found no share, no key and no name of the user's" found_nothing
t "(it is removed)" is_gone
finish
