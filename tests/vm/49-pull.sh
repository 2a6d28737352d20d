#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Commits that are made in a machine come to the host as objects and refs, and as nothing else; a guest that lies, floods or plants gets
# nothing in. In the guest a copy lies over the share, so that its repository is another one than the host's.
# in turns
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

PROJECT=$TEST_HOME/project
MARKER=$TEST_HOME/marker

host_git() {
	as_user git -C "$PROJECT" "$@"
}

# All of the repository and its tree but what a pull may write.
host_digest() {
	as_user sh -c 'cd ~/project && find . -path ./.git/objects -prune -o -path ./.git/refs/vms -prune -o -type f -printf "%p %m %T@\n" \
		-exec sha256sum {} + | sort | sha256sum'
}

refs() {
	host_git for-each-ref --format='%(refname) %(objectname)' refs/vms
}

make_project() {
	as_user sh -c 'rm -rf ~/project ~/marker && mkdir -p ~/project && cd ~/project && git init -q -b main && git config user.name H &&
		git config user.email h@h.example && echo 1 >file && git add file && git commit -q -m one'
	as_user test -d "$PROJECT/.git"
}

guest_copy() {
	in_guest pulled 'cp -a project copy && sudo mount --bind copy project && git config --global user.name G &&
		git config --global user.email g@g.example && git -C project status --short'
}

make_project || exit 1
need_image
as_user vms create pulled --share "$PROJECT:~/project,mode=rw" >"$T/create.out" 2>&1 || cat "$T/create.out"
need_running pulled
guest_copy >"$T/copy.out" 2>&1 || sed 's/^/# /' "$T/copy.out"

nothing_new() {
	contains "$(vms pull pulled 2>&1)" 'no commits'
	eq "$(refs)" ""
	status 3 vms pull pulled nosuch
	status 3 vms pull pulled project/nosuch
	status 2 vms pull pulled project/../x
	status 3 vms pull nosuch
}

dry_run() {
	local before out
	in_guest pulled "cd project && echo 2 >file && printf 'x\n' >.envrc && git add . && git commit -q -m 'second one' &&
		git checkout -q -b feature/x && echo 3 >more && git add more && git commit -q -m \$'a\033]0;b'"
	before=$(as_user sh -c 'find ~/project -printf "%p %s %T@\n" | sort | sha256sum')
	out=$(vms pull --dry-run pulled)
	contains "$out" 'refs/vms/pulled/feature/x'
	contains "$out" 'second one'
	contains "$out" '2 commits, 3 files'
	contains "$out" '\.envrc: runs without asking'
	lacks "$out" $'\033'
	eq "$(as_user sh -c 'find ~/project -printf "%p %s %T@\n" | sort | sha256sum')" "$before" "the project"
}

commits_come() {
	local before data
	before=$(host_digest)
	data=$(vms pull pulled --json)
	eq "$(python3 -c 'import json,sys; d=json.load(sys.stdin); print(d["n_commits"], d["n_files"], d["share"],
		sorted((r["ref"], r["state"]) for r in d["refs"]), [f["path"] for f in d["files"]])' <<<"$data")" \
		"2 3 project [('refs/vms/pulled/feature/x', 'new'), ('refs/vms/pulled/main', 'new')] ['.envrc']"
	eq "$(host_digest)" "$before" "working tree, index, configuration, other refs"
	eq "$(host_git rev-parse vms/pulled/main)" "$(in_guest pulled 'git -C project rev-parse main')"
	eq "$(host_git fsck --strict --no-dangling 2>&1)" ""
	contains "$(vms pull pulled 2>&1)" 'no commits'
	[ ! -e "$STATE/pulled/pull" ] || fail "the quarantine stayed"
}

printed_command_merges() {
	local out
	in_guest pulled "cd project && git checkout -q main && echo 4 >>file && git commit -q -a -m four && git branch \"it's;touch\\\${IFS}marker\""
	out=$(vms pull pulled)
	contains "$out" 'updated'
	as_user bash -c "cd ~ && $(grep -E '^  git .* merge ' <<<"$out" | head -n 1)"
	as_user test ! -e "$MARKER"
	eq "$(as_user tail -n 1 "$PROJECT/file")" 4
	in_guest pulled 'cd project && git checkout -q main && git commit -q --amend -m "four again"'
	contains "$(vms pull pulled)" 'main .*rewritten'
}

