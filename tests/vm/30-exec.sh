#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# exec, ssh and cp: exit statuses, signals, input, terminals, directories, hostile names.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

need_image
need_running work

exit_statuses() {
	status 0 vms exec work -- true
	status 1 vms exec work -- false
	status 42 vms exec work -- sh -c 'exit 42'
	status 42 vms ssh work -- exit 42
	status 127 vms exec work -- no-such-command
	status 143 vms exec work -- sh -c 'kill -TERM $$'
	status 137 vms exec work -- sh -c 'kill -KILL $$'
	status 125 vms exec no-such-machine -- true
	status 2 vms exec work
}

words_stay_words() {
	# shellcheck disable=SC2016,SC1003
	local hard='a  b $HOME `id` "q" '\''s'\'' \ * ; | & > <'
	eq "$(vms exec work -- printf '%s|' "$hard" '' '-n' $'new\nline')" "$hard||-n|"$'new\nline|'
	eq "$(vms ssh work -- 'echo $((6 * 7))')" 42 "ssh is read by a shell"
	eq "$(vms exec work -e 'A=x y' -- sh -c 'echo "$A"')" "x y" "environment"
}

# Every user of a computer reads the arguments of all processes, on the host as in the guest.
env_is_in_no_arguments() {
	local value="s3cr3t-$RANDOM$RANDOM" run
	# shellcheck disable=SC2016
	local look='cat /proc/[0-9]*/cmdline 2>/dev/null | tr "\0" " "; echo; echo "value: $TOKEN${VMS_ENV-}"; sleep 6'
	echo "$value" >"$T/value"
	chmod 644 "$T/value"
	as_user sh -c "TOKEN=\$(cat '$T/value') exec vms exec work --env TOKEN -- sh -c \"\$0\"" "$look" >"$T/guest" &
	run=$!
	sleep 4
	cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' ' ' >"$T/host"
	wait $run
	contains "$(cat "$T/host")" 'ssh -E.*VMS_ENV'
	lacks "$(cat "$T/host")" "$value"
	eq "$(grep '^value: ' "$T/guest")" "value: $value"
	lacks "$(grep -v '^value: ' "$T/guest")" "$value"
	# shellcheck disable=SC2016
	eq "$(vms exec work -e 'PATH=/usr/bin:/bin' -e 'A_1=$(id)' -- sh -c 'echo "$PATH $A_1"')" '/usr/bin:/bin $(id)'
	status 42 vms exec work -e A=b -- sh -c 'exit 42'
	status 127 vms exec work -e A=b -- no-such-command
	status 143 vms exec work -e A=b -- sh -c 'kill -TERM $$'
}

streams() {
	local big=$T/big
	head -c 5000000 /dev/urandom >"$big"
	chmod 644 "$big"
	eq "$(vms exec work -- sha256sum <"$big")" "$(sha256sum <"$big")" "standard input"
	eq "$(vms exec work -- sh -c 'head -c 5000000 /dev/zero | tr "\0" y' </dev/null | sha256sum)" \
		"$(head -c 5000000 /dev/zero | tr '\0' y | sha256sum)" "standard output"
	eq "$(vms exec work -- sh -c 'echo out; echo err >&2' 2>/dev/null </dev/null)" out "standard output alone"
	eq "$(vms exec work -- sh -c 'echo out; echo err >&2' 2>&1 >/dev/null </dev/null)" err "standard error alone"
	# a reader that goes away must not make it hang
	vms exec work -- sh -c 'yes' </dev/null | head -n 1 >/dev/null
}

directory_maps() {
	as_user mkdir -p "$TEST_HOME/vms/work/some dir"
	cd "$TEST_HOME/vms/work/some dir" || fail "no such directory"
	eq "$(vms exec work -- pwd)" "/home/dev/shared/some dir" "a directory in the share"
	cd "$TEST_HOME/vms" || fail "no such directory"
	eq "$(vms exec work -- pwd)" /home/dev "a directory outside"
	eq "$(vms exec work -C /etc -- pwd)" /etc "--directory"
}

signals_pass() {
	local before=$SECONDS have=0
	as_user timeout --foreground --preserve-status -s INT 4 vms exec work -- sleep 60 || have=$?
	[ "$have" -eq 130 ] || fail "exit status $have after an interrupt"
	[ $((SECONDS - before)) -lt 30 ] || fail "took $((SECONDS - before)) s"
}

terminal() {
	contains "$(as_user script -qec 'vms exec work -- tty' /dev/null)" '/dev/pts/'
	contains "$(as_user script -qec 'vms ssh work -- tty' /dev/null)" '/dev/pts/'
	contains "$(vms exec work -- tty || true)" 'not a tty'
	contains "$(as_user script -qec 'stty rows 33 cols 77; vms exec work -- stty size' /dev/null)" '33 77'
	status 5 as_user script -qec 'vms exec work -- sh -c "exit 5"' /dev/null
}

copies() {
	as_user sh -c 'mkdir -p ~/c/d && echo 1 >~/c/a && echo 2 >"$HOME/c/d/b c"'
	vms cp c work:c-in
	in_guest work 'mkdir -p other && cp -r c-in/* other/'
	vms cp work:other c-out
	as_user diff -r c c-out
	status 4 vms cp work:other/a c-out/a
	echo changed | as_user tee c/a >/dev/null
	vms cp --force c/a work:other/a
	eq "$(in_guest work 'cat other/a')" changed
}

hostile_guest_copies_nothing_out() {
	in_guest work 'rm -rf h; mkdir -p h/links h/dev h/names; ln -s /etc/passwd h/links/l; mkfifo h/dev/f; : >"$(printf "h/names/a\033]0;x")"'
	local kind
	for kind in links dev names; do
		# of a tree with a link that leads out, all else comes
		vms cp "work:h/$kind" "out-$kind" 2>"$T/errors" && [ $kind != links ] && fail "copied $kind"
		[ $kind != links ] || contains "$(cat "$T/errors")" 'left out.*"l"'
		[ -z "$(find "$TEST_HOME/out-$kind" -type l -o -type p -o -name $'*\033*' 2>/dev/null)" ] || fail "$kind came out"
	done
	as_user ln -s "$TEST_HOME/precious" link
	in_guest work 'echo bad >plain'
	vms cp --force work:plain link || true
	[ ! -e "$TEST_HOME/precious" ] || fail "written through a link of the host"
}

guest_key() {
	eq "$(vms key work | cut -d' ' -f1,2)" "$(in_guest work 'cut -d" " -f1,2 ~/.ssh/id_ed25519.pub')" "key"
}

t "exit statuses and signals come through, 125 is ours" exit_statuses
t "words reach the guest as they are" words_stay_words
t "variables reach the command, and stand in no process's arguments" env_is_in_no_arguments
t "input, output and errors are streamed" streams
t "the current directory maps into the guest" directory_maps
t "an interrupt ends the command" signals_pass
t "a terminal when there is one" terminal
t "cp both ways, without overwriting" copies
t "cp takes no links that lead out, pipes or control characters from a guest" hostile_guest_copies_nothing_out
t "vms key is the guest's own key" guest_key
finish
