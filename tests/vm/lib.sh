# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# What the tests on real machines share. A test file sources this, calls `t "what is shown" FUNCTION` for each case
# and `finish` at its end; the output is TAP. The file runs as root; the product runs as the test user only.
set -u

: "${VMS_TESTS_PREFIX:?run me with tests/run.sh vm:PATTERN}"
: "${VMS_TESTS_WORK:?}" "${VMS_TESTS_TOP:?}"
VMS_TESTS_FULL=${VMS_TESTS_FULL:-no}
VMS_TESTS_SEED=${VMS_TESTS_SEED:-1}
# shellcheck source=tests/vm/user.sh
. "$VMS_TESTS_TOP/tests/vm/user.sh"

TEST_HOME=$(getent passwd "$TEST_USER" | cut -d: -f6)
TEST_UID=$(id -u "$TEST_USER")
STATE=$TEST_HOME/.local/share/vms
# shellcheck disable=SC2034 # used by test files
PROFILES=$TEST_HOME/.config/vms
T=$(mktemp -d "$VMS_TESTS_WORK/t.XXXXXX")
chmod 755 "$T"
number=0
last=0
cd "$TEST_HOME" || exit 1

# run_as USER COMMAND...: with that user's rights and a clean environment; SANDBOX_FAULT and VMS_URI are passed on.
run_as() {
	local user=$1 home settings
	shift
	home=$(getent passwd "$user" | cut -d: -f6)
	settings=(HOME="$home" USER="$user" LOGNAME="$user" SHELL=/bin/bash LC_ALL=C.UTF-8 TERM="${TERM:-dumb}"
		PATH="$VMS_TESTS_PREFIX/bin:/usr/local/bin:/usr/bin:/bin" UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1)
	[ -z "${SANDBOX_FAULT:-}" ] || settings+=(SANDBOX_FAULT="$SANDBOX_FAULT")
	[ -z "${VMS_URI:-}" ] || settings+=(VMS_URI="$VMS_URI")
	[ -z "${SSH_AUTH_SOCK:-}" ] || settings+=(SSH_AUTH_SOCK="$SSH_AUTH_SOCK")
	runuser -u "$user" -- env -i "${settings[@]}" "$@"
}

as_user() {
	run_as "$TEST_USER" "$@"
}

as_other() {
	(cd / && run_as "$OTHER_USER" "$@")
}

# The product, as the test user. Nothing in these tests may hang.
vms() {
	as_user timeout --foreground -k 10 900 vms "$@"
}

other_vms() {
	as_other timeout --foreground -k 10 900 vms "$@"
}

# in_guest NAME COMMAND-LINE: through a shell in the guest
in_guest() {
	vms ssh "$1" -- "$2" </dev/null
}

# --- assertions: each ends the test case that it stands in, with a reason

fail() {
	printf 'fail: %s\n' "$*"
	exit 1
}

eq() {
	[ "$1" = "$2" ] || fail "${3:-value}: is '$1', should be '$2'"
}

# contains TEXT PATTERN: an extended regular expression
contains() {
	grep -qE -- "$2" <<<"$1" || fail "no /$2/ in: $1"
}

lacks() {
	local found=0
	grep -qE -- "$2" <<<"$1" || found=$?
	[ "$found" -le 1 ] || fail "/$2/ is no expression"
	[ "$found" -eq 1 ] || fail "/$2/ stands in: $1"
}

# status N COMMAND...: the exit status must be N. Output goes through.
status() {
	local want=$1 have=0
	shift
	"$@" || have=$?
	[ "$have" -eq "$want" ] || fail "exit status $have, should be $want, of: $*"
}

# --- test cases

# t DESCRIPTION COMMAND...: one case, in a shell of its own that ends at the first failing command. Always returns 0: where bash
# looks at a status (if, ||), it ignores errors all the way down, so that a case could not fail. Ask `passed` afterwards.
t() {
	local text=$1 begin=${EPOCHREALTIME/[.,]/} status=0 seconds
	shift
	number=$((number + 1))
	(
		set -e
		false
		true
	)
	# shellcheck disable=SC2181
	if [ $? -eq 0 ]; then
		echo "not ok $number - $text (called where bash ignores errors)"
		exit 1
	fi
	(
		set -e
		"$@"
	) >"$T/$number.out" 2>&1 </dev/null
	status=$?
	seconds=$(((${EPOCHREALTIME/[.,]/} - begin) / 100000))
	if [ "$status" -eq 0 ]; then
		printf 'ok %d - %s (%d.%d s)\n' "$number" "$text" $((seconds / 10)) $((seconds % 10))
	else
		sed 's/^/# /' "$T/$number.out" | tail -n 60
		printf 'not ok %d - %s (%d.%d s, status %d)\n' "$number" "$text" $((seconds / 10)) $((seconds % 10)) "$status"
	fi
	last=$status
}

