#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The filter of mode=guarded by itself, without a machine: in place of virtiofsd runs a program of these tests, with all rights of a
# virtiofsd that a guest has taken over before it confined itself.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/vm/guarded-lib.sh
. "$(dirname "$0")/guarded-lib.sh"

helper=$VMS_TESTS_PREFIX/sbin/vms-virtiofsd
bin=$(mktemp -d /run/vms-tests.XXXXXX)
chmod 755 "$bin"
home=$T/home
tree=$home/tree
door=$home/door
mkdir "$home" && chown "$TEST_USER:" "$home" && chmod 755 "$home"
printf '#!/bin/sh\ncd /mnt && exec /bin/sh %s/code 2>&1\n' "$bin" >"$bin/virtiofsd"
cp "$VMS_TESTS_TOP/tests/vm/guarded-attack.pl" "$bin/attack.pl"
chmod 755 "$bin/virtiofsd" "$bin/attack.pl"
as_user mkdir -m 700 "$door"
as_user sh -c 'umask 077; printf "libsandbox-share 1\naccess guarded\noptions joined\ndaemon %s\nsource %s\n" "$1" "$2" >"$3/config"' sh "$bin/virtiofsd" "$tree" "$door"

# inside: a shell script of the standard input, as root of the share's numbers, where virtiofsd would be
inside() {
	cat >"$bin/code"
	chmod 644 "$bin/code"
	# what the code says; of a build with sanitizers the filter complains at its end that nobody may look at it
	python3 -c '
import os, socket, subprocess, sys
ends = socket.socketpair()
os.dup2(ends[0].fileno(), 9)
sys.exit(subprocess.run(sys.argv[1:], pass_fds=[9], timeout=300, stdin=subprocess.DEVNULL).returncode)' \
		"$helper" --fd=9 -o "source=$door,sandbox=namespace,no_xattr" 2>"$T/helper"
}

filters() {
	pgrep -fx "share-filter [0-9]+" | while read -r pid; do
		[ "$(awk '/^State/ { print $2 }' "/proc/$pid/status" 2>/dev/null)" = Z ] || echo "$pid"
	done
}

nothing_gets_through() {
	make_tree "$tree"
	dangers "$tree" >"$T/before"
	[ "$(wc -l <"$T/before")" -gt 60 ] || fail "there is nothing to guard"
	inside >"$T/attack" <<-EOF || :
		export HOME=/nonexistent GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'
		perl $bin/attack.pl
	EOF
	dangers "$tree" >"$T/after"
	diff "$T/before" "$T/after" || fail "the host's tree has changed"
	contains "$(cat "$T/attack")" '^[0-9]{4} tries'
	grep '^done' "$T/attack" | sort | head -n 40
	contains "$(cat "$T/attack")" '^Read-only file system: [0-9]{3}'
}

ordinary_work_works() {
	make_tree "$tree"
	eq "$(inside <<-'EOF'
		export HOME=/nonexistent GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'
		set -e
		umask 022
		echo new >src/new.c && echo more >>src/main.c && mv src/new.c src/renamed.c && ln src/renamed.c src/second && rm src/second
		mkdir -p build/deep && echo x >build/deep/x && mv build built && cp -r built again && rm -r again && ln -s deep/x built/link
		echo "all: x" >Makefile && echo '{"a":1}' >package.json && echo >Dockerfile && mkdir -p .github/workflows && echo >.github/workflows/ci.yml
		truncate -s 100000 big && fallocate -l 200000 big && dd if=/dev/zero of=big bs=1M count=3 conv=notrunc status=none && stat -c %s big
		chmod 755 built/deep/x && touch -d @5 built/deep/x && stat -c '%a %Y' built/deep/x
		# each name that a file is left with is its name
		echo 1 >names && ln names names2 && rm names && echo 2 >>names2 && chmod 700 names2 && ln names2 names3 && ln names2 names4 && ln names2 names5 && rm names2 names3 names4
		echo 3 >>names5 && ln names5 names.lock && rm names.lock && echo 4 >>names5 && ln names5 names6 && mv names6 src/names6 && rm names5 && echo 5 >>src/names6 && tr -d '\n' <src/names6 && rm src/names6 && echo
		cat .envrc editor/.vscode/tasks.json
		cd repo && echo two >two && git add two && git -c core.hooksPath= commit -qm two && git checkout -q -b side && git -c core.hooksPath= commit -q --allow-empty -m three
		git checkout -q main && git -c core.hooksPath= merge -q --ff-only side && git tag v1 && git stash list && git gc -q && git fsck --strict && git log --oneline | wc -l
	EOF
	)" $'3145728\n755 5\n12345\nexport A=1\n{}\n3'
	eq "$(cat "$tree/built/link")" x
	eq "$(as_user git -C "$tree/repo" log --format=%s main | tr '\n' ' ')" 'three two one '
	eq "$(stat -c %s "$tree/big")" 3145728
}

