#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# encrypt=yes: a disk that nobody reads without the passphrase, which nobody keeps: not vms, not libvirt, no command line.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

need_image
MARK=what-the-guest-wrote-8842
PASS='correct horse battery 8842'
OTHER='another staple 8842'
vms destroy --yes --if-exists --discard-changes vault plain >/dev/null 2>&1

# with PASSPHRASE COMMAND...: vms with the passphrase on a descriptor
with() {
	local passphrase=$1
	shift
	vms --passphrase-fd 9 "$@" 9<<<"$passphrase"
}

# typed ANSWER COMMAND...: vms on a terminal, where every question for a passphrase gets this answer. What it said stands in typed.out.
typed() {
	tee "$T/answer" >/dev/null <<<"$1"
	chmod 644 "$T/answer"
	shift
	as_user python3 -c '
import os, pty, sys, time
out, asked, answer = b"", 0, open(sys.argv.pop(1), "rb").readline()
pid, fd = pty.fork()
if pid == 0:
    os.execvp("vms", ["vms"] + sys.argv[1:])
end = time.monotonic() + 900
while time.monotonic() < end:
    try:
        piece = os.read(fd, 4096)
    except OSError:
        break
    if not piece:
        break
    out += piece
    if (out.count(b"disk of") + out.count(b"same again")) > asked and out.rstrip().endswith(b":"):
        asked += 1
        time.sleep(0.3)
        os.write(fd, answer)
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
sys.stdout.buffer.write(out)
print("\nasked", asked)
sys.exit(status if status >= 0 else 128 - status)' "$T/answer" "$@" >"$T/typed.out" || {
		local status=$?
		cat "$T/typed.out"
		return "$status"
	}
}

uuid() {
	vms status vault --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["machines"][0]["uuid"])'
}

our_secrets() {
	root_virsh secret-list | awk '{ print $1 }' | while read -r uuid; do
		root_virsh secret-dumpxml "$uuid" | grep -o "vms-$TEST_UID-[a-z0-9-]*"
	done
}

# watch FILE: until it is removed: what libvirt would tell of the passphrase, and all command lines that have it
watch_secrets() {
	local said
	while [ -e "$1" ]; do
		said=$(root_virsh secret-get-value "$UUID" 2>&1) || true
		case $said in
		*"secret is private"*) echo private ;;
		*"$PASS"* | *"$(printf %s "$PASS" | base64)"*) echo "told: $said" ;;
		esac
		grep -aslFf "$T/pattern" /proc/[0-9]*/cmdline | sed 's/^/cmdline /' || true
		sleep 0.2
	done >"$1.said"
}

writes_a_profile() {
	as_user mkdir -p -m 0700 "$PROFILES" "$TEST_HOME/vault-share"
	as_user tee "$TEST_HOME/vault-share/file" >/dev/null <<<old
	printf '[profile]\ninherits=base\n[machine]\nmemory=768MiB\ncpus=1\ndisk=10GiB\nencrypt=yes\n[share:s]\nsource=~/vault-share\ntarget=~/s\n' |
		as_user tee "$PROFILES/vault.profile" >/dev/null
	contains "$(vms status vault)" 'encrypted'
}

asks_or_fails() {
	status 2 vms start vault 2>"$T/errors"
	contains "$(cat "$T/errors")" 'disk is encrypted.*--passphrase-fd'
	status 2 with short start vault 2>"$T/errors"
	contains "$(cat "$T/errors")" 'too short'
	status 2 vms --passphrase-fd 77 start vault 2>"$T/errors"
	contains "$(cat "$T/errors")" 'no open descriptor'
	nothing_remains vault
	printf '[profile]\ninherits=vault\n[machine]\nstart=warm\n' | as_user tee "$PROFILES/warmvault.profile" >/dev/null
	status 2 vms profile check warmvault 2>"$T/errors"
	contains "$(cat "$T/errors")" 'start=boot'
	rm "$PROFILES/warmvault.profile"
	status 2 vms run --keep -p vault true 2>"$T/errors"
	contains "$(cat "$T/errors")" 'nobody has the passphrase'
}

starts_on_a_terminal() {
	UUID=$(uuid)
	echo "$PASS" >"$T/pattern"
	touch "$T/watch"
	watch_secrets "$T/watch" &
	typed "$PASS" start vault
	rm "$T/watch"
	wait
	contains "$(cat "$T/typed.out")" 'New passphrase for the disk of vault'
	contains "$(cat "$T/typed.out")" '^asked 2$'
	lacks "$(cat "$T/typed.out")" "$PASS"
	# control: libvirt had it for a moment, and did not tell
	contains "$(cat "$T/watch.said")" private
	lacks "$(cat "$T/watch.said")" 'told|cmdline'
	contains "$(vms status vault)" 'encrypted'
	contains "$(vms status vault --json)" '"encrypted" *: *true'
	contains "$(vms doctor --json)" 'machines with an encrypted disk: vault'
}

