#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The way back of a share in mode review: what a machine changed is shown, applied, undone and discarded, and a hostile one gets nothing past it.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

need_image
PROJECT=$TEST_HOME/changed
UPPER=/var/lib/vms/shares/changed/upper
vms destroy --yes --if-exists changes >/dev/null 2>&1
rm -rf "$PROJECT" "$STATE"/saved_changes/changes-*

tree() {
	find "$PROJECT" -mindepth 1 -printf '%P %y %m %l\n' | sort
	(cd "$PROJECT" && find . -type f -print0 | sort -z | xargs -0 sha256sum)
}

in_project() {
	in_guest changes "set -eu; cd ~/project; $1"
}

makes_a_project() {
	as_user sh -euc 'umask 022; mkdir "$1"; cd "$1"; mkdir -p src/deep/er old; printf "one\ntwo\nthree\n" >one; echo two >two
		for i in 1 2 3 4; do echo "file $i" >"src/f$i"; echo "deep $i" >"src/deep/er/f$i"; done; echo x >old/x; echo mine >mine; seq 30 >parts; ln -s one link' sh "$PROJECT"
	vms create changes --share "$PROJECT:~/project"
	status 4 vms diff changes 2>"$T/err"
	contains "$(cat "$T/err")" 'vms start changes'
	echo root >"$PROJECT/src/foreign"
	vms start --timeout 15m changes 2>"$T/err"
	contains "$(cat "$T/err")" 'share "changed": 1 file belongs to others on this host, and to nobody in the machine: src/foreign$'
	contains "$(vms status changes)" 'changed: 1 here belong to others, and to nobody in the machine: src/foreign'
	vms status --json changes | python3 -c 'import json,sys; s=[x for x in json.load(sys.stdin)["machines"][0]["shares"] if x["name"]=="changed"][0]; assert s["foreign"]==["src/foreign"] and s["n_foreign"]==1 and not s["foreign_partly"], s'
	eq "$(in_project 'stat -c %U src/foreign')" nobody "whose it is in the machine"
	eq "$(vms diff changes)" "" "changes of a fresh machine"
}

# An agent's work, and the traps of overlays: renamed directories, opaque ones, links of both kinds, a file of holes, one that is open and gone.
works_in_it() {
	in_project 'sed -i s/two/2/ one; sed -i "s/^2\$/two/; s/^20\$/twenty/" parts; echo new >made; rm src/f2; mv src/deep src/shallow; chmod 755 src/f3; rm -r old; mkdir old; echo y >old/y
		ln src/f4 src/hard; ln -sfn src/f4 link; rm two; mkdir two; echo in >two/it; truncate -s 3000000 holes; echo export A=1 >.envrc
		mkdir .git .vscode; echo "[core]" >.git/config; echo "{}" >.vscode/tasks.json; echo all: >Makefile; mkfifo fifo; ln -s /etc/passwd out
		cp /bin/true suid; chmod 4755 suid; exec 3>ghost; rm ghost; echo gone >&3; flock one true; printf "a\033]0;x\007\n" >esc'
	in_project 'find . \( -name .git -o -name fifo -o -name out -o -name suid \) -prune -o -mindepth 1 -printf "%P %y %m %l\n" | sort' >"$T/view"
	tree >"$T/before"
}