# The host's edits are seen, and what it moves to a guarded place is guarded from then on, also for who has it open.
host_moves_things() {
	make_tree "$tree"
	mkfifo "$T/go"
	chmod 666 "$T/go"
	inside >"$T/out" <<-EOF &
		exec 3>src/open; echo before >&3; echo ready >src/ready
		for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do [ -e src/go ] || sleep 0.2; done
		echo after >&3
		cat src/main.c
		echo x >>.envrc.mine; echo \$?
	EOF
	for _ in {1..50}; do [ -e "$tree/src/ready" ] || sleep 0.1; done
	as_user sh -c 'cd "$1" && mv src/open .envrc.mine && echo edited >src/x && mv src/x src/main.c && touch src/go' sh "$tree"
	wait
	eq "$(cat "$tree/.envrc.mine")" before
	contains "$(cat "$T/out")" '^edited'
	lacks "$(cat "$T/out")" '^0'
}

# What the host moves out of the shared directory is out of reach for writing, also for who stands in it or has it open.
host_moves_things_out() {
	local out=$home/out
	make_tree "$tree"
	rm -rf "$out" && as_user mkdir "$out"
	inside >"$T/out" <<-EOF &
		try() { if eval "\$1" 2>/dev/null; then echo "done: \$1"; else echo refused; fi; }
		attack() {
			for i in \$(seq 150); do [ -e /mnt/src/go ] || sleep 0.2; done
			try 'echo evil >post-checkout'; try 'echo evil >config'; try 'mkdir made'; try 'ln -s /etc link'; try 'mknod node p'; try 'chmod 777 .'; try 'touch -d @5 .'
			try 'mv /mnt/src/main.c .'; try 'ln /mnt/src/other .'; try 'mv pre-commit.sample /mnt/src/x'; try 'rm pre-commit.sample'; try 'rm -r hooks'; try 'mv one two'
		}
		echo other >src/other; echo before >src/open; echo before >src/named
		exec 3>>src/open 4>>src/named 5<src/named
		ln src/open src/opened; rm src/opened
		(cd repo/.git/hooks && attack) & (cd repo && attack) & (cd repo/.git && attack) &
		(cd vendor && try 'echo evil >new') && echo ready >src/ready
		for i in \$(seq 150); do [ -e src/go ] || sleep 0.2; done
		try 'echo after >&3'; try 'echo after >&4'; try 'echo after >/proc/self/fd/5'; try 'chmod 777 /proc/self/fd/5'; try 'truncate -s 1 /proc/self/fd/5'; try 'ln -L /proc/self/fd/5 src/again'
		wait
	EOF
	for _ in {1..100}; do [ -e "$tree/src/ready" ] || sleep 0.1; done
	as_user sh -c 'cd "$1" && mv repo src/open src/named "$2"' sh "$tree" "$out"
	(cd "$out" && find . -type f -exec cksum {} + && find . -printf '%p %m %n %T@ %l\n') | sort >"$T/before"
	as_user touch "$tree/src/go"
	wait
	(cd "$out" && find . -type f -exec cksum {} + && find . -printf '%p %m %n %T@ %l\n') | sort >"$T/after"
	diff "$T/before" "$T/after" || fail "what was moved out has changed"
	eq "$(grep '^done' "$T/out")" "done: echo evil >new"
	[ "$(grep -c '^refused' "$T/out")" -gt 35 ] || fail "not all was tried"
}