is_not_kept() {
	eq "$(our_secrets)" "" "secrets of libvirt's"
	lacks "$(tr '\0' ' ' <"/proc/$(qemu_pid vault)/cmdline")" "$PASS|$(printf %s "$PASS" | base64)"
	lacks "$(root_virsh dumpxml --security-info "$(object vault)"; root_virsh dumpxml --inactive --security-info "$(object vault)")" "$PASS"
	# /run is memory; what libvirt writes there for qemu-img is gone by now
	lacks "$(grep -ralF "$PASS" "$STATE" "$TEST_HOME/.cache" "$TEST_HOME/.config" /var/log/libvirt /etc/libvirt /var/lib/libvirt/qemu /run/libvirt 2>/dev/null)" .
}

hides_what_the_guest_writes() {
	in_guest vault "for i in \$(seq 200); do echo $MARK; done >mark; cp mark mark2; sync; echo changed >s/file"
	eq "$(in_guest vault 'sort -u mark')" "$MARK"
	status 1 grep -aqF "$MARK" "/var/lib/libvirt/images/vms/$(object vault).qcow2"
	contains "$(qemu-img info -U "/var/lib/libvirt/images/vms/$(object vault).qcow2")" 'encrypted: yes'
}

# What does not work yet is refused, with the reason.
refuses() {
	local command
	for command in "snapshot vault" "clone vault vault2" "export vault $TEST_HOME/vault.vms" "exec vault --checkpoint true"; do
		# shellcheck disable=SC2086 # words
		# exec has a status of its own for failures of ours
		status "$([[ $command = exec* ]] && echo 125 || echo 5)" vms $command 2>"$T/errors"
		contains "$(cat "$T/errors")" 'its disk is encrypted'
	done
	[ ! -e "$TEST_HOME/vault.vms" ] || fail "there is an export"
	[ ! -e "$PROFILES/vault2.profile" ] || fail "there is a clone"
	contains "$(vms diff vault)" '^[+]changed'
}

needs_the_right_one() {
	vms stop --timeout 5m vault
	status 5 vms diff vault 2>"$T/errors"
	contains "$(cat "$T/errors")" 'its disk is encrypted.*start'
	sha256sum "/var/lib/libvirt/images/vms/$(object vault).qcow2" >"$T/sum"
	status 5 with 'a wrong passphrase' start vault 2>"$T/errors"
	contains "$(cat "$T/errors")" 'not the passphrase of its disk; nothing was changed'
	sha256sum -c --quiet "$T/sum"
	eq "$(our_secrets)" "" "secrets of libvirt's"
	status 2 vms restart vault 2>"$T/errors"
	# whoever may use libvirt cannot start it without the passphrase either
	status 1 root_virsh start "$(object vault)" 2>"$T/errors"
	contains "$(cat "$T/errors")" '[Ss]ecret'
}

goes_on() {
	with "$PASS" start vault
	eq "$(in_guest vault 'sort -u mark')" "$MARK"
	eq "$(our_secrets)" "" "secrets of libvirt's"
	# what libvirt makes of the definition is what we allow
	vms verify vault --json >"$T/verify.json" || true
	python3 -c 'import json, sys
for finding in json.load(open(sys.argv[1]))["findings"]:
    if finding["id"] == "devices": print(finding["verdict"])' "$T/verify.json" | sort -u >"$T/verdicts"
	eq "$(cat "$T/verdicts")" pass "verdict on the definition"
}

# A throwaway machine invents one, and asks nobody.
throwaway_needs_none() {
	vms stop --timeout 5m vault
	contains "$(vms run -p vault -- sh -c 'lsblk -no TYPE /dev/vda; echo ran' 2>&1)" '^ran'
	eq "$(our_secrets)" "" "secrets of libvirt's"
	with "$PASS" start vault
}

# The guest may boot again as long as QEMU runs.
reboots() {
	local before now tries
	before=$(in_guest vault 'cat /proc/sys/kernel/random/boot_id')
	in_guest vault 'sudo systemctl reboot' || true
	for ((tries = 0; tries < 60; tries++)); do
		now=$(in_guest vault 'cat /proc/sys/kernel/random/boot_id' 2>/dev/null) || now=
		[ -z "$now" ] || [ "$now" = "$before" ] || break
		sleep 5
	done
	[ -n "$now" ] && [ "$now" != "$before" ] || fail "it did not come back"
	eq "$(in_guest vault 'sort -u mark')" "$MARK"
}

# As libvirt-guests does that is set to suspend: the file has the key, and nothing goes on from it.
saved_by_libvirt() {
	# with one, libvirt 9 saves nothing
	vms share remove vault s --discard-changes
	root_virsh managedsave "$(object vault)"
	status 4 with "$PASS" start vault 2>"$T/errors"
	contains "$(cat "$T/errors")" 'managed save.*key of its encrypted disk.*vms stop --force vault'
	lacks "$(cat "$T/errors")" 'virsh start'
	status 1 root_virsh start "$(object vault)"
	vms stop --force vault
	[ ! -e "/var/lib/libvirt/qemu/save/$(object vault).save" ] || fail "the memory is there"
	with "$PASS" start vault
	eq "$(in_guest vault 'sort -u mark')" "$MARK"
}

