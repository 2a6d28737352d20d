#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Runs the tests: installs what they need, builds with the address and undefined-behaviour sanitizers, runs every suite,
# real virtual machines included, and ends with one line: N passed, N failed, N skipped.
#
# It needs root for set-up only: the product runs as an ordinary user that is made here, and removed at the end.
set -uo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${VMS_TESTS_BUILD:-$top/build-tests}
all_suites=(style unit golden schema driver cli fuzz install vm)
suites=()
full=no
seed=${VMS_TESTS_SEED:-$(date +%s)}
keep=no
passed=0 failed=0 skipped=0
own_daemon=no daemons_before=
lanes=${VMS_TESTS_LANES:-2}
interfaces_before=$(cd /sys/class/net && echo *)
prefix=

usage() {
	cat <<END
usage: tests/run.sh [--full] [--seed N] [--keep] [SUITE[:PATTERN]...]

  --full      whole matrices instead of a sample of them, all files of tests/vm instead of a third of those that take
              turns, other images, valgrind, analyzer
  --seed N    choose the sample as an earlier run did
  --keep      leave the test user, its machines and the log files

Suites: ${all_suites[*]}. vm:PATTERN runs only the files of tests/vm whose names contain PATTERN.
VMS_TESTS_MUST_RUN=1 makes a skipped test a failed one; VMS_TESTS_LANES=N runs N files of tests/vm at once (2).
END
}

say() {
	printf '\n=== %s\n' "$*"
}

parse_options() {
	while [ $# -gt 0 ]; do
		case $1 in
		--full) full=yes ;;
		--keep) keep=yes ;;
		--seed)
			seed=${2:?--seed needs a number}
			shift
			;;
		-h | --help)
			usage
			exit 0
			;;
		-*)
			usage >&2
			exit 2
			;;
		*)
			[[ " ${all_suites[*]} " == *" ${1%%:*} "* ]] || {
				usage >&2
				exit 2
			}
			suites+=("$1")
			;;
		esac
		shift
	done
	[ "${#suites[@]}" -gt 0 ] || suites=("${all_suites[@]}")
}

# chosen SUITE: prints its pattern (may be empty)
chosen() {
	local suite

	for suite in "${suites[@]}"; do
		if [ "${suite%%:*}" = "$1" ]; then
			[ "$suite" = "$1" ] || printf '%s' "${suite#*:}"
			return 0
		fi
	done
	return 1
}

# add FILE...: counts the points of TAP files or meson logs.
add() {
	local counts options=()

	[ "${VMS_TESTS_MUST_RUN:-0}" != 1 ] || options=(--skips-fail)
	if ! counts=$(python3 -B "$top/tests/report.py" "${options[@]}" "$@"); then
		failed=$((failed + 1))
		return
	fi
	# shellcheck disable=SC2086 # three numbers
	set -- $counts
	passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
}

# A step of our own that must work for the rest to mean anything.
must() {
	local what=$1
	shift
	if ! "$@"; then
		printf 'FAILED %s\n' "$what" >&2
		failed=$((failed + 1))
		exit 1
	fi
}

process_ids() {
	local process comm

	for process in /proc/[0-9]*; do
		read -r comm 2>/dev/null <"$process/comm" || continue
		if [[ " $* " == *" $comm "* ]] && [ "$process/root" -ef /proc/self/root ]; then
			echo "${process#/proc/}"
		fi
	done
}

# Those of NAME... that were not there before this run.
daemons_started() {
	local pid
	for pid in $(process_ids "$@"); do
		[[ $'\n'$daemons_before$'\n' == *$'\n'$pid$'\n'* ]] || echo "$pid"
	done
}

install_needs() {
	local needs=(clang-format shellcheck rsync sshfs tcpdump conntrack strace python3-paramiko busybox) missing=() package policy=no

	[ "$full" = no ] || needs+=(valgrind clang-tidy stress-ng "lib$(basename "$(readlink -f /usr/bin/python3)")-testsuite")
	# under systemd it would also be started: there it is for the host's owner to install
	[ -d /run/systemd/system ] || needs+=(openssh-server)
	daemons_before=$(process_ids libvirtd virtlogd)
	must "quickstart.sh --host-only" "$top/quickstart.sh" --host-only
	[ -d /run/systemd/system ] || [ -z "$(daemons_started libvirtd)" ] || own_daemon=yes
	for package in "${needs[@]}"; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
	done
	# as udev does it, where no udev runs
	if [ -c /dev/fuse ] && [ ! -d /run/systemd/system ] && [ "$(stat -c '%U %a' /dev/fuse)" = "root 600" ]; then
		chmod 666 /dev/fuse
	fi
	[ "${#missing[@]}" -gt 0 ] || return 0
	echo "installing ${missing[*]}"
	# no service is started
	if [ ! -d /run/systemd/system ] && [ ! -e /usr/sbin/policy-rc.d ]; then
		printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
		chmod 755 /usr/sbin/policy-rc.d
		policy=made
	fi
	if ! DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends "${missing[@]}" >"$work/apt.log" 2>&1; then
		apt-get -q update >>"$work/apt.log" 2>&1
		DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends "${missing[@]}" >>"$work/apt.log" 2>&1 ||
			tail -n 20 "$work/apt.log" >&2
	fi
	[ "$policy" = no ] || rm -f /usr/sbin/policy-rc.d
}

