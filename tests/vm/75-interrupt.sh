#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Ctrl-C at any point leaves a consistent state; two commands on one machine wait for each other.
# in turns
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

need_image
vms destroy --yes --if-exists ctrl >/dev/null 2>&1
vms create ctrl --profile credentials >/dev/null

interrupted_after() {
	local have=0
	as_user timeout --foreground --preserve-status -k 60 -s INT "$1" vms start ctrl || have=$?
	# a machine that was ready before the signal came is ready
	[ "$have" -eq 130 ] || [ "$have:$(domain_state ctrl)" = "0:running" ] || fail "exit status $have, should be 130"
	vms list >/dev/null
	# all or nothing: either it is gone, or a machine that runs and can be used further
	if [ -n "$(remains ctrl)" ]; then
		eq "$(domain_state ctrl)" running "what is left: $(remains ctrl)"
	fi
	vms destroy --yes --if-exists --keep-profile ctrl
	nothing_remains ctrl
}

# timeout(1) sends its signal twice, to the command and to its group: one request, which is undone as any.
timed_out() {
	local have=0
	as_user timeout -k 60 2 vms start ctrl 2>"$T/err" || have=$?
	eq "$have" 124 "exit status of timeout"
	lacks "$(cat "$T/err")" 'without cleaning up'
	nothing_remains ctrl
}

a_terminal_too() {
	# as a person does it: the terminal sends the signal to the whole foreground group
	local have=0
	as_user python3 - <<-'END' || have=$?
		import os, pty, sys, time
		pid, terminal = pty.fork()
		if pid == 0:
		    os.execvp("vms", ["vms", "start", "ctrl"])
		time.sleep(2)
		os.write(terminal, b"\x03")
		try:
		    while os.read(terminal, 1000):
		        pass
		except OSError:
		    pass
		sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
	END
	[ "$have" -eq 130 ] || fail "exit status $have, should be 130"
	vms destroy --yes --if-exists --keep-profile ctrl
	nothing_remains ctrl
}

two_starts() {
	local first second
	vms start ctrl >"$T/1" 2>&1 &
	first=$!
	vms start ctrl >"$T/2" 2>&1 &
	second=$!
	wait "$first" || fail "the first failed: $(cat "$T/1")"
	wait "$second" || fail "the second failed: $(cat "$T/2")"
	contains "$(cat "$T/1" "$T/2")" 'waiting|holds|lock|pid'
	eq "$(keeper_pids ctrl | wc -l)" 1 "keepers"
	eq "$(in_guest ctrl hostname)" ctrl
}

several_names() {
	vms create ctrl2 --profile credentials
	vms start ctrl ctrl2
	eq "$(in_guest ctrl hostname) $(in_guest ctrl2 hostname)" "ctrl ctrl2"
	vms stop ctrl ctrl2
	eq "$(domain_state ctrl) $(domain_state ctrl2)" "shut off shut off"
	vms destroy --yes ctrl ctrl2
	nothing_remains ctrl
	nothing_remains ctrl2
}

for seconds in $(printf '%s\n' 0.1 0.2 0.4 0.6 0.8 1 1.5 2 3 4 5 6 7 8 10 | sample 5); do
	t "Ctrl-C ${seconds} s after start" interrupted_after "$seconds"
done
t "Ctrl-C on a terminal" a_terminal_too
t "timeout's two signals are one request" timed_out
t "two starts of one machine: the second waits" two_starts
t "several names at once" several_names
vms destroy --yes --if-exists ctrl ctrl2 >/dev/null 2>&1
finish
