#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Property, in a real machine: after random work in a share for review, with random edits of the host meanwhile, all is applied; then the
# host's tree is the machine's view, in content, modes and links, and the machine goes on seeing the same. Ten sequences at a time, each
# in a directory of its own; with --full a hundred, and what an overlay is known to trip over. (tests/unit/share/test-overlay.c has
# thousands of them on a local mount.)
# in turns
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

need_image
DIR=$TEST_HOME/model
vms destroy --yes --if-exists --discard-changes model >/dev/null 2>&1
rm -rf "$DIR"

starts() {
	as_user mkdir -p "$DIR" "$PROFILES"
	as_user tee "$PROFILES/model.profile" >/dev/null <<-END
		[profile]
		inherits=ci
		[machine]
		memory=768MiB
		cpus=1
		[share:model]
		source=$DIR
		target=~/model
		mode=review
	END
	vms start model
	vms cp "$VMS_TESTS_TOP/tests/vm/random-work.pl" model:/tmp/random-work.pl
}

works_on_host() {
	as_user perl "$VMS_TESTS_TOP/tests/vm/random-work.pl" "$DIR/$1" "$2" "$3" "$4"
}

works_in_guest() {
	in_guest model "perl /tmp/random-work.pl model/$1 $2 $3 $4"
}

# $1: with modes, or without
VIEW='find . -mindepth 1 -printf "%P %y $(MODE)%l\n" | sort; find . -type f -print0 | sort -z | xargs -0r sha256sum'

view_of_host() {
	(cd "$DIR/$1" && eval "${VIEW/'$(MODE)'/$2}")
}

view_of_guest() {
	in_guest model "cd model/$1 && ${VIEW/'$(MODE)'/$2}"
}

# round NUMBER: ten sequences. In every other round the host edits meanwhile; then it keeps its own permissions where the machine has
# left them, and nothing is renamed or linked there (a file that was copied up is known to be that file by its name alone).
round() {
	local seed=$(((VMS_TESTS_SEED % 100000) * 1000 + $1 * 20)) edits=$(($1 % 2)) i mode='%m ' dirs=()
	[ "$edits" -eq 0 ] || mode=
	echo "seed $seed"
	for i in 0 1 2 3 4 5 6 7 8 9; do
		dirs+=("r$1/$i")
		works_on_host "r$1/$i" $((seed + i)) 25 $((1 - edits))
	done
	settles "r$1"
	for i in "${dirs[@]}"; do works_in_guest "$i" "7$seed${i##*/}" 25 1; done
	if [ "$edits" -eq 1 ]; then
		for i in "${dirs[@]}"; do works_on_host "$i" "9$seed${i##*/}" 5 0; done
		settles "r$1"
		for i in "${dirs[@]}"; do works_in_guest "$i" "8$seed${i##*/}" 12 1; done
	fi
	# links that leave the directory are not part of it
	vms diff --json model model "r$1" >"$T/diff.json"
	python3 - "$T/diff.json" <<-'END' >"$T/refused"
		import json, sys
		for share in json.load(open(sys.argv[1]))["shares"]:
		    for change in share["changes"]:
		        if change["state"] == "refused":
		            print(change["path"])
	END
	[ ! -s "$T/refused" ] || { sed 's/.*/rm -rf "model\/&"/' "$T/refused"; } | vms ssh model -- sh
	view_of_guest "r$1" "$mode" >"$T/machine"
	have=0
	vms apply --include-executable --ignored --unseen --force model model "r$1" >"$T/applied" 2>&1 || have=$?
	view_of_host "r$1" "$mode" >"$T/host"
	diff "$T/machine" "$T/host" || { cat "$T/applied"; fail "the host's tree is not the machine's view"; }
	eq "$have" 0 "status of apply"
	eq "$(vms diff --json model model "r$1" | python3 -c 'import json, sys; print(sum(len(share["changes"]) for share in json.load(sys.stdin)["shares"]))')" 0 "changes afterwards"
	view_of_guest "r$1" "$mode" | diff "$T/machine" -
	rm -rf "${DIR:?}/r$1"
}

# The machine has seen what the host did.
settles() {
	local i
	for i in $(seq 20); do
		[ "$(view_of_guest "$1" '' | sha256sum)" != "$(view_of_guest "$1" '' | sha256sum)" ] || break
		sleep 0.5
	done
	sleep 2
}

# What overlays are known to trip over.
copies_a_large_file_up() {
	as_user truncate -s 2G "$DIR/large"
	as_user sh -c 'echo end >>"$1"' sh "$DIR/large"
	sleep 2
	in_guest model 'cd model; printf begin | dd of=large conv=notrunc status=none; [ "$(head -c 5 large)" = begin ]; [ "$(tail -c 4 large)" = end ]; stat -c %s large' >"$T/out"
	eq "$(cat "$T/out")" $((2 * 1024 * 1024 * 1024 + 4))
	eq "$(head -c 5 "$DIR/large" | tr -d '\0')" "" "the host's"
	vms discard --yes model model large
	as_user rm "$DIR/large"
}

# Open and unlinked, locked by two processes, renamed with what is in it, a hard link that is copied up.
holds_files() {
	as_user sh -euc 'cd "$1"; mkdir held held/dir; echo one >held/open; echo one >held/lock; echo one >held/dir/in; echo one >held/name; ln held/name held/other' sh "$DIR"
	sleep 3
	in_guest model 'set -eu; cd model/held
		exec 3<open 4>>open; rm open; echo two >&4; [ "$(cat <&3)" = "$(printf "one\ntwo")" ]; [ ! -e open ]
		( flock 9; echo locked >state; sleep 3; echo free >state ) 9<>lock & sleep 1; [ "$(cat state)" = locked ]
		! flock -n lock true; flock lock true; [ "$(cat state)" = free ]; wait
		mv dir moved; [ "$(cat moved/in)" = one ]; [ ! -e dir ]; mkdir dir; [ -z "$(ls dir)" ]; echo two >dir/in
		echo more >>name; [ "$(tail -n 1 name)" = more ]'
	vms diff --stat model model held >"$T/out"
	vms apply --unseen --force model model held
	eq "$(cd "$DIR/held" && cat moved/in dir/in && tail -n 1 name && ls)" $'one\ntwo\nmore\ndir\nlock\nmoved\nname\nother\nstate'
}

t "a machine starts with a share for review" starts
passed || finish
t "ten random sequences, and all applied" round 0
t "ten more, while the host edits" round 1
t "files that processes hold, lock, rename, link" holds_files
if full; then
	for n in 2 3 4 5 6 7 8 9; do t "ten random sequences, round $n" round "$n"; done
	t "a file of 2 GiB is copied up" copies_a_large_file_up
fi
vms destroy --yes --discard-changes model >/dev/null 2>&1
finish