# The build is installed to a place of its own, which the programs know (and their libraries are found by their run path).
compile() {
	local options=("-Db_sanitize=address,undefined" -Db_lundef=false --buildtype debugoptimized --libdir lib)

	prefix=$(cat "$build/prefix" 2>/dev/null) || prefix=
	if [ -z "$prefix" ] || [ ! -f "$build/build.ninja" ]; then
		mkdir -p "$build"
		prefix=$(mktemp -d /opt/libsandbox-tests.XXXXXX)
		rm -rf "$build"
		options+=(--prefix "$prefix")
		must "meson setup" meson setup "${options[@]}" "$build" "$top"
		printf '%s\n' "$prefix" >"$build/prefix"
	fi
	mkdir -p "$prefix"
	chmod 755 "$prefix"
	must "the build" meson compile -C "$build"
	meson install --no-rebuild --only-changed -C "$build" >"$work/install.log" 2>&1 || must "the installation" tail -n 20 "$work/install.log"
	if grep -qE 'warning: ' "$build/meson-logs/compile.log" 2>/dev/null; then
		echo "note: there were compiler warnings"
	fi
}

run_meson_suites() {
	local suite wanted=() known

	known=$(meson introspect --tests "$build" | python3 -c 'import json, sys
print(" ".join({s.split(":")[-1] for t in json.load(sys.stdin) for s in t["suite"]}))')
	for suite in "${all_suites[@]}"; do
		if [ "$suite" != vm ] && chosen "$suite" >/dev/null && [[ " $known " == *" $suite "* ]]; then
			wanted+=(--suite "$suite")
		fi
	done
	[ "${#wanted[@]}" -gt 0 ] || return 0
	say "suites without machines: ${wanted[*]}"
	meson_tests "$build" "" --timeout-multiplier 3 "${wanted[@]}"
}

# meson_tests BUILD SETUP ARGUMENTS...: as root; then, as the test user, to whom the build is lent, the programs that skipped something.
# Some cases need root, to make what belongs to others; some need an ordinary user. A case is skipped only if it was
# skipped both times.
meson_tests() {
	local directory=$1 home logs=() skipping setup=()
	[ -z "$2" ] || setup=(--setup "$2")
	shift 2
	local settings=(PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8
		VMS_TESTS_FULL="$full" VMS_TESTS_SEED="$seed" VMS_TESTS_PREFIX="$prefix")
	# with a setup the log has another name: what counts is the one that this run writes
	rm -f "$directory"/meson-logs/testlog*.json
	env "${settings[@]}" meson test -C "$directory" --no-rebuild "${setup[@]}" "$@"
	must "meson's log of this run" cp "$directory"/meson-logs/testlog*.json "$work/root.json"
	logs=("$work/root.json")
	rm -f "$directory"/meson-logs/testlog*.json
	mapfile -t skipping < <(python3 -B "$top/tests/report.py" --skipping "$work/root.json" | sed '/^$/d')
	home=$(getent passwd "$TEST_USER" | cut -d: -f6)
	if [ "${#skipping[@]}" -gt 0 ] && runuser -u "$TEST_USER" -- test -r "$directory/build.ninja" -a -r "$top/meson.build"; then
		echo "again, as an ordinary user: ${skipping[*]}"
		chown -R "$TEST_USER" "$directory"
		runuser -u "$TEST_USER" -- env -i "${settings[@]}" HOME="$home" USER="$TEST_USER" LOGNAME="$TEST_USER" SHELL=/bin/sh \
			meson test -C "$directory" --no-rebuild "${setup[@]}" "${skipping[@]}"
		chown -R --reference="$top" "$directory"
		must "meson's log of the second run" cp "$directory"/meson-logs/testlog*.json "$work/user.json"
		logs+=("$work/user.json")
	fi
	add "${logs[@]}"
}

run_valgrind() {
	local plain=$build-valgrind suite wanted=()

	for suite in unit driver; do
		chosen "$suite" >/dev/null && wanted+=(--suite "$suite")
	done
	[ "$full" = yes ] && [ "${#wanted[@]}" -gt 0 ] || return 0
	say "under valgrind: ${wanted[*]}"
	[ -f "$plain/build.ninja" ] || must "meson setup" meson setup --buildtype debugoptimized "$plain" "$top"
	must "the build" meson compile -C "$plain"
	meson_tests "$plain" valgrind "${wanted[@]}" --no-suite no-valgrind
}

# Every C file of ours under the clang analyzer; .clang-tidy names the exceptions and their reasons.
run_analyzer() {
	[ "$full" = yes ] && chosen style >/dev/null || return 0
	say "clang analyzer"
	if run-clang-tidy -quiet -p "$build" "$top/(lib|cli)/.*[.]c\$" >"$work/analyzer.log" 2>&1 &&
		[ "$(grep -c '^clang-tidy' "$work/analyzer.log")" -gt 100 ]; then
		echo "ok - no finding in $(grep -c '^clang-tidy' "$work/analyzer.log") files"
		passed=$((passed + 1))
	else
		grep -vE '^(clang-tidy|[0-9]+ warnings? )' "$work/analyzer.log" | tail -n 60
		echo "not ok - clang analyzer"
		failed=$((failed + 1))
	fi
}

# for_lanes FUNCTION: once for each lane, with its two users. A lane runs one file of tests/vm after another.
for_lanes() {
	local lane all=0
	for ((lane = lanes; lane > 0; lane--)); do
		name_test_users "$lane"
		"$1" || all=1
	done
	return "$all"
}

# limit_of FILE: the seconds that it may take; "# with --full it may take N s" in a file says another number
limit_of() {
	local limit=

	[ "$full" = no ] || limit=$(sed -nE 's/^# with --full it may take ([0-9]+) s$/\1/p' "$1")
	echo "${limit:-3600}"
}

# vm_file FILE: its points go to $work/NAME.tap, and are printed as a whole when it ends.
vm_file() {
	local name tap began=$SECONDS running
	name=$(basename "$1" .sh)
	tap=$work/$name.tap
	VMS_TESTS_FULL=$full VMS_TESTS_SEED=$seed VMS_TESTS_PREFIX=$prefix VMS_TESTS_WORK=$work VMS_TESTS_TOP=$top \
		VMS_TESTS_OWN_DAEMON=$own_daemon VMS_TESTS_USER=$TEST_USER timeout -k 30 "$(limit_of "$1")" bash "$1" </dev/null >"$tap" 2>&1 &
	running=$!
	trap 'kill "$running"; wait; exit 143' TERM
	wait "$running" || grep -q '^not ok' "$tap" || echo "not ok - $name ended early" >>"$tap"
	grep -qE '^1\.\.[0-9]' "$tap" || echo "not ok - $name has no plan" >>"$tap"
	{
		flock 9
		printf -- '--- %s, %d s\n' "$name" $((SECONDS - began))
		cat "$tap"
	} 9>"$work/print.lock"
}

# next_file: takes the first of those that any lane may run
next_file() {
	{
		flock 9
		head -n 1 "$work/queue"
		sed -i 1d "$work/queue"
	} 9>"$work/queue.lock"
}

# vm_lane LANE: the first lane begins with what asks for the world of isolation-lib.sh, which is there once.
vm_lane() {
	local file
	name_test_users "$1"
	if [ "$1" -eq 1 ]; then
		for file in "${worldly[@]}"; do vm_file "$file"; done
	fi
	while file=$(next_file) && [ -n "$file" ]; do vm_file "$file"; done
}

# Files that say "# in turns" show what seldom breaks, or is slow to show. Each run takes a third of them, which the seed chooses.
files_in_turn() {
	local file files=()

	mapfile -t files < <(grep -lE '^# in turns$' "$top"/tests/vm/[0-9]*.sh)
	for file in "${files[@]}"; do
		printf '%s %s\n' "$(printf '%s %s' "$seed" "$(basename "$file")" | cksum | cut -d' ' -f1)" "$file"
	done | sort -n | head -n $(((${#files[@]} + 2) / 3)) | cut -d' ' -f2-
}

# is_left_out FILE: not when it is asked for
is_left_out() {
	[ "$full" = no ] && [ -z "$pattern" ] && grep -qE '^# in turns$' "$1" && [[ $'\n'$in_turn$'\n' != *$'\n'$1$'\n'* ]]
}

# A file that says "# alone, first: WHY" or "# alone, last: WHY" gets the host for itself; the others run in lanes, next to each other.
run_vm_suite() {
	local pattern file lane in_turn jobs=() first=() last=() worldly=() others=()

	pattern=$(chosen vm) || return 0
	in_turn=$(files_in_turn)
	say "real machines (sample seed $seed, $lanes at once)"
	for file in "$top"/tests/vm/[0-9]*.sh; do
		[[ $(basename "$file" .sh) == *"$pattern"* ]] || continue
		! is_left_out "$file" || continue
		if grep -q '^# alone, first: ' "$file"; then
			first+=("$file")
		elif grep -q '^# alone, last: ' "$file"; then
			last+=("$file")
		elif grep -q '/isolation-lib\.sh"$' "$file"; then
			worldly+=("$file")
		else
			others+=("$file")
		fi
	done
	name_test_users 1
	for file in "${first[@]}"; do (vm_file "$file") & wait $!; done
	printf '%s\n' "${others[@]}" >"$work/queue"
	for ((lane = 1; lane <= lanes; lane++)); do
		vm_lane "$lane" &
		jobs+=($!)
	done
	for lane in "${jobs[@]}"; do
		wait "$lane" || must "a lane" false
	done
	name_test_users 1
	for file in "${last[@]}"; do (vm_file "$file") & wait $!; done
	for file in "${first[@]}" "${worldly[@]}" "${others[@]}" "${last[@]}"; do
		[ -f "$work/$(basename "$file" .sh).tap" ] || must "$(basename "$file" .sh), which did not run" false
		add "$work/$(basename "$file" .sh).tap"
	done
}

stop_daemons() {
	local pid network bridge

	[ "$own_daemon" = yes ] || return 0
	# a network that came up with the daemon goes with it
	for network in $(virsh -q -c qemu:///system net-list --name); do
		bridge=$(virsh -q -c qemu:///system net-info "$network" | awk '/^Bridge:/ { print $2 }')
		[[ " $interfaces_before " == *" $bridge "* ]] || virsh -q -c qemu:///system net-destroy "$network" >/dev/null
	done
	for pid in $(daemons_started libvirtd virtlogd); do
		kill "$pid" 2>/dev/null
	done
}

finish() {
	local status=$? lane

	trap - EXIT
	trap '' INT TERM
	for lane in $(jobs -pr); do kill "$lane"; done
	wait
	if [ "$keep" = no ]; then
		for_lanes remove_test_users
		stop_daemons
		rm -rf "$work" ${prefix:+"$prefix"}
	else
		echo "kept: $work"
	fi
	printf 'took %d s\n' "$SECONDS"
	[ $((passed + failed)) -gt 0 ] || failed=1
	[ "$status" -eq 0 ] || [ "$failed" -gt 0 ] || failed=1
	printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
	[ "$failed" -eq 0 ]
	exit
}

# shellcheck source=tests/vm/user.sh
. "$top/tests/vm/user.sh"
parse_options "$@"
if [ "$(id -u)" -ne 0 ]; then
	command -v sudo >/dev/null || {
		echo "tests/run.sh: needs root to install packages and to make the test user" >&2
		exit 1
	}
	exec sudo -- env "VMS_TESTS_MUST_RUN=${VMS_TESTS_MUST_RUN:-0}" "VMS_TESTS_LANES=$lanes" "$top/tests/run.sh" "$@"
fi
# A machine's end waits until its process is collected, for which process 1 of a container may take seconds: it is done here.
if [ -z "${VMS_TESTS_COLLECTS:-}" ] && [ ! -d /run/systemd/system ] && command -v python3 >/dev/null; then
	export VMS_TESTS_COLLECTS=yes
	exec python3 -c 'import ctypes, os, sys
PR_SET_CHILD_SUBREAPER = 36
ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
os.execvp(sys.argv[1], sys.argv[1:])' bash "$0" "$@"
fi
umask 022
work=$(mktemp -d "${TMPDIR:-/tmp}/vms-tests.XXXXXX")
chmod 755 "$work"
trap finish EXIT
trap 'exit 130' INT TERM
say "what the tests need"
install_needs
say "build with sanitizers"
compile
must "making the test users" for_lanes make_test_users
run_meson_suites
run_analyzer
run_valgrind
run_vm_suite
