#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A share of mode=guarded against root in a real machine: every way in which a shared directory has been a way out, and the work that must
# go on. The host judges, by its own directory. What the filter does by itself is in 44-guarded-filter.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/vm/guarded-lib.sh
. "$(dirname "$0")/guarded-lib.sh"

need_image
tree=$TEST_HOME/held
vms destroy --yes --if-exists held >/dev/null 2>&1
make_tree "$tree"

starts() {
	vms create held --profile work --share "$tree:~/tree,mode=guarded"
	vms start held
	contains "$(vms status held)" '\(guarded\)'
	contains "$(vms share list held)" 'guarded .*mounted'
}

filter_pid() {
	local pid
	for pid in $(pgrep -fx "share-filter [0-9]+"); do
		if tr '\0' ' ' <"/proc/$(awk '/^PPid/ { print $2 }' "/proc/$pid/status")/cmdline" | grep -q virtiofsd &&
			[ "$(awk '/^State/ { print $2 }' "/proc/$pid/status")" != Z ] && grep -q "$(range_of "$TEST_USER")" "/proc/$pid/uid_map"; then
			echo "$pid"
		fi
	done
}

range_of() {
	awk -F: -v user="$1" '$1 == user && $3 >= 65536 { print $2; exit }' /etc/subuid
}

# attack COMMAND: in the short form a sample of the names; 44-guarded-filter has them all
attack() {
	local every=12
	full && every=0
	vms ssh held -- "cd ~/tree && $1 - $every $VMS_TESTS_SEED" <"$VMS_TESTS_TOP/tests/vm/guarded-attack.pl" >"$T/attack" 2>&1 || :
	contains "$(cat "$T/attack")" '^[0-9]{3,} tries'
	contains "$(cat "$T/attack")" '^Read-only file system: [0-9]{2}'
}

nothing_gets_through() {
	dangers "$tree" >"$T/before"
	[ "$(wc -l <"$T/before")" -gt 60 ] || fail "there is nothing to guard"
	in_guest held 'sudo git config --system safe.directory "*"'
	attack 'sudo perl'
	dangers "$tree" >"$T/after"
	diff "$T/before" "$T/after" || fail "the host's tree has changed"
}

# The same as the user, whose number is the host user's.
nor_as_the_user() {
	attack perl
	dangers "$tree" >"$T/after"
	diff "$T/before" "$T/after" || fail "the host's tree has changed"
}

work_goes_on() {
	eq "$(in_guest held 'cd ~/tree && set -e
		echo new >src/new.c && mv src/new.c src/renamed.c && mkdir -p build/deep && mv build built && echo "all: x" >Makefile
		cat .envrc && cd repo && echo two >two && git add two && git -c core.hooksPath= commit -qm two && git checkout -q -b side && git log --oneline | wc -l')" $'export A=1\n2'
	eq "$(as_user git -C "$tree/repo" log --format=%s side | tr '\n' ' ')" 'two one '
	eq "$(cat "$tree/Makefile")" 'all: x'
	eq "$(stat -c %U "$tree/src/renamed.c")" "$TEST_USER"
	as_user sh -c 'echo "of the host" >"$1/src/main.c"' sh "$tree"
	sleep 2
	eq "$(in_guest held 'cat ~/tree/src/main.c')" "of the host"
}

# By a descriptor that was opened before the host gave the file a guarded name.
old_descriptor() {
	in_guest held '{ cd ~/tree; exec 3>src/open; echo before >&3; touch src/ready; for i in $(seq 600); do [ -e src/go ] || sleep 0.2; done
		if [ -e src/go ]; then echo after >&3; echo $? >src/done; else echo never >src/done; fi; } >/dev/null 2>&1 </dev/null &
		for i in $(seq 200); do [ -e ~/tree/src/ready ] || sleep 0.2; done'
	as_user sh -c 'cd "$1" && mv src/open .envrc.mine && touch src/go' sh "$tree"
	for _ in {1..300}; do [ -e "$tree/src/done" ] || sleep 0.2; done
	eq "$(cat "$tree/src/done")" 1 "the status of writing"
	eq "$(cat "$tree/.envrc.mine")" before
	rm "$tree/.envrc.mine"
}

# By a directory in which it stands and a descriptor, of what the host moves out of the shared directory.
what_is_moved_out() {
	local out=$TEST_HOME/moved-out
	rm -rf "$out" && as_user mkdir "$out"
	in_guest held '{ cd ~/tree; echo before >src/leaves; exec 3>>src/leaves; cd vendor/sub/.git/hooks; touch ~/tree/src/ready2
		for i in $(seq 600); do [ -e ~/tree/src/go2 ] || sleep 0.2; done
		echo evil >post-checkout; echo evil >../config; echo evil >../../new; mkdir made; sudo mkdir made-too; echo after >&3; echo tried >~/tree/src/done2; } >/dev/null 2>&1 </dev/null &
		for i in $(seq 200); do [ -e ~/tree/src/ready2 ] || sleep 0.2; done'
	as_user sh -c 'mv "$1/vendor/sub" "$1/src/leaves" "$2"' sh "$tree" "$out"
	(cd "$out" && find . -printf '%p %m %s %T@\n') | sort >"$T/out-before"
	as_user touch "$tree/src/go2"
	for _ in {1..300}; do [ -e "$tree/src/done2" ] || sleep 0.2; done
	eq "$(cat "$tree/src/done2")" tried
	(cd "$out" && find . -printf '%p %m %s %T@\n') | sort >"$T/out-after"
	diff "$T/out-before" "$T/out-after" || fail "what was moved out has changed"
	rm -rf "$out"
}

killed_filter_is_told_of() {
	local pid
	in_guest held '(cd ~/tree; i=0; while echo $i >src/last.new && mv src/last.new src/last; do i=$((i + 1)); done) >/dev/null 2>&1 </dev/null &'
	for _ in {1..50}; do [ -e "$tree/src/last" ] || sleep 0.2; done
	pid=$(filter_pid)
	[ "$(wc -w <<<"$pid")" -eq 1 ] || fail "filters: $pid"
	kill -9 "$pid"
	sleep 1
	contains "$(cat "$tree/src/last")" '^[0-9]+$'
	contains "$(in_guest held 'ls ~/tree 2>&1; :')" 'not connected'
	contains "$(vms share list held)" 'guarded .*not-mounted'
	eq "$(in_guest held 'echo works')" works
	vms restart held
	contains "$(vms share list held)" 'guarded .* mounted'
	eq "$(in_guest held 'cat ~/tree/Makefile')" 'all: x'
}

t "a machine starts with a guarded share" starts
passed || finish
t "34, 48: root in it brings nothing that the host runs into the directory, in any way" nothing_gets_through
t "nor does its user" nor_as_the_user
t "ordinary work goes on, git commit too, and the host's edits are seen" work_goes_on
t "an old descriptor does not write to what got a guarded name" old_descriptor
t "what the host moves out of the directory is not written to any more" what_is_moved_out
t "a filter that is killed: the share is gone, this is said, and a start brings it back" killed_filter_is_told_of
vms destroy --yes held >/dev/null 2>&1
rm -rf "$tree"
finish