# Of a file with a guarded name and another one the machine may remove the other; what it has open of that is the guarded file then.
other_name_goes() {
	make_tree "$tree"
	inside >"$T/out" <<-'EOF'
		exec 3<innocent 4<aliased
		rm innocent aliased
		(echo evil >/proc/self/fd/3) 2>/dev/null && echo wrote
		(echo evil >>/proc/self/fd/4) 2>/dev/null && echo wrote
		truncate -s 0 /proc/self/fd/3 2>/dev/null && echo truncated
		chmod 777 /proc/self/fd/3 2>/dev/null && echo changed
		# a file that has the name by which the kernel knows what was removed
		echo mine >'innocent (deleted)' && echo more >>'innocent (deleted)' && echo mine >'aliased (deleted)'
		(echo evil >>/proc/self/fd/3) 2>/dev/null && echo wrote
		ln -L /proc/self/fd/3 again 2>/dev/null && echo linked
		echo end
	EOF
	eq "$(cat "$T/out")" end
	eq "$(cat "$tree/.npmrc" "$tree/.irbrc")" $'text\ntext'
	eq "$(stat -c '%a %h' "$tree/.npmrc")" '644 1'
	eq "$(cat "$tree/innocent (deleted)")" $'mine\nmore'
}

# Of the file system only what was given is there, and nothing of the filter's.
daemon_is_below() {
	make_tree "$tree"
	inside >"$T/out" <<-'EOF'
		pid=$(pgrep -fx "share-filter $$")
		ls /proc/$pid/root /proc/$pid/cwd /proc/$pid/fd/4/ && echo looked in
		nsenter -t $pid -m true && echo entered
		cat /proc/$pid/mem >/dev/null && echo read
		umount /mnt; umount -l /mnt; umount / 2>/dev/null
		mkdir /tmp/o 2>/dev/null; mount --bind /mnt /tmp; umount -l /mnt; echo x >/mnt/.envrc2 && echo wrote
		unshare -m sh -c 'umount -l /mnt; echo x >/mnt/.envrc2' && echo wrote
		unshare -Urm sh -c 'umount -l /mnt; echo x >/mnt/.envrc2' && echo wrote
		echo x >/mnt/.envrc && echo wrote
		grep -E '^(Cap(Prm|Eff|Bnd|Amb)|NoNewPrivs|Seccomp|Seccomp_filters):' /proc/$pid/status
	EOF
	lacks "$(cat "$T/out")" 'looked in|entered|read$|wrote'
	contains "$(cat "$T/out")" 'CapEff:.00000000000000cb'
	contains "$(cat "$T/out")" 'Seccomp:.2'
	[ ! -e "$tree/.envrc2" ] || fail ".envrc2 is there"
}

goes_with_its_daemon() {
	local before
	make_tree "$tree"
	before=$(filters)
	# what it makes as somebody else must not make it forget
	inside <<<'echo x >src/made; chown 1000 src/made; mkdir src/dir; su -s /bin/sh -c "echo y >src/dir/y" nobody' >/dev/null
	for _ in {1..50}; do [ "$(filters)" != "$before" ] || break; sleep 0.2; done
	eq "$(filters)" "$before" "filters that are left"
	! as_user "$VMS_TESTS_PREFIX/libexec/libsandbox/share-filter" 1 2>"$T/err" || fail "it started"
	contains "$(cat "$T/err")" 'only vms-virtiofsd'
}

# Killed: what is written is there or is not, and everything says so from then on.
killed_filter_is_noticed() {
	local before
	make_tree "$tree"
	before=$(filters)
	inside >"$T/out" <<-'EOF' &
		i=0; while echo $i >src/last.new && mv src/last.new src/last; do i=$((i + 1)); done 2>/dev/null; echo stopped; cat src/main.c || echo gone
	EOF
	for _ in {1..50}; do [ -e "$tree/src/last" ] || sleep 0.1; done
	kill -9 "$(filters | grep -vxF "${before:-none}")"
	wait
	contains "$(cat "$T/out")" 'stopped'
	contains "$(cat "$T/out")" 'not connected|gone'
	contains "$(cat "$tree/src/last")" '^[0-9]+$'
}