# A kill while libvirt has the passphrase.
killed_meanwhile() {
	local pid tries
	vms stop --timeout 5m vault
	with "$PASS" start vault >/dev/null 2>&1 &
	pid=$!
	for ((tries = 0; tries < 600; tries++)); do
		[ -z "$(our_secrets)" ] || break
		sleep 0.02
	done
	# shellcheck disable=SC2046 # numbers
	kill -9 $(pgrep -u "$TEST_USER" -x vms)
	wait "$pid" || true
	eq "$(our_secrets)" "$(object vault)" "secrets (the kill came too early, or too late)"
	contains "$(vms doctor 2>&1)" 'left by interrupted commands'
	eq "$(our_secrets)" "$(object vault)" "secrets (nobody asked for a repair)"
	contains "$(vms doctor --repair --yes 2>&1)" 'secret'
	eq "$(our_secrets)" "" "secrets after the repair"
	with "$PASS" start vault
}

# leave_secret: as a process leaves it that was killed while libvirt had it
leave_secret() {
	root_virsh secret-define /dev/stdin >/dev/null <<-END
		<secret ephemeral="yes" private="yes"><uuid>$(uuid)</uuid><description>$(object vault)</description></secret>
	END
	eq "$(our_secrets)" "$(object vault)" "secrets"
}

# The next verb that has the machine's lock takes it back, and not a repair only.
next_verb_takes_it_back() {
	leave_secret
	vms start vault
	eq "$(our_secrets)" "" "secrets after a start of what runs"
	leave_secret
	vms stop --timeout 5m vault
	eq "$(our_secrets)" "" "secrets after a stop"
	with "$PASS" start vault
}

recreates() {
	with "$OTHER" recreate --yes --discard-changes vault
	eq "$(in_guest vault 'ls mark 2>/dev/null')" ""
	vms stop --timeout 5m vault
	status 5 with "$PASS" start vault 2>"$T/errors"
	# one that needs none finds no way back to it either
	as_user sed -i s/encrypt=yes/encrypt=no/ "$PROFILES/vault.profile"
	status 2 vms start vault 2>"$T/errors"
	contains "$(cat "$T/errors")" 'disk is encrypted'
}

# Control: the mark is found on a disk that is not encrypted; and such a disk is not taken for one that is.
plain_is_found() {
	printf '[profile]\ninherits=base\n[machine]\nmemory=768MiB\ncpus=1\n' | as_user tee "$PROFILES/plain.profile" >/dev/null
	vms start plain
	in_guest plain "for i in \$(seq 200); do echo $MARK; done >mark; sync"
	grep -aqF "$MARK" "/var/lib/libvirt/images/vms/$(object plain).qcow2"
	vms stop --timeout 5m plain
	printf 'encrypt=yes\n' | as_user tee -a "$PROFILES/plain.profile" >/dev/null
	status 4 with "$PASS" start plain 2>"$T/errors"
	contains "$(cat "$T/errors")" 'vms recreate plain'
	vms destroy --yes plain
}

goes() {
	vms destroy --yes --discard-changes vault
	nothing_remains vault
	eq "$(our_secrets)" "" "secrets of libvirt's"
	rm -rf "$TEST_HOME/vault-share" "$PROFILES/vault.profile" "$PROFILES/plain.profile"
}

t "a profile that wants an encrypted disk" writes_a_profile
t "no start without a passphrase, or with one that is none; not from kept memory" asks_or_fails
t "asked twice on a terminal, unseen; libvirt keeps it to itself and no command line has it" starts_on_a_terminal
passed || finish
t "nobody has it while the machine runs: libvirt, command lines, definitions, logs, files" is_not_kept
t "what the guest writes is not on the host's disk" hides_what_the_guest_writes
t "snapshot, clone, export and checkpoint are refused; diff works while it runs" refuses
t "stopped, nothing reads it; a wrong passphrase changes nothing; libvirt alone cannot start it" needs_the_right_one
if full; then
	t "the right one starts it, and all is there" goes_on
	passed || finish
	t "the guest reboots without it" reboots
	t "a throwaway machine of it asks nobody" throwaway_needs_none
	t "memory that libvirt kept is told for what it is, and thrown away" saved_by_libvirt
	t "killed while libvirt has it: repair takes it back" killed_meanwhile
	t "what a killed process left, the next verb takes back" next_verb_takes_it_back
	t "recreate takes a new one; the old one opens nothing" recreates
	t "control: a plain disk shows what was written; and is not taken for an encrypted one" plain_is_found
fi
t "(it is removed)" goes
finish
