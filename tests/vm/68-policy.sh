#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# [policy] forbid=: for each name that the profile credentials forbids, what provisioning, the machine's apt and
# `vms verify` do about it, however it comes. No network is needed: the machine has a package archive of its own.
# in turns
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

need_image
vms destroy --yes --if-exists vault >/dev/null 2>&1

mapfile -t PATTERNS < <(vms profile show credentials | sed -n 's/^forbid=//p' | tr ';' '\n')
# names that the patterns fit: for apt, which has no slash, and for npm
mapfile -t NAMES < <(printf '%s\n' "${PATTERNS[@]}" | grep -v '[@/]' | sed 's/[*]/-x1/' | sample 2)
mapfile -t SCOPED < <(printf '%s\n' "${PATTERNS[@]}" | grep '[@/]' | sed 's/[*]/x1/')

is_closed() {
	[ "${#PATTERNS[@]}" -ge 15 ] || fail "patterns: ${PATTERNS[*]}"
	contains "$(vms profile show credentials)" '^mode=none$'
	lacks "$(vms profile show credentials)" '[[]share:'
}

# refuses KEY VALUE NAME: says which profile, which entry
refuses() {
	printf '[profile]\ninherits=credentials\n[provision]\n%s=%s\n' "$1" "$2" | as_user tee "$PROFILES/vault.profile" >/dev/null
	status 2 vms image build vault 2>"$T/errors"
	contains "$(cat "$T/errors")" "provisioning vault: its profile forbids the .*${3:-$2} .*forbid="
	lacks "$(vms list)" '^run-'
}

provisioning_refuses() {
	local name
	as_user mkdir -p -m 0700 "$PROFILES"
	for name in "${NAMES[@]}"; do
		[ "${#name}" -lt 2 ] || refuses packages "$name"
	done
	for name in "${SCOPED[@]}"; do
		refuses npm "$name@1" "npm package $name"
	done
	refuses npm left-pad "piece node"
	refuses use docker "piece docker"
	refuses use claude-code @anthropic-ai/claude-code
}

starts() {
	printf '[profile]\ninherits=credentials\n[machine]\nmemory=768MiB\n' | as_user tee "$PROFILES/vault.profile" >/dev/null
	vms start vault
	eq "$(in_guest vault 'ip route show default; grep -c virtiofs /proc/mounts')" 0 "no route, no share"
}

# makes_archive NAME...: packages that have nothing in them, and one that brings a forbidden one with it
makes_archive() {
	in_guest vault "set -e; sudo mkdir -p /opt/repo && cd /opt/repo && sudo chown dev .
		make() {
			mkdir -p /tmp/p/DEBIAN
			printf 'Package: %s\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.org>\nDescription: x\n%s' \"\$1\" \"\$2\" >/tmp/p/DEBIAN/control
			dpkg-deb -b /tmp/p \"\$1.deb\" >/dev/null
			{ cat /tmp/p/DEBIAN/control; printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' \"\$1.deb\" \"\$(stat -c %s \"\$1.deb\")\" \"\$(sha256sum <\"\$1.deb\" | cut -d' ' -f1)\"; } >>Packages
			rm -r /tmp/p
		}
		for name in $*; do make \"\$name\" ''; done
		make harmless ''
		make brings 'Depends: $1
'
		echo 'deb [trusted=yes] file:/opt/repo ./' | sudo tee /etc/apt/sources.list.d/test.list
		sudo sh -c 'rm -f /etc/apt/sources.list.d/*.sources /etc/apt/sources.list; apt-get -q update'
		sudo apt-get -q -y install harmless"
}

apt_refuses() {
	local name said
	makes_archive "${NAMES[@]}"
	for name in "${NAMES[@]}"; do
		said=$(in_guest vault "sudo apt-get -q -y install $name 2>&1; echo status=\$?; sudo apt-get -q -y install /opt/repo/$name.deb 2>&1
			echo status=\$?; dpkg -s $name 2>&1 | grep -c 'Status: install ok' || true")
		contains "$said" "$name: the profile credentials forbids"
		eq "$(grep -c '^status=100' <<<"$said")" 2 "refusals of $name: $said"
		eq "$(tail -n 1 <<<"$said")" 0 "$name"
	done
	said=$(in_guest vault "sudo apt-get -q -y install brings 2>&1; echo status=\$?; dpkg -s brings 2>&1 | grep -c 'Status: install ok' || true")
	contains "$said" 'status=100'
	eq "$(tail -n 1 <<<"$said")" 0 brings
}

# found: what verify says of this property
found() {
	vms verify vault --inside --json >"$T/verify.json" || true
	python3 -c 'import json, sys
for finding in json.load(open(sys.argv[1]))["findings"]:
    if finding["id"] == "forbidden": print(finding["verdict"], finding["found"])' "$T/verify.json"
}

verify_finds() {
	local name said
	contains "$(found)" '^pass '
	in_guest vault "set -e; sudo mkdir -p /opt/a/b /srv/node_modules; mkdir -p ~/bin
		for name in ${NAMES[*]}; do sudo cp /bin/true /opt/a/b/\$name; done
		ln -s /bin/true ~/bin/npx; sudo cp /bin/true /dev/shm/npm; touch ~/bin/node
		for name in ${SCOPED[*]}; do sudo mkdir -p /srv/node_modules/\$name; echo {} | sudo tee /srv/node_modules/\$name/package.json; done
		sudo dpkg -i /opt/repo/${NAMES[0]}.deb
		sudo cp /bin/true /opt/a/b/renamed"
	said=$(found)
	for name in "${NAMES[@]}"; do
		contains "$said" "^fail command /opt/a/b/$name\$"
	done
	for name in "${SCOPED[@]}"; do
		contains "$said" "^fail npm /srv/node_modules/$name\$"
	done
	contains "$said" "^fail package ${NAMES[0]}\$"
	contains "$said" '^fail command .*/bin/npx$'
	contains "$said" '^fail command /dev/shm/npm$'
	# a file that nobody can run is no command, and a name says nothing of what a file is
	lacks "$said" 'bin/node$|renamed|harmless'
}

takes_it_back() {
	printf '[profile]\ninherits=credentials\n[machine]\nmemory=768MiB\n[policy]\nforbid=\n' | as_user tee "$PROFILES/vault.profile" >/dev/null
	vms restart vault
	in_guest vault "sudo apt-get -q -y install brings ${NAMES[1]}"
}

t "credentials: no network, no share, and a list of what is forbidden" is_closed
passed || finish
t "provisioning refuses each name, and says which profile and which entry" provisioning_refuses
t "a machine of it starts without a way out" starts
passed || finish
t "apt refuses each name, of an archive and of a file, and what brings it; and says why" apt_refuses
t "verify finds packages, commands, links and npm packages anywhere; not what has another name" verify_finds
if full; then
	t "what is no longer forbidden can be installed after a restart" takes_it_back
fi
t "(it is removed)" vms destroy --yes vault
rm -f "$PROFILES/vault.profile"
finish
