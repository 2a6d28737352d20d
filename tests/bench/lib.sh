# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# What benchmarks share: times, ratios and their aims; debvm (Debian's package) and plain QEMU to compare with.
: "${vms:?set before this file is read}"
accel=tcg
cpu=qemu64
missed=0
qemu=
qemu_port=22022
# a directory of this run, made before anything is measured
work=
cache=/var/cache/libsandbox-bench

skip() {
	echo "skipped: $*"
	exit 77
}

now() {
	echo $((${EPOCHREALTIME/[.,]/} / 1000))
}

seconds() {
	printf '%d.%02d s' $(($1 / 1000)) $(($1 % 1000 / 10))
}

# ratio A B: A/B with two digits
ratio() {
	awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'
}

least() {
	sort -n | head -n 1
}

# judge TEXT RATIO most|least BOUND [kvm]: prints them. A missed aim makes the benchmark fail at its end; those that are set for a
# processor that does the work itself (kvm) are only told under emulation.
judge() {
	local word=reached
	if ! awk -v r="$2" -v b="$4" -v w="$3" 'BEGIN { exit !(w == "most" ? r <= b : r >= b) }'; then
		word=MISSED
		[ "${5:-}" != kvm ] || [ "$accel" = kvm ] || word="not reached, and not judged: emulated"
		# shellcheck disable=SC2034 # the exit status of who sourced this
		[ "$word" != MISSED ] || missed=1
	fi
	echo "$1: ratio $2 (aim: at $3 $4; $word)"
}

# What this host's machines run with.
find_accel() {
	[ "$("$vms" doctor --json 2>/dev/null | python3 -c 'import json, sys
print(any(c["id"] == "kvm" and c["level"] == 0 for c in json.load(sys.stdin)["checks"]))')" != True ] || accel=kvm
	[ "$accel" = tcg ] || cpu=host
}

need_debvm() {
	command -v debvm-create >/dev/null || skip "debvm is not installed (apt-get install debvm)"
}

# Its image, which is kept.
prepare_debvm() {
	mkdir -p "$cache"
	[ -f "$cache/key" ] || ssh-keygen -q -t ed25519 -N '' -f "$cache/key"
	if [ ! -f "$cache/trixie.ext4" ]; then
		echo "making debvm's image (kept in $cache)" >&2
		debvm-create -r trixie -k "$cache/key.pub" -o "$work/trixie.ext4" -z 4GB >"$work/debvm.log" 2>&1 ||
			skip "debvm-create failed: $(tail -n 1 "$work/debvm.log")"
		mv "$work/trixie.ext4" "$cache/trixie.ext4"
	fi
}

end_qemu() {
	[ -z "$qemu" ] || kill "$qemu" 2>/dev/null || true
	[ -z "$qemu" ] || wait "$qemu" 2>/dev/null || true
	qemu=
}

plain_ssh() {
	ssh -F none -i "$1" -p "$qemu_port" -o IdentitiesOnly=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes \
		-o LogLevel=ERROR -o ConnectTimeout=1 "$2@127.0.0.1" "$3" </dev/null
}

# wait_for_ssh KEY USER: until a command works
wait_for_ssh() {
	local end=$(($(now) + 300000))
	until plain_ssh "$1" "$2" true 2>/dev/null; do
		if [ "$(now)" -ge "$end" ] || ! kill -0 "$qemu" 2>/dev/null; then
			echo "the machine to compare with does not answer" >&2
			tail -n 20 "$work/qemu.log" >&2
			exit 1
		fi
		sleep 0.05
	done
}

# A boot of debvm, with two processors and 1 GiB; its milliseconds go into the file "debvm".
debvm_once() {
	local begin
	# debvm writes to its image: each round has a copy of its own, as each of ours has a layer
	cp --sparse=always "$cache/trixie.ext4" "$work/debvm.ext4"
	begin=$(now)
	debvm-run -i "$work/debvm.ext4" -s "$qemu_port" -- -machine "accel=$accel" -cpu "$cpu" -smp 2 -m 1G >"$work/qemu.log" 2>&1 </dev/null &
	qemu=$!
	wait_for_ssh "$cache/key" root
	echo $(($(now) - begin)) >>"$work/debvm"
	# debvm-run is a shell that waits for QEMU
	plain_ssh "$cache/key" root poweroff >/dev/null 2>&1 || true
	for _ in $(seq 300); do
		kill -0 "$qemu" 2>/dev/null || break
		sleep 0.1
	done
	# one that did not hear of it
	end_qemu
}
