#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# mode=review: the machine reads the host's directory and writes to a layer on its own disk; the directory stays as it is.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

need_image
PROJECT=$TEST_HOME/reviewed
vms destroy --yes --if-exists review >/dev/null 2>&1
rm -rf "$PROJECT"

# Everything that can be seen of the tree but when it was last read; of its directories' times not the one that the test itself changed.
snapshot() {
	find "$PROJECT" -mindepth 1 -printf '%P %y %m %U:%G %n %s %T@ %C@ %l\n' | sort
	find "$PROJECT" -type f -print0 | sort -z | xargs -0 sha256sum
}

makes_a_project() {
	as_user sh -euc 'umask 022; mkdir "$1"; cd "$1"; mkdir -p src/deep/er "some dir" old locked; echo one >one; echo two >two
		for i in 1 2 3 4 5 6; do echo "file $i" >"src/f$i"; echo "deep $i" >"src/deep/er/f$i"; done
		printf "#!/bin/sh\necho run\n" >run.sh; chmod 755 run.sh; chmod 600 two; chmod 750 "some dir"; chmod 500 locked
		ln -s src/f1 link; ln -s /nowhere dangling; ln one hard; head -c 300000 /dev/urandom >blob; echo x >old/x; chmod 775 .' sh "$PROJECT"
	snapshot >"$T/before"
	vms create review --share "$PROJECT:~/project"
	vms start review
}

# in_project COMMANDS: a script in the share, that ends at the first failing command
in_project() {
	in_guest review "set -eu; cd ~/project; $1"
}

is_an_overlay() {
	eq "$(in_guest review 'findmnt -n -o SOURCE,FSTYPE ~/project | tr -s " "')" "reviewed overlay"
	contains "$(in_guest review 'grep -F " /home/dev/project " /proc/self/mounts')" 'nodev'
	contains "$(in_guest review 'grep -F " /run/vms/lower/" /proc/self/mounts')" '^reviewed /run/vms/lower/reviewed virtiofs ro,'
	contains "$(vms status review)" 'reviewed: .*\(review\)'
}

reads_the_directory() {
	eq "$(in_project 'find . -type f -print0 | sort -z | xargs -0 sha256sum')" \
		"$(cd "$PROJECT" && find . -type f -print0 | sort -z | xargs -0 sha256sum)" "content"
	eq "$(in_project 'find . -printf "%P %y %m %U:%G %s %l\n" | grep -v " d " | sort')" \
		"$(cd "$PROJECT" && find . -printf "%P %y %m %U:%G %s %l\n" | grep -v " d " | sort)" "files"
	eq "$(in_project 'find . -type d -printf "%P %m %U:%G\n" | sort')" \
		"$(cd "$PROJECT" && find . -type d -printf "%P %m %U:%G\n" | sort)" "directories"
	# those who stay on one file system see all of it
	eq "$(in_project 'find . -xdev | wc -l; find . -type d -printf "%D\n" | sort -u | wc -l')" "$(find "$PROJECT" | wc -l)"$'\n'1
}

CHANGES='echo more >>one; echo new >made; : >src/f1; rm src/f2; mv src/f3 src/moved; mv src/deep src/shallow
	chmod 700 src/f4; ln -sf src/f5 link; rm -r old; echo "a file now" >old; rm run.sh; mkdir run.sh; echo in >run.sh/it
	mkdir -p new/a/b; echo ab >new/a/b/c; ln src/f6 src/f6hard; touch -d @1000000 two; printf X | dd of=blob bs=1 seek=1000 conv=notrunc status=none
	sudo chown 0:0 src/f5; sudo mknod src/device c 1 3; sudo sh -c "cp /bin/true src/setuid && chmod 4755 src/setuid"; mv "some dir" "other dir"'
VIEW='find . -printf "%P %y %m %U:%G %l\n" | sort; find . -type f -print0 | sort -z | xargs -0 sudo sha256sum'

changes_stay_in_the_machine() {
	in_project "$CHANGES"
	in_project "$VIEW" >"$T/view"
	contains "$(cat "$T/view")" '^src/shallow/er/f6 f '
	lacks "$(cat "$T/view")" '^(src/deep|old/x|src/f2|src/f3|some dir)'
	eq "$(in_project 'cat one hard src/moved old run.sh/it new/a/b/c; stat -c %Y two; wc -c <src/f1')" \
		"one"$'\n'"more"$'\n'"one"$'\n'"file 3"$'\n'"a file now"$'\n'in$'\n'ab$'\n'1000000$'\n'0
	! in_guest review "cat ~/project/src/device" 2>"$T/err" || fail "a device works in the share"
	snapshot >"$T/after"
	eq "$(diff "$T/before" "$T/after")" "" "what changed on the host"
}