# guard TEXT: what this share adds, as the library writes it down; none without TEXT
guard() {
	rm -f "$door/guard"
	[ -z "$1" ] || as_user sh -c 'umask 077; printf "%b" "$1" >"$2/guard"' sh "$1" "$door"
}

own_names_are_guarded() {
	make_tree "$tree"
	as_user mkdir "$tree/sub"
	as_user sh -c 'echo old >"$1/sub/deploy.sh"' sh "$tree"
	guard 'root /srv/tree\nhome /home/x\nguard deploy.sh;ops/run-*\nplace later/hooks\ntarget /srv/tree/absolute\n'
	inside >"$T/out" <<-'EOF' || :
		echo x >deploy.sh; echo x >sub/deploy.sh; echo x >src/Deploy.SH; echo x >>sub/deploy.sh; chmod 777 sub/deploy.sh; rm -f sub/deploy.sh; mv sub/deploy.sh sub/x
		mv src/main.c deploy.sh; ln src/main.c deploy.sh; ln -s src/main.c deploy.sh
		mkdir ops && echo x >ops/run-it; ln -s src new/ops; mkdir new/made && echo x >new/made/run-it && mv new/made new/ops
		mkdir later && mkdir later/hooks; echo x >later/hooks; echo x >absolute; mkdir absolute; ln -s src later2; mv later2 later/hooks
		echo y >ops/free && echo y >later/free && echo y >sub/deploy.txt && cat ops/free later/free sub/deploy.txt
	EOF
	guard ""
	eq "$(cat "$tree/sub/deploy.sh")" old
	for name in deploy.sh src/Deploy.SH ops/run-it new/ops later/hooks absolute; do
		[ ! -e "$tree/$name" ] && [ ! -L "$tree/$name" ] || fail "$name is there"
	done
	eq "$(grep -c '^y$' "$T/out")" 3
}

# Rules that cannot be read, or are anybody's, are no share, and not one with fewer rules.
bad_rules_are_no_share() {
	make_tree "$tree"
	guard 'guard deploy.sh\nnonsense\n'
	inside >"$T/out" <<<'echo x >src/wrote; ls' || :
	[ ! -e "$tree/src/wrote" ] || fail "it was shared"
	guard 'guard deploy.sh\n'
	chmod 644 "$door/guard"
	inside >"$T/out" <<<'echo x >src/wrote' || :
	contains "$(cat "$T/helper")" 'guard has mode 0644'
	chmod 600 "$door/guard" && chown root "$door/guard"
	inside >"$T/out" <<<'echo x >src/wrote' || :
	contains "$(cat "$T/helper")" 'guard belongs to uid 0'
	rm "$door/guard" && as_user ln -s config "$door/guard"
	inside >"$T/out" <<<'echo x >src/wrote' || :
	[ ! -e "$tree/src/wrote" ] || fail "it was shared"
	rm "$door/guard"
}

t "nothing that the host runs is changed or made, in any way" nothing_gets_through
t "all else can be done, git commit too" ordinary_work_works
t "names that a share adds are guarded like those of the table" own_names_are_guarded
t "rules that cannot be read, or are not the user's, are no share" bad_rules_are_no_share
t "what the host moves to a guarded place is guarded at once" host_moves_things
t "what the host moves out of the directory is not written to any more, by nobody in the machine" host_moves_things_out
t "what is left of a file by a guarded name is guarded, also for who has it open by another" other_name_goes
t "a daemon that was taken over has no way around the filter" daemon_is_below
t "the filter ends with its daemon, and starts for nobody else" goes_with_its_daemon
t "a filter that is killed leaves nothing half done, and no share" killed_filter_is_noticed
rm -rf "$bin"
finish