shows_them() {
	vms diff changes --stat >"$T/stat" 2>"$T/err"
	contains "$(sed -n 2p "$T/stat")" '^added +runs .*\.envrc'
	contains "$(cat "$T/stat")" 'modified +plain +\+1 -1 +one +ready'
	contains "$(cat "$T/stat")" 'added +builds .* Makefile'
	contains "$(cat "$T/stat")" 'fifo +refused'
	contains "$(cat "$T/stat")" 'out +refused: it is a link out'
	contains "$(cat "$T/stat")" 'suid +refused: it is setuid'
	lacks "$(cat "$T/stat")" '\.git/config|ghost'
	contains "$(cat "$T/stat")" '^renamed +plain +\+0 -0 +src/shallow +ready: renamed from src/deep'
	contains "$(cat "$T/stat")" '^renamed +plain +\+0 -0 +src/shallow/er/f1 +ready: renamed from src/deep/er/f1'
	lacks "$(cat "$T/stat")" '^deleted .* src/deep'
	contains "$(cat "$T/err")" "directories of git's are left out"
	contains "$(cat "$T/err")" 'vms pull --dry-run changes. lists commits'
	vms diff changes src >"$T/diff" 2>/dev/null
	contains "$(cat "$T/diff")" '^rename from src/deep/er/f1$'
	vms diff changes src/shallow >"$T/diff" 2>/dev/null
	contains "$(cat "$T/diff")" '^\+deep 1$'
	lacks "$(cat "$T/diff")" '^rename'
	vms diff changes one >"$T/diff" 2>/dev/null
	contains "$(cat "$T/diff")" '^-two$'
	contains "$(cat "$T/diff")" '^\+2$'
	vms diff changes --json | python3 -c 'import json,sys; d=json.load(sys.stdin); s=d["shares"][0]; assert s["share"]=="changed" and s["git"]>0 and s["changes"]
by = {c["path"]: c for c in s["changes"]}; assert by["src/deep/er/f1"]["renamed_to"] == "src/shallow/er/f1" and by["src/shallow/er/f1"]["renamed_from"] == "src/deep/er/f1" and by["one"]["renamed_from"] == ""'
	tree >"$T/after"
	eq "$(diff "$T/before" "$T/after")" "" "what a diff changed on the host"
}

# One part of a file, by the answers of somebody at a terminal; the other one stays a change, also when the host edits the file.
takes_parts() {
	printf 'h\ny\n?\nn\n' | as_user script -qec 'vms apply --interactive changes parts' /dev/null >"$T/answers"
	contains "$(cat "$T/answers")" 'Part 2 of 2 of parts\?'
	eq "$(cat "$PROJECT/parts")" "$(seq 30 | sed 's/^2$/two/')" "the part that was taken"
	as_user sed -i 's/^10$/ten/' "$PROJECT/parts"
	contains "$(vms diff changes --stat parts 2>/dev/null)" 'modified +plain +\+1 -1 +parts +merged'
}

applies_them() {
	as_user sh -c 'echo host >>"$1/mine"' sh "$PROJECT"
	in_project 'echo guest >>mine'
	tree >"$T/before"
	status 1 vms apply changes 2>"$T/err"
	contains "$(cat "$T/err")" 'envrc: not applied: this host runs it'
	contains "$(cat "$T/err")" 'out: not applied: it is a link out'
	[ ! -e "$PROJECT/.envrc" ] && [ ! -e "$PROJECT/.vscode/tasks.json" ] && [ ! -e "$PROJECT/.git" ] && [ ! -e "$PROJECT/suid" ] || fail "held back files are there"
	status 1 vms apply changes --include-executable 2>"$T/err2"
	tree | grep -v '^[0-9a-f]\{64\}' >"$T/after"
	eq "$(diff "$T/view" "$T/after")" "" "the host's tree is not the machine's view"
	eq "$(cat "$PROJECT/one" "$PROJECT/two/it" "$PROJECT/link")" "$(printf 'one\n2\nthree\nin\nfile 4\n')"
	eq "$(cat "$PROJECT/parts")" "$(seq 30 | sed 's/^2$/two/; s/^10$/ten/; s/^20$/twenty/')" "what both sides changed"
	eq "$(find "$PROJECT" ! -path "$PROJECT/src/foreign" \( ! -user "$TEST_USER" -o -perm /6000 \))" "" "owners"
	contains "$(vms diff changes --stat 2>/dev/null)" 'modified +plain .*mine +conflict'
	eq "$(vms diff changes --json 2>/dev/null | python3 -c 'import json,sys; print(*sorted(c["path"] for c in json.load(sys.stdin)["shares"][0]["changes"]))')" "fifo mine out suid" "left"
}

undoes_them() {
	vms apply changes --undo
	[ ! -e "$PROJECT/.envrc" ] || fail "the last apply is not undone"
	vms apply changes --include-executable .envrc .vscode
	status 2 vms apply changes --force 2>/dev/null
	vms apply changes --force mine
	eq "$(cat "$PROJECT/mine")" "$(printf 'mine\nhost\nguest\n')"
	vms apply changes --undo
	eq "$(cat "$PROJECT/mine")" "$(printf 'mine\nhost\n')"
}

discards_them() {
	vms discard --yes changes fifo mine out suid
	eq "$(vms diff changes --stat 2>/dev/null)" "" "changes after discard"
	eq "$(in_project 'cat mine; ls -A | tr "\n" " "')" "$(printf 'mine\nhost\n')"$'\n'"$(cd "$PROJECT" && { ls -A; echo .git; } | LC_ALL=C.UTF-8 sort | tr '\n' ' ')"
}

