#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Debian 12 as image (with --full).
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

if ! full; then
	echo "1..0"
	exit 0
fi

builds() {
	vms image build debian-12
	contains "$(vms image show debian-12)" '6\.1\.'
}

starts() {
	as_user mkdir -p -m 700 "$PROFILES"
	vms create twelve --profile work
	as_user sh -c 'printf "[machine]\nimage=debian-12\n" >>"$1"' sh "$PROFILES/twelve.profile"
	vms start twelve
	contains "$(in_guest twelve 'cat /etc/debian_version; uname -r')" '^12\.'
	eq "$(in_guest twelve 'findmnt -n -o FSTYPE ~/shared; id -u; sudo -n id -u')" "virtiofs"$'\n'"$TEST_UID"$'\n'0
	in_guest twelve 'echo from the guest >~/shared/guest'
	eq "$(stat -c %U "$TEST_HOME/vms/twelve/guest"):$(cat "$TEST_HOME/vms/twelve/guest")" "$TEST_USER:from the guest"
}

# Its node is too old for today's tools; it starts npm.
node_and_npm() {
	printf '[profile]\ninherits=base\n[machine]\nimage=debian-12\nmemory=1GiB\ncpus=2\n[provision]\nuse=node\nnpm=semver\ntimeout=4h\n' |
		as_user tee "$PROFILES/tools12.profile" >/dev/null
	as_user timeout 10000 vms image build tools12
	vms start tools12
	contains "$(vms exec tools12 -- node --version)" '^v24[.]'
	contains "$(vms exec tools12 -- npm --version)" '^[0-9]+[.]'
	eq "$(vms exec tools12 -- npm prefix --global)" /usr/local
	eq "$(vms exec tools12 -- semver v1.2.3)" 1.2.3
}

removes_node_and_npm() {
	local id
	vms destroy --yes tools12
	for id in $(vms image list --json | python3 -c "import json, sys
for layer in json.load(sys.stdin)['layers']:
    if layer['uid'] == $TEST_UID and layer['profile'] == 'tools12': print(layer['id'])"); do
		vms image remove "$id"
	done
}

keeps_its_image() {
	vms stop twelve
	vms start twelve
	contains "$(in_guest twelve 'cat /etc/debian_version')" '^12\.'
	vms destroy --yes twelve
	nothing_remains twelve
	vms image remove debian-12
	lacks "$(vms image list)" 'debian-12'
}

t "debian-12 is built" builds
passed || finish
t "a machine of it starts, with its drop box" starts
t "use=node: a node of today, an npm that works with it, and a package" node_and_npm
t "(they are removed)" removes_node_and_npm
t "it starts again; machine and image are removed" keeps_its_image
finish
