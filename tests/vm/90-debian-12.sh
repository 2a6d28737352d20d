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
t "it starts again; machine and image are removed" keeps_its_image
finish