# What git on this host ignores is left out by all three, and counted; what the machine says of it does not matter.
leaves_out_what_git_ignores() {
	as_user sh -euc 'mkdir "$1/web"; cd "$1/web"; git init -q; printf "node_modules/\n*.o\n" >.gitignore; echo 1 >app.js; git add -A' sh "$PROJECT"
	in_project 'until [ -e web/app.js ]; do sleep 0.2; done; cd web; mkdir -p node_modules/.bin node_modules/left-pad; for i in $(seq 50); do echo $i >node_modules/left-pad/$i.js; done
		echo bin >node_modules/.bin/left-pad; echo c >app.o; echo 2 >new.js; echo "*.js" >../.gitignore'
	vms diff changes --stat >"$T/stat" 2>"$T/err"
	eq "$(awk 'NR > 1 { print $5 }' "$T/stat" | sort | tr '\n' ' ')" ".gitignore web/new.js " "changes"
	contains "$(cat "$T/err")" '55 changes that git on this host ignores are left out; --ignored takes them in'
	contains "$(vms diff changes --stat --ignored web/node_modules 2>/dev/null)" 'added +runs .*node_modules/.bin/left-pad'
	vms diff changes --json 2>/dev/null | python3 -c 'import json,sys; s=json.load(sys.stdin)["shares"][0]; assert s["ignored"] == 55 and len(s["changes"]) == 2 and not s["changes"][0]["ignored"], s'
	vms diff changes >/dev/null 2>&1
	vms apply changes web 2>"$T/err"
	contains "$(cat "$T/err")" '55 changes that git on this host ignores'
	eq "$(cat "$PROJECT/web/new.js"; ls -A "$PROJECT/web")" $'2\n.git\n.gitignore\napp.js\nnew.js' "the host's"
	vms discard --yes changes .gitignore
	status 3 vms apply changes web/app.o 2>"$T/err"
	contains "$(cat "$T/err")" 'ignored by git on this host: --ignored'
	# a directory stays that holds some of it
	in_project 'mkdir web/fresh; echo a >web/fresh/a; echo o >web/fresh/b.o'
	vms discard --yes changes web
	eq "$(in_project 'cd web; ls fresh; ls node_modules/left-pad | wc -l')" $'b.o\n50' "what discard left"
	vms apply changes --ignored --unseen web/app.o
	eq "$(cat "$PROJECT/web/app.o")" c
	vms discard --yes --ignored changes web
	eq "$(vms diff changes --ignored --stat 2>/dev/null)" "" "changes after discard"
	rm -rf "$PROJECT/web"
}

# Nobody is asked about a repository that only the machine has, nor about what comes between the question and the answer.
keeps_what_nobody_named() {
	local commit
	in_project 'mkdir sub late; cd sub; git init -q -b main; echo work >work; git add work; git -c user.name=G -c user.email=g@localhost commit -q -m one; echo a >../late/a; echo f >../f'
	commit=$(in_project 'git -C sub rev-parse HEAD')
	vms discard --yes changes sub f 2>"$T/err"
	contains "$(cat "$T/err")" "directories of git's stays in the machine"
	eq "$(in_project 'git -C sub log --format=%s; git -C sub ls-files -d; ls f 2>/dev/null || :')" $'one\nwork' "what discard left"
	{
		for _ in $(seq 120); do ! grep -qs 'Throw away 2 changes' "$T/answers" || break; sleep 1; done
		in_project 'echo b >late/b'
		echo y
	} | as_user script -qec 'vms discard changes late' /dev/null >"$T/answers"
	eq "$(in_project 'ls late')" b
	status 3 vms pull changes changed/sub 2>"$T/err"
	contains "$(cat "$T/err")" 'make an empty one there first: git init'
	as_user git init -q -b main "$PROJECT/sub"
	vms pull changes changed/sub
	eq "$(as_user git -C "$PROJECT/sub" rev-parse refs/vms/changes/main)" "$commit"
	rm -rf "$PROJECT/sub"
	in_project 'rm -rf sub late web'
	eq "$(vms diff changes --stat 2>/dev/null)" "" "changes afterwards"
}

