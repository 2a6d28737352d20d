#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The keeper: one per running machine, comes back when it was killed, ends with the machine, and keeps the console log bounded.
# in turns
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

need_image
need_running work

log_size() {
	stat -c %s "$STATE/work/console.log"
}

one_keeper() {
	eq "$(keeper_pids work | wc -l)" 1 "keepers"
	eq "$(vms status work --json | python3 -c 'import json, sys
data = json.load(sys.stdin)
print((data["machines"][0] if "machines" in data else data)["keeper_pid"])')" "$(keeper_pids work)" "the keeper that status names"
}

holds_no_terminal() {
	local pid fd
	pid=$(keeper_pids work)
	for fd in 0 1; do
		eq "$(readlink "/proc/$pid/fd/$fd")" /dev/null "descriptor $fd"
	done
	lacks "$(find "/proc/$pid/fd" -printf '%l\n')" '^pipe:.*(out|err)$|/dev/(pts|tty)'
	eq "$(readlink "/proc/$pid/cwd")" / "working directory"
}

comes_back() {
	local old
	old=$(keeper_pids work)
	kill -9 "$old"
	eq "$(vms exec work -- echo still here)" "still here"
	eq "$(keeper_pids work | wc -l)" 1 "keepers"
	[ "$(keeper_pids work)" != "$old" ] || fail "kill did nothing"
	eq "$(domain_state work)" running
}

many_at_once_make_one() {
	kill -9 "$(keeper_pids work)"
	for _ in 1 2 3 4; do
		vms exec work -- true &
	done
	wait
	eq "$(keeper_pids work | wc -l)" 1 "keepers"
}

console_log_is_bounded() {
	in_guest work 'yes "a line that the guest repeats" | head -c 700000 | sudo tee /dev/ttyS0 >/dev/null; echo end of flood | sudo tee /dev/ttyS0 >/dev/null'
	sleep 2
	[ "$(log_size)" -le $((256 * 1024)) ] || fail "the log has $(log_size) bytes"
	contains "$(vms logs work -n 5)" 'end of flood'
}

console_log_is_escaped() {
	# shellcheck disable=SC2016
	in_guest work 'printf "\033]52;c;ZXZpbA==\a\033[2Jevil\302\233title\n" | sudo tee /dev/ttyS0 >/dev/null'
	sleep 2
	contains "$(vms logs work -n 5)" 'evil'
	if vms logs work -n 5 | LC_ALL=C grep -qE "$(printf '[\001-\010\013-\037\177]|\302[\200-\237]')"; then
		fail "control characters of the guest reach the terminal"
	fi
}

ends_with_a_stop() {
	vms stop work
	eq "$(keeper_pids work)" "" "keeper"
	eq "$(pgrep -u "$TEST_USER" -f "$STATE/work/")" "" "other processes"
}

ends_with_the_machine() {
	local tries=0
	vms start work
	root_virsh destroy "$(object work)" >/dev/null
	until [ -z "$(keeper_pids work)" ]; do
		tries=$((tries + 1))
		[ "$tries" -le 50 ] || fail "the keeper is still there after 10 s"
		sleep 0.2
	done
}

t "one keeper, which status names" one_keeper
t "it keeps nothing of its caller's open" holds_no_terminal
t "killed, it is started again by the next command" comes_back
t "several commands at once start one keeper" many_at_once_make_one
t "the console log is bounded" console_log_is_bounded
t "the console log is escaped" console_log_is_escaped
t "it ends when the machine is stopped" ends_with_a_stop
t "it ends when the machine ends by other means" ends_with_the_machine
finish