tree_whole_deleted() {
	in_project 'find . -mindepth 1 -maxdepth 1 ! -name one -exec sudo rm -rf {} +; echo again >src; ls -A >/dev/null'
	eq "$(in_project 'ls -A | tr "\n" " "')" "one src " "what is left in the machine"
	snapshot >"$T/after"
	eq "$(diff "$T/before" "$T/after")" "" "what changed on the host"
}

survives_a_reboot() {
	vms restart review
	in_project "$VIEW" >"$T/view2"
	eq "$(diff "$T/view" "$T/view2")" "" "what the machine sees after a restart"
	snapshot >"$T/after"
	eq "$(diff "$T/before" "$T/after")" "" "what changed on the host"
}

recreate_drops_them() {
	vms recreate --yes review
	reads_the_directory
	eq "$(in_project 'cat one')" one
}

# The host's part: whatever root does in the machine, the host's file server does not write.
root_writes_below() {
	in_guest review 'sudo sh -c "mount -o remount,rw /run/vms/lower/reviewed; mkdir -p /mnt/again; mount -t virtiofs -o rw reviewed /mnt/again
		for d in /run/vms/lower/reviewed /mnt/again; do
			echo bad >\$d/bad; echo bad >>\$d/one; rm -f \$d/two; mv \$d/blob \$d/blob2; chmod 777 \$d/src; chown 0:0 \$d/src/f1
			mkdir \$d/baddir; mknod \$d/baddev c 1 3; ln \$d/src/f1 \$d/badlink; ln -s x \$d/badsym; touch \$d/src/f2; truncate -s 0 \$d/src/f3
			setfattr -n user.bad -v 1 \$d/one 2>/dev/null; perl -e \"open(F, q(+<), shift) and print F q(bad)\" \$d/src/f4
		done; umount /mnt/again; mount -o remount,ro /run/vms/lower/reviewed"; true' >"$T/out" 2>&1
	snapshot >"$T/after"
	eq "$(diff "$T/before" "$T/after")" "" "what changed on the host"
}

not_mounted_is_told() {
	in_guest review 'cd /; sudo umount ~/project && sudo rmdir ~/project && touch ~/project && sync'
	vms stop review
	status 1 vms start review 2>"$T/err"
	contains "$(cat "$T/err")" 'not mounted in the machine: "reviewed"'
}

# What the host does, and what the machine then sees, a line each: NAME | ON THE HOST | CONDITION IN THE MACHINE.
# Each condition was looked at, and not true, right before.
# shellcheck disable=SC2016
EDITS='written in place | echo changed >edit/place | read -r l <place && [ "$l" = changed ]
new | echo new >edit/new | read -r l <new && [ "$l" = new ]
new directory | mkdir edit/newdir; echo x >edit/newdir/x | read -r l <newdir/x
renamed over | echo replaced >edit/tmp; mv edit/tmp edit/over | read -r l <over && [ "$l" = replaced ]
deleted | rm edit/gone | LC_ALL=C cat gone 2>&1 | grep -q "No such file"
renamed | mv edit/from edit/to | read -r l <to && LC_ALL=C cat from 2>&1 | grep -q "No such file"
executable | chmod 755 edit/run | [ "$(./run)" = runs ]
directory replaced | mv edit/dir edit/dir.old; mkdir edit/dir; echo new >edit/dir/f | read -r l <dir/f && [ "$l" = new ]
directory deleted | rm -r edit/tree | LC_ALL=C cat tree/deep/f 2>&1 | grep -q "No such file"
file for directory | rm -r edit/swap; echo file >edit/swap | read -r l <swap && [ "$l" = file ]
link moved | ln -sfn new edit/link | [ "$(cat link)" = new ]
another branch | git -C edit/repo checkout -q other | read -r l <repo/both && [ "$l" = other ] && read -r l <repo/only-other/f && LC_ALL=C cat repo/only-main/f 2>&1 | grep -q "No such file"'

# In the machine: says "ready", and "seen" when the condition, a line of its input, has become true.
# shellcheck disable=SC2016
WATCHER='cd ~/project/edit; while read -r condition; do
	if eval "$condition"; then echo "true before: $condition"; exit 1; fi 2>/dev/null
	echo ready; until eval "$condition"; do sleep 0.02; done 2>/dev/null; echo seen
done'