# Each command asks the machine anew: an apply writes what was looked at, and of the rest nothing, however often it is asked.
sends_something_else() {
	in_project 'echo good >looked; echo good >same; ln -s same lnk'
	vms diff changes >"$T/diff" 2>/dev/null
	contains "$(cat "$T/diff")" 'b/looked'
	in_project 'echo evil >looked; echo evil >added; rm -f src/f1; ln -sf looked lnk'
	contains "$(vms apply changes --dry-run 2>/dev/null || :)" '^added same$'
	for _ in 1 2; do
		status 1 vms apply changes 2>"$T/err"
		for path in looked added src/f1 lnk; do contains "$(cat "$T/err")" "$path: not applied: .vms diff. has not shown it as it is now"; done
	done
	eq "$(cat "$PROJECT/same")" good
	[ ! -e "$PROJECT/looked" ] && [ ! -e "$PROJECT/added" ] && [ -e "$PROJECT/src/f1" ] && [ ! -L "$PROJECT/lnk" ] || fail "what was not shown was applied"
	printf 'n\ny\nn\nn\n' | as_user script -qec 'vms apply --interactive changes' /dev/null >"$T/answers"
	eq "$(readlink "$PROJECT/lnk")" looked "what was asked about"
	in_project 'echo third >looked'
	status 1 vms apply changes looked 2>/dev/null
	vms apply --unseen changes looked
	eq "$(cat "$PROJECT/looked")" third
	vms apply changes
	eq "$(cat "$PROJECT/added"; ls "$PROJECT/src/f1" 2>/dev/null || echo gone)" $'evil\ngone'
}

# In place of PROGRAM, what root of the machine runs when it is read: a script with the real one as "$real".
in_place_of() {
	in_guest changes "printf '#!/bin/sh\nreal=/usr/bin/$1\n%s\n' '$2' | sudo tee /usr/local/bin/$1 >/dev/null; sudo chmod 755 /usr/local/bin/$1"
}

unsettled() {
	vms diff changes --json work 2>/dev/null | python3 -c 'import json,sys; print(json.load(sys.stdin)["shares"][0]["unsettled"])'
}

# One file that the user may not read himself stops no look, no apply and no discard of the others.
goes_on_without_the_unreadable() {
	(umask 077 && echo root >"$PROJECT/secret")
	in_project 'until [ -e secret ]; do sleep 0.2; done; rm -f secret; mkfifo pipe; echo other >other; echo more >more'
	vms diff changes >"$T/diff" 2>/dev/null
	contains "$(cat "$T/diff")" "^# refused: this host's own cannot be read"
	contains "$(cat "$T/diff")" '^\+other$'
	contains "$(vms diff changes --stat 2>/dev/null)" 'deleted .* secret +refused: this host'
	status 1 vms apply changes secret other 2>"$T/err"
	contains "$(cat "$T/err")" "secret: not applied: this host's own cannot be read"
	eq "$(cat "$PROJECT/secret" "$PROJECT/other")" $'root\nother'
	status 1 vms discard --yes changes 2>"$T/err"
	contains "$(cat "$T/err")" '"secret" stays, and so does all else that you may not read'
	eq "$(in_project 'ls more pipe 2>/dev/null || :')" "" "what was discarded with it"
	rm "$PROJECT/secret"
	eq "$(vms diff changes --stat 2>/dev/null)" "" "changes afterwards"
}

# Files come, go and move while the machine is read: what was read is shown, and that it was at work is said.
reads_one_at_work() {
	in_project 'mkdir work; cd work; head -c 30000000 /dev/urandom >a; mkdir z; seq 500 | while read -r i; do echo "$i" >"z/$i"; done'
	# as soon as tar has the first file open, the last ones go: what is read is longer than what pipes and sockets hold
	in_guest changes 'sudo setsid sh -c "until ls -l /proc/\$(pgrep -x tar)/fd 2>/dev/null | grep -q work/a; do :; done; rm -rf /home/*/project/work/z; touch /tmp/gone" >/dev/null 2>&1 </dev/null &'
	vms diff changes --stat work >"$T/stat" 2>"$T/err"
	in_guest changes 'test -e /tmp/gone'
	contains "$(cat "$T/stat")" 'added .* work/a '
	contains "$(cat "$T/err")" 'files changed while they were read'
	eq "$(unsettled)" False
	# into a directory that has been read by then, unseen by tar; a socket in one that was not there
	in_project 'rm work/a; mkdir work/b work/y; echo moves >work/y/file'
	in_place_of tar '$real "$@"; s=$?; cd /home/*/project/work; mv y/file b/file; mkdir new; perl -MIO::Socket::UNIX -e "IO::Socket::UNIX->new(Local => q(new/s), Listen => 1) or die"; exit $s'
	eq "$(unsettled)" True
	in_guest changes 'sudo rm -r /usr/local/bin/tar ~/project/work/new'
	eq "$(unsettled)" False
	in_place_of find '$real "$@"; echo "find: ./x: No such file or directory" >&2; exit 1'
	eq "$(unsettled)" False
	in_place_of find '$real "$@"; echo "find: ./x: Input/output error" >&2; exit 1'
	status 1 vms diff changes >/dev/null 2>"$T/err"
	contains "$(cat "$T/err")" 'Input/output error'
	in_guest changes 'sudo rm /usr/local/bin/find; rm -rf ~/project/work'
}

