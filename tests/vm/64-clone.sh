#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A copy is another machine: everything in a guest that says which machine it is (identity-lib.sh) differs between a machine and its
# copies, unless it is said why it need not; what nobody thought of is found by a search of all files that no package brought.
# in turns
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/vm/identity-lib.sh
. "$(dirname "$0")/identity-lib.sh"

need_image
NAMES="source-of-two copy-of-running copy-of-stopped"
# shellcheck disable=SC2086 # several names
vms destroy --yes --if-exists $NAMES >/dev/null 2>&1

# What names the source, one a line: text of its keys included, which must be nowhere in a copy.
traces() {
	local key
	awk '$1 ~ /^(machine-id|boot-id|dmi-product_uuid|mac)$/ { print $2 }
		$1 == "address" { sub ("/.*", "", $2); print $2 }' "$T/source"
	awk '$1 == "machine-id" { print substr ($2, 1, 8) "-" substr ($2, 9, 4) "-" substr ($2, 13, 4) "-" substr ($2, 17, 4) "-" substr ($2, 21) }' \
		"$T/source"
	echo source-of-two
	for key in user_key host_key guest_key; do
		cut -d' ' -f2 "$STATE/source-of-two/$key.pub"
		sed -n 3p "$STATE/source-of-two/$key"
	done
	in_guest source-of-two 'sudo sed -n 3p /etc/ssh/ssh_host_rsa_key; sudo sed -n 3p /etc/ssh/ssh_host_ecdsa_key; cut -d" " -f2 /etc/ssh/ssh_host_rsa_key.pub
		sudo cat /var/lib/systemd/credential.secret; echo; sudo cat /var/lib/docker/engine-id'
}

# search NAME: files on its disk that no package brought, and that have one of the traces
search() {
	vms ssh "$1" -- 'sudo tee /run/traces >/dev/null' <"$T/traces"
	as_root "$1" <<-'END'
		[ "$(wc -l </run/traces)" -ge 15 ]
		cat /var/lib/dpkg/info/*.list | LC_ALL=C sort -u >/run/packaged
		find / -xdev -type f -size -65536k 2>/dev/null | LC_ALL=C sort | LC_ALL=C comm -23 - /run/packaged >/run/files
		tr '\n' '\0' </run/files | xargs -0 grep -lasiFf /run/traces | sort || true
		rm -f /run/traces /run/packaged /run/files
	END
}

# History: what happened on the source is not undone in a copy.
HISTORY='^/var/log/|^/home/dev/\.bash_history$|^/var/backups/|^/var/lib/systemd/(timers|timesync)/'

begins() {
	vms create source-of-two --profile credentials
	printf '[machine]\nmemory=1GiB\ncpus=2\nstart=boot\n' >>"$PROFILES/source-of-two.profile"
	vms start source-of-two
	plant source-of-two
	in_guest source-of-two 'echo kept >~/kept; sync'
	identifiers source-of-two >"$T/source"
	cat "$T/source"
	eq "$(awk '$2 == "none" { print $1 }' "$T/source" | grep -cE '^(host-key-dsa|dmi-|partition-table|disk-serial|address-6|route)')" \
		"$(awk '$2 == "none"' "$T/source" | wc -l)" "what is not there"
	traces >"$T/traces"
	chmod 644 "$T/traces"
	# control: the search finds what is there
	search source-of-two >"$T/found"
	for file in /etc/machine-id /etc/hostname /etc/ssh/ssh_host_rsa_key /home/dev/.ssh/id_ed25519 /etc/vms/identity; do
		grep -qxF "$file" "$T/found" || fail "the search does not find $file: $(cat "$T/found")"
	done
}

is_another() {
	vms start "$1"
	eq "$(in_guest "$1" 'hostname; cat ~/kept; systemctl list-units --failed --plain --no-legend')" "$1"$'\n'kept
	identifiers "$1" >"$T/$1"
	differ "$T/source" "$T/$1"
	eq "$(search "$1" | grep -vE "$HISTORY")" "" "files of $1 that name its source"
}

copies_while_it_runs() {
	vms clone source-of-two copy-of-running
	vms stop --force --timeout 30s source-of-two
	vms clone source-of-two copy-of-stopped
	is_another copy-of-running
	# what it makes for itself from now on, it keeps
	in_guest copy-of-running 'sudo sh -c "echo its own >/var/lib/docker/engine-id; sync"'
	vms stop --force --timeout 30s copy-of-running
}

copies_while_it_is_off() {
	is_another copy-of-stopped
	differ "$T/copy-of-running" "$T/copy-of-stopped"
	vms stop --force --timeout 30s copy-of-stopped
}

keeps_what_it_made() {
	vms start copy-of-running
	eq "$(in_guest copy-of-running 'sudo cat /var/lib/docker/engine-id')" "its own"
}

goes() {
	local name
	# shellcheck disable=SC2086 # several names
	vms destroy --yes $NAMES
	for name in $NAMES; do
		nothing_remains "$name"
	done
}

t "a machine with all that identifies one; the search finds it" begins
passed || finish
t "a copy of it while it runs: another machine" copies_while_it_runs
t "a copy of it while it is off: another one again" copies_while_it_is_off
t "what a copy has made for itself stays" keeps_what_it_made
t "destroyed" goes
rm -f "$PROFILES/source-of-two.profile" "$PROFILES"/copy-of-*.profile
finish