edits_are_seen() {
	local name host guest answer begin msec worst=0
	as_user sh -euc 'cd "$1"; mkdir -p edit/dir edit/tree/deep edit/swap edit/repo; cd edit
		for f in place over gone from dir/f tree/deep/f swap/f; do echo old >"$f"; done; printf "#!/bin/sh\necho runs\n" >run; ln -s place link
		cd repo; git init -q -b main; git config user.name t; git config user.email t@localhost; mkdir only-main; echo main >both; echo m >only-main/f
		git add .; git commit -qm main; git checkout -q -b other; git rm -qr only-main; mkdir only-other; echo other >both; echo o >only-other/f
		git add .; git commit -qm other; git checkout -q main' sh "$PROJECT"
	sleep 5
	coproc GUEST { vms ssh review -- "$WATCHER"; }
	while IFS='|' read -r name host guest; do
		echo "$guest" >&"${GUEST[1]}"
		read -r -t 60 answer <&"${GUEST[0]}" || fail "$name: the machine does not answer"
		eq "$answer" ready "$name"
		sleep 0.3
		as_user sh -euc "cd '$PROJECT'; $host"
		begin=${EPOCHREALTIME/[.,]/}
		read -r -t 30 answer <&"${GUEST[0]}" || fail "$name: not seen after 30 s; $(vms status review | grep edits)"
		msec=$(((${EPOCHREALTIME/[.,]/} - begin) / 1000))
		echo "$name: seen after $msec ms" >>"$T/times"
		[ "$msec" -le "$worst" ] || worst=$msec
	done < <(sample 12 <<<"${EDITS// | /|}")
	eval "exec ${GUEST[1]}>&-"
	cat "$T/times"
	# two seconds, and what an emulated machine on a busy host takes for a look
	[ "$worst" -le 6000 ] || fail "it took $worst ms"
	sleep 2
	eq "$(in_guest review 'cd ~/project/edit; find . -type f ! -path "*/.git/*" -print0 | sort -z | xargs -0 sha256sum 2>&1')" \
		"$(cd "$PROJECT/edit" && find . -type f ! -path "*/.git/*" -print0 | sort -z | xargs -0 sha256sum)" "all of it"
	contains "$(vms status review --json | tr -d ' \n')" '"edits":"watched","edits_reason":"","stale":\[\]'
}

# What is walked through at the moment at which the machine forgets is not forgotten, and nothing tells so: two that never
# rest are mostly there.
read_without_pause() {
	local tries
	as_user sh -euc 'mkdir -p "$1/edit/busy"; echo old >"$1/edit/busy/f"' sh "$PROJECT"
	sleep 3
	in_guest review 'cd ~/project/edit; for i in 1 2; do (while :; do read -r l <busy/f; echo "$l" >/tmp/read$i; done) </dev/null >/dev/null 2>&1 & echo $! >>/tmp/readers; done; sleep 1
		cat /tmp/read1 /tmp/read2' >"$T/read"
	eq "$(sort -u "$T/read")" old "before"
	as_user sh -euc 'cd "$1/edit"; mv busy was; mkdir busy; echo new >busy/f' sh "$PROJECT"
	for ((tries = 0; tries < 120; tries++)); do
		[ "$(in_guest review 'cat /tmp/read1 /tmp/read2' | sort -u)" != new ] || break
		sleep 1
	done
	in_guest review 'kill $(cat /tmp/readers)'
	[ "$tries" -lt 120 ] || fail "not seen by those who read it all the time"
}

# stale: what status says of it
stale() {
	vms status review --json | python3 -c 'import json, sys
for share in json.load(sys.stdin)["machines"][0]["shares"]:
    for one in share["stale"]:
        print(one["path"], one["process"])'
}

held_is_named() {
	local tries
	as_user sh -euc 'cd "$1/edit"; mkdir -p held/in; echo old >held/in/f; echo old >open' sh "$PROJECT"
	sleep 3
	in_guest review 'cd ~/project/edit/held/in && read -r l <f && exec 3<../../open && (setsid sleep 600 >/dev/null 2>&1 & echo $! >/tmp/holder)'
	as_user sh -euc 'cd "$1/edit"; rm -r held; mkdir -p held/in; echo new >held/in/f; echo new >o; mv o open' sh "$PROJECT"
	for ((tries = 0; tries < 20; tries++)); do
		! stale | grep -q 'held/in sleep' || break
		sleep 0.5
	done
	stale >"$T/stale"
	contains "$(cat "$T/stale")" '^/home/dev/project/edit/held/in sleep$'
	contains "$(cat "$T/stale")" '^/home/dev/project/edit/open sleep$'
	contains "$(vms status review)" 'stale +/home/dev/project/edit/open: held by sleep \(pid [0-9]+ there\)'
	# loud, not old
	contains "$(in_guest review 'LC_ALL=C cat ~/project/edit/open 2>&1 || true')" 'Stale file handle|^new$'
	in_guest review 'kill "$(cat /tmp/holder)"'
	for ((tries = 0; tries < 20; tries++)); do
		[ -n "$(stale)" ] || break
		sleep 0.5
	done
	eq "$(stale)" "" "what is stale when nothing holds it"
	eq "$(in_guest review 'cat ~/project/edit/held/in/f ~/project/edit/open')" "new"$'\n'"new"
	rm -rf "$PROJECT/edit"
}

# seen_within SECONDS COMMAND: in the share
seen_within() {
	local end=$((SECONDS + $1))
	until in_project "$2" >"$T/seen" 2>&1; do
		[ "$SECONDS" -lt "$end" ] || fail "not seen: $2: $(cat "$T/seen")"
		sleep 0.5
	done
}

# A directory that the machine has made is no other once the host has it, too: also one that somebody is in, who is named.
own_directories_follow() {
	local tries
	in_project 'mkdir -p own/in used/in; echo m | tee own/in/m >used/in/m
		cd used/in; (setsid sleep 600 >/dev/null 2>&1 & echo $! >/tmp/user)'
	as_user sh -euc 'cd "$1"; mkdir -p own/in used; echo h | tee own/h own/in/h >used/h' sh "$PROJECT"
	seen_within 10 'cat own/h own/in/h own/in/m >/dev/null'
	for ((tries = 0; tries < 20; tries++)); do
		! stale | grep -q 'used sleep' || break
		sleep 0.5
	done
	eq "$(stale)" "/home/dev/project/used sleep" "what is named while somebody is in it"
	in_guest review 'kill "$(cat /tmp/user)"'
	seen_within 10 'cat used/h used/in/m >/dev/null'
	for ((tries = 0; tries < 20; tries++)); do
		[ -n "$(stale)" ] || break
		sleep 0.5
	done
	eq "$(stale)" "" "what is named when nobody is"
	in_project 'rm -r own used'
	rm -rf "$PROJECT/own" "$PROJECT/used"
}

# Objects of both lie in the same directories.
both_commit() {
	as_user sh -euc 'cd "$1"; git init -q -b main both; cd both; git config user.name t; git config user.email t@localhost
		echo 1 >f; git add .; git commit -qm 1; git gc -q' sh "$PROJECT"
	seen_within 10 'cat both/f'
	in_project 'cd both; mkdir /tmp/objects; for i in $(seq 200); do echo "$i" >/tmp/objects/$i; done
		ls -d /tmp/objects/* | git hash-object -w --stdin-paths | wc -l; git checkout -q -b agent; echo 2 >>f; git commit -qam 2' >"$T/objects"
	eq "$(cat "$T/objects")" 200
	as_user sh -euc 'cd "$1/both"; for i in 1 2 3 4 5 6; do echo $i >>h; git add .; git commit -qm "host $i"; done' sh "$PROJECT"
	seen_within 20 'cd both; git fsck --full --no-dangling; [ "$(git rev-list --count main)" = 7 ]; git merge-base main agent'
	in_project 'rm -rf both'
	rm -rf "$PROJECT/both"
}

t "a machine with a share of no mode starts" makes_a_project
passed || finish
t "the share is an overlay over the read-only directory" is_an_overlay
t "the machine reads all that is there, with owners, modes and links" reads_the_directory
t "what it writes, deletes, renames and chmods is in the machine, and not on the host" changes_stay_in_the_machine
if root_virsh dumpxml "$(object review)" | grep -E '<readonly/>|<binary path=' | grep -qvE "path='/usr/lib(/qemu|exec)/virtiofsd'"; then
	t "root cannot write to the directory below the overlay" root_writes_below
fi
t "what the host edits is seen in the machine" edits_are_seen
sed 's/^/# /' "$T/times" 2>/dev/null
t "also by those who read it without a pause" read_without_pause
t "what a process in the machine holds is named" held_is_named
rm -rf "$PROJECT/edit"
t "what the host makes in directories that the machine has made" own_directories_follow
t "both commit to one repository" both_commit
t "it is all there after a restart" survives_a_reboot
if full; then
	t "all of the tree deleted in the machine" tree_whole_deleted
	t "recreate gives the directory as it is on the host" recreate_drops_them
	t "a start says when the overlay is not there" not_mounted_is_told
fi
vms destroy --yes review
rm -rf "$PROJECT"
finish