# It is saved as far as it holds still, and that it did not is said then, and whenever somebody looks at what was saved.
saves_one_at_work() {
	local saved
	in_project 'echo kept >kept'
	in_place_of tar '$real "$@"; s=$?; cd /home/*/project; echo more >>growing; exit $s'
	vms destroy --yes changes 2>"$T/err"
	saved=$(ls -d "$STATE"/saved_changes/changes-*)
	contains "$(cat "$T/err")" 'it was writing while they were saved'
	contains "$(vms diff --from "$saved" changes kept 2>"$T/err")" '^\+kept$'
	contains "$(cat "$T/err")" 'was writing while these were saved'
	rm -rf "$saved"
}

# Root writes what it likes into the layer itself, and answers in tar's place.
root_lies() {
	tree >"$T/before"
	in_guest changes "sudo sh -euc 'cd $UPPER; mknod dev b 8 0; ln -s ../../../etc/passwd up; echo x >\"\$(printf \"a\\\\033[2Jb\")\"; mkdir .GIT; truncate -s 8T huge; cp /bin/true s; chmod 6755 s'"
	vms diff changes --stat >"$T/stat" 2>/dev/null
	for path in dev up .GIT huge s; do contains "$(cat "$T/stat")" " $path +refused"; done
	lacks "$(cat "$T/stat")" $'\033'
	status 1 vms apply changes --include-executable 2>/dev/null
	for answer in 'exit 0' 'echo garbage; exit 0' 'yes ./x | head -c 3000000' 'exit 7' 'kill -9 $PPID' \
		'printf "%-100s0000644" ../../x; head -c 400 /dev/zero'; do
		in_guest changes "printf '#!/bin/sh\n%s\n' '$answer' | sudo tee /usr/local/bin/tar >/dev/null; sudo chmod 755 /usr/local/bin/tar"
		status 1 vms diff changes >/dev/null 2>"$T/err"
		contains "$(cat "$T/err")" "reading|machine"
	done
	in_guest changes "sudo sh -c 'rm /usr/local/bin/tar; cd $UPPER && rm -rf dev up .GIT huge s a*b'"
	tree >"$T/after"
	eq "$(diff "$T/before" "$T/after")" "" "what changed on the host"
}

t "a machine with a share for review starts, and has changed nothing" makes_a_project
passed || finish
t "an agent works in it" works_in_it
t "diff shows what changed, what this host would run in front, and changes nothing" shows_them
t "apply --interactive takes a part of a file; the rest is merged with what the host changes" takes_parts
t "apply makes the host's tree the machine's view, but for what is held back, refused or in conflict" applies_them
t "undo takes back the last apply; --force takes a named conflict" undoes_them
t "discard shows the machine the host's files again" discards_them
t "what git on this host ignores is left out, and taken in when asked for" leaves_out_what_git_ignores
t "discard leaves a repository that only the machine has, and what came since somebody looked" keeps_what_nobody_named
t "what a machine sends after it was looked at is not applied unasked" sends_something_else
t "what the user may not read on this host is refused, and all else goes on" goes_on_without_the_unreadable
t "a machine at work is read, what goes meanwhile is no error, and that it was at work is said" reads_one_at_work
t "a hostile root's layer and answers: refused, nothing changes on the host" root_lies
t "a machine at work is saved, and that it was at work is said" saves_one_at_work
passed || vms destroy --yes --discard-changes --if-exists changes
rm -rf "$PROJECT"
finish