# Whether the last case passed.
passed() {
	[ "$last" -eq 0 ]
}

skip() {
	number=$((number + 1))
	printf 'ok %d - %s # SKIP %s\n' "$number" "$1" "$2"
}

finish() {
	printf '1..%d\n' "$number"
	rm -rf "$T"
	exit 0
}

full() {
	[ "$VMS_TESTS_FULL" = yes ]
}

# sample N: of the lines of its input N, chosen by the seed; all of them with --full. Their order stays.
sample() {
	local lines
	mapfile -t lines
	if full || [ "${#lines[@]}" -le "$1" ]; then
		printf '%s\n' "${lines[@]}"
		return
	fi
	printf '%s\n' "${lines[@]}" | awk -v n="$1" -v seed="$VMS_TESTS_SEED" '
		BEGIN { srand(seed) }
		{ line[NR] = $0; key[NR] = rand() }
		END {
			for (i = 1; i <= NR; i++) {
				smaller = 0
				for (j = 1; j <= NR; j++) if (key[j] < key[i]) smaller++
				if (smaller < n) print line[i]
			}
		}'
}

# --- what is there

# object NAME: its name in libvirt
object() {
	echo "vms-$TEST_UID-$1"
}

domain_state() {
	root_virsh domstate "$(object "$1")" 2>/dev/null
}

# The keeper's process number, from whoever has its lock file open: the product's own word is not asked.
keeper_pids() {
	local process

	for process in /proc/[0-9]*; do
		[ "$(stat -c %u "$process" 2>/dev/null)" = "$TEST_UID" ] || continue
		if tr '\0' ' ' <"$process/cmdline" 2>/dev/null | grep -qE "sandbox-keeper.*\b$(object "$1")( |\$)"; then
			echo "${process#/proc/}"
		fi
	done
}

qemu_pid() {
	cat "/run/libvirt/qemu/$(object "$1").pid" 2>/dev/null
}

# remains NAME: prints everything that exists of a machine besides its profile and its shared directory.
remains() {
	local name
	name=$(object "$1")

	root_virsh list --all --name | grep -xF "$name" | sed 's/^/domain /'
	root_virsh net-list --all --name | grep -xF "$name" | sed 's/^/network /'
	root_virsh nwfilter-list | awk '{ print $2 }' | grep -xF "$name" | sed 's/^/filter /'
	root_virsh vol-list --pool vms 2>/dev/null | awk '{ print $1 }' | grep -E "^$name(\.|\$)" | sed 's/^/volume /'
	find "$STATE" -maxdepth 1 \( -name "$1" -o -name "$1.*" \) -printf 'state %p\n' 2>/dev/null
	keeper_pids "$1" | sed 's/^/keeper /'
	pgrep -f "guest=$name," | sed 's/^/qemu /'
	pgrep -f "ssh.*$STATE/$1/" | sed 's/^/ssh /'
}

nothing_remains() {
	local found
	found=$(remains "$1")
	[ -z "$found" ] || fail "of $1 there is still: $found"
}

image_exists() {
	vms image list 2>/dev/null | grep -qE "(^| )$1( |-|\$)"
}

# The image that all files but the first need; built when a file is run alone.
need_image() {
	vms image build debian-13 >"$T/image.out" 2>&1 || {
		sed 's/^/# /' "$T/image.out"
		echo "not ok 1 - the image debian-13"
		exit 1
	}
}

# A running machine; says "not ok" once when it does not start.
need_running() {
	vms start "$1" >"$T/start.out" 2>&1 || {
		sed 's/^/# /' "$T/start.out"
		number=$((number + 1))
		echo "not ok $number - $1 starts (what follows needs it)"
		finish
	}
}