# hostile COMMAND-LINE: what the guest's git is now
hostile() {
	in_guest pulled "sudo sh -c 'mv -n /usr/bin/git /usr/bin/git.real; cat >/usr/bin/git; chmod 755 /usr/bin/git' <<'END'
#!/bin/bash
case \"\$1\" in bundle) ;; *) exec /usr/bin/git.real \"\$@\" ;; esac
ID=\$(/usr/bin/git.real rev-parse main)
$1
END"
}

honest() {
	in_guest pulled 'if [ -e /usr/bin/git.real ]; then sudo mv /usr/bin/git.real /usr/bin/git; fi'
}

hostile_git() {
	local before have line begin
	in_guest pulled 'cd project && git checkout -q main && echo 5 >file && git commit -q -a -m five'
	before=$(as_user sh -c 'find ~/project -printf "%p %s %T@\n" | sort | sha256sum')
	while read -r line; do
		hostile "$line"
		have=0
		begin=$SECONDS
		vms pull pulled --max-size 4 >"$T/hostile.out" 2>&1 || have=$?
		cat "$T/hostile.out"
		[ "$have" -eq 1 ] || fail "exit status $have of: $line"
		[ $((SECONDS - begin)) -lt 240 ] || fail "took $((SECONDS - begin)) s: $line"
		lacks "$(cat "$T/hostile.out")" $'\033'
		eq "$(as_user sh -c 'find ~/project -printf "%p %s %T@\n" | sort | sha256sum')" "$before" "the project after: $line"
	done < <(sample 3 <<-'END'
		exit 0
		yes | head -c 1000000
		exec cat /dev/zero
		/usr/bin/git.real "$@" | head -c 250
		printf '\033]0;x\n' >&2; exit 128
		printf '# v2 git bundle\n%s --upload-pack=x\n\n' $ID; head -c 1000 /dev/urandom
		echo '# v2 git bundle'; seq -f "$ID refs/heads/b%.0f" 100000; echo
		printf '# v2 git bundle\n%s refs/heads/../../config\n\n' $ID; printf "$ID\n" | /usr/bin/git.real pack-objects -q --stdout
		printf '# v2 git bundle\n%s refs/heads/x\n\n' $ID; printf "$ID\n" | /usr/bin/git.real pack-objects -q --stdout
	END
	)
	honest
	vms pull pulled >/dev/null
	eq "$(host_git rev-parse vms/pulled/main)" "$(in_guest pulled 'git -C project rev-parse main')"
}

# Through the share itself, which the machine may write: what it leaves in the host's .git does not run, and leads nowhere.
planted() {
	in_guest pulled 'cd project && git checkout -q main && echo 6 >file && git commit -q -a -m six && cd && sudo umount project &&
		cd project/.git && git config core.fsmonitor "touch '"$MARKER"'" && git config core.alternateRefsCommand "touch '"$MARKER"'" &&
		for h in reference-transaction post-merge pre-auto-gc; do printf "#!/bin/sh\ntouch '"$MARKER"'\n" >hooks/$h; chmod 755 hooks/$h; done
		cd && sudo mount --bind copy project'
	as_user grep -q fsmonitor "$PROJECT/.git/config"
	vms pull pulled >/dev/null
	as_user test ! -e "$MARKER"
	eq "$(as_user cat "$PROJECT/.git/refs/vms/pulled/main")" "$(in_guest pulled 'git -C project rev-parse main')"
	in_guest pulled 'git -C project commit -q --allow-empty -m seven && sudo umount project && cd project/.git/refs && rm -rf vms &&
		ln -s '"$TEST_HOME"' vms && cd && sudo mount --bind copy project'
	as_user test -L "$PROJECT/.git/refs/vms"
	status 4 vms pull pulled
	as_user test ! -e "$TEST_HOME/pulled"
}

t "nothing new, and what is not there" nothing_new
t "a dry run lists commits and refs, and changes nothing" dry_run
t "commits come as objects and refs, and nothing else changes" commits_come
t "the printed command merges, whatever a branch is called" printed_command_merges
t "a hostile git in the guest gets nothing in" hostile_git
t "what the machine planted in the host's .git does not run and leads nowhere" planted
vms destroy --yes pulled >/dev/null 2>&1
finish
