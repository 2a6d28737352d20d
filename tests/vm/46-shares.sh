#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Shares against root in the machine, in each mode. What the machine says of its tries is only looked at to see that they were
# made: the host judges, by its own directories.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

need_image
range=$(awk -F: -v user="$TEST_USER" '$1 == user && $3 >= 65536 { print $2; exit }' /etc/subuid)
rw=$TEST_HOME/vms/shares
ro=$TEST_HOME/read-only
aside=$TEST_HOME/aside
as_user rm -rf "$ro" "$aside"
as_user mkdir -p "$ro/dir" "$aside"
as_user sh -c 'echo "of the host" >"$1/file"; echo deep >"$1/dir/deep"; chmod 755 "$1"; echo secret >"$2/secret"' sh "$ro" "$aside"
# as users have them: links out of the directory, and a name with what separates words elsewhere
as_user ln -s "$aside/secret" "$ro/out"
as_user ln -s ../aside/secret "$ro/out-relative"
as_user mkdir "$ro/a, b=c"
# what serves other machines' shares would be counted, too
vms stop --force work >/dev/null 2>&1
vms destroy --yes --if-exists shares >/dev/null 2>&1
vms create shares --profile work --share "$ro:~/docs,mode=ro" >/dev/null
need_running shares

# as_root: a script of the standard input, as root in the machine
as_root() {
	vms ssh shares -- 'sudo sh -s; :'
}

# perl_as_root: the same in perl, which can make any system call
perl_as_root() {
	vms ssh shares -- 'sudo perl -; :'
}

# The whole of a directory as the host sees it, but for times of access.
seen() {
	(cd "$1" && find . -printf '%p %y %m %U:%G %s %l %T@\n' | sort && find . -type f -exec sha256sum {} + | sort)
}

clean_rw() {
	find "$rw" -mindepth 1 -delete
}

servers() {
	pgrep -x -u "$range" virtiofsd
}

# Row 34, and what the helper adds to it: of each of the two processes that serve a share.
servers_are_confined() {
	local pid count=0 inner=0
	for pid in $(servers); do
		count=$((count + 1))
		eq "$(awk '/^Uid:/ { print $2, $3, $4, $5 }' "/proc/$pid/status")" "$range $range $range $range" "whose the process is"
		eq "$(awk '/^Groups:/ { print $2 }' "/proc/$pid/status")" "" "groups"
		eq "$(awk '/^NoNewPrivs:/ { print $2 }' "/proc/$pid/status")" 1 "no_new_privs"
		eq "$(awk '/^Seccomp:/ { print $2 }' "/proc/$pid/status")" 2 "seccomp"
		[ "$(readlink "/proc/$pid/ns/user")" != "$(readlink /proc/self/ns/user)" ] || fail "virtiofsd is in the host's user namespace"
		eq "$(awk '$2 == 0 || $2 < 65536 && $2 != '"$TEST_UID" "/proc/$pid/uid_map")" "" "users of the host that it could be"
		eq "$(awk '$2 == 0 || $2 < 65536 && $2 != '"$(id -g "$TEST_USER")" "/proc/$pid/gid_map")" "" "groups of the host that it could be"
		# the one that serves: its own filter lies over the helper's
		[ -z "$(pgrep -P "$pid")" ] || continue
		inner=$((inner + 1))
		eq "$(awk '/^Seccomp_filters:/ { print $2 }' "/proc/$pid/status")" 2 "filters"
		[ "$(readlink "/proc/$pid/ns/net")" != "$(readlink /proc/self/ns/net)" ] || fail "virtiofsd has the host's network"
		[ ! -e "/proc/$pid/root/etc/passwd" ] || fail "virtiofsd sees the host's files"
		contains "$(awk '$5 == "/" { print $6 }' "/proc/$pid/mountinfo")" 'nosuid,nodev'
	done
	[ "$inner" -eq 2 ] && [ "$count" -ge 2 ] || fail "$count processes of virtiofsd, $inner that serve"
	contains "$(root_virsh dumpxml "$(object shares)")" "<binary path='$VMS_TESTS_PREFIX/sbin/vms-virtiofsd' xattr='off'>"
	contains "$(vms status shares)" 'ro'
}

# Row 43: every call that changes something; and root may try to make the mount another one.
read_only_is_read_only() {
	local before
	before=$(seen "$ro")
	as_root >"$T/tried" 2>&1 <<-'END'
		cd /home/dev/docs || exit 1
		echo "reads: $(cat file) $(cat dir/deep)"
		tries() {
			touch new; echo x >file; echo x >>file; true >file; truncate -s 0 file; dd if=/dev/zero of=file bs=1 count=1 conv=notrunc
			rm -f file; mv file other; mv dir/deep file; ln file hard; ln -s x soft; mkdir made; rmdir dir; rm -rf dir
			chmod 777 file; chmod u+s file; chown 0:0 file; chown dev file; touch -d yesterday file; mkfifo fifo; mknod device b 8 0
			setcap cap_net_raw+ep file; cp /bin/true true; sed -i s/host/guest/ file
		}
		tries
		mount -o remount,rw /home/dev/docs && tries
		# one tag is mounted once only
		cd / && umount /home/dev/docs && mkdir -p /m && mount -t virtiofs -o rw read-only /m && cd /m && tries
		mount -o remount,rw,bind /m; unshare -m sh -c 'mount -o remount,rw /m; touch /m/new'
		mkdir -p /o && mount -t overlay -o lowerdir=/etc,upperdir=/m/dir,workdir=/m overlay /o && touch /o/new
		mount --bind /m /home/dev/docs
		echo "at the end: $(cat /m/file)"
	END
	contains "$(cat "$T/tried")" '^reads: of the host deep'
	contains "$(cat "$T/tried")" '^at the end: of the host'
	[ "$(grep -c 'Read-only file system' "$T/tried")" -gt 50 ] || fail "the tries were not made: $(cat "$T/tried")"
	eq "$(seen "$ro")" "$before" "the directory on the host"
}

# By system calls, on descriptors that were opened for reading.
read_only_by_calls() {
	local before
	before=$(seen "$ro")
	perl_as_root >"$T/tried" 2>&1 <<-'END'
		# x86_64: open(2) ftruncate(77) fallocate(285) fchmod(91) fchown(93) fchmodat2(452) utimensat(280) fsetxattr(190) fremovexattr(199)
		# linkat(265) renameat2(316) openat(257) mmap(9) copy_file_range(326) ioctl(16) open_by_handle_at
		chdir "/m" or die;
		my $dir = call(2, ".", 0, 0);
		my $fd = call(2, "file", 0, 0);
		my $path = call(2, "file", 010000000, 0);
		sub call { my ($number, @rest) = @_; return syscall($number, @rest) }
		sub tried { my $got = shift; print "$_[0] ", $got < 0 ? "refused" : "went through: $got", "\n" }
		my $data = "by the guest";
		for my $f ($fd, $path) {
			tried(call(77, $f, 0), "ftruncate");
			tried(call(285, $f, 0, 0, 4096), "fallocate");
			tried(call(91, $f, 04777), "fchmod");
			tried(call(93, $f, 0, 0), "fchown");
			tried(call(190, $f, "user.a", $data, 5, 0), "fsetxattr");
			tried(call(199, $f, "user.a"), "fremovexattr");
			tried(call(280, $f, 0, pack("q4", 1, 0, 1, 0), 0), "futimens");
			tried(call(1, $f, $data, 5), "write");
			tried(call(18, $f, $data, 5, 0), "pwrite");
			tried(call(257, -100, "/proc/self/fd/$f", 2, 0), "open again");
			tried(call(265, $f, "", $dir, "linked", 0x1000), "linkat");
			tried(call(9, 0, 4096, 3, 1, $f, 0), "mmap");
		}
		tried(call(316, $dir, "file", $dir, "dir", 2), "exchange");
		tried(call(316, $dir, "file", $dir, "white", 4), "whiteout");
		tried(call(257, $dir, ".", 020200002, 0600), "tmpfile");
		my $from = call(2, "/etc/passwd", 0, 0);
		tried(call(326, $from, 0, $fd, 0, 100, 0), "copy_file_range");
		tried(call(40, $fd, $from, 0, 100), "sendfile");
		tried(call(16, $fd, 0x40086602, pack("q", 0x10)), "setflags");
	END
	lacks "$(cat "$T/tried")" 'went through'
	[ "$(grep -c refused "$T/tried")" -eq 30 ] || fail "the tries were not made: $(cat "$T/tried")"
	eq "$(seen "$ro")" "$before" "the directory on the host"
}

# Rows 39 to 42 in the share that may be written.
nothing_of_roots() {
	clean_rw
	as_root >"$T/tried" 2>&1 <<-'END'
		cd /home/dev/shared || exit 1
		cp /bin/busybox shell; chown 0:0 shell; chmod 4755 shell; chmod 2755 shell; chmod u+s shell; chmod g+s shell
		install -m 6755 /bin/true installed; cp -p /usr/bin/sudo sudo; tar -C /usr/bin -cf - sudo passwd | tar -xpf -
		mkdir dir; chmod g+s dir; mkdir -m 2777 other; chmod u+s dir
		mknod b b 8 0; mknod c c 1 3; mknod -m 666 null c 1 3; mknod p p; mkfifo -m 4777 fifo
		setcap cap_setuid+ep shell; setcap cap_net_raw+ep installed
		for id in 0 1 999 65534 70000 100000; do touch "of-$id"; chown "$id:$id" "of-$id"; done
		su dev -c 'touch by-dev; chmod 4755 by-dev; cp /bin/busybox dev-shell; chmod 4755 dev-shell'
		touch by-dev-to-root; chown dev by-dev-to-root; chown 0 by-dev-to-root
	END
	perl_as_root >>"$T/tried" 2>&1 <<-'END'
		chdir "/home/dev/shared";
		sub call { my ($number, @rest) = @_; return syscall($number, @rest) }
		# modes in the call that makes the file; extended attributes; handles to anything
		print call(2, "made-$_", 0102, $_), "\n" for 04755, 02755, 06777;
		print call(257, -100, "tmp", 020200002, 04777), "\n";
		print call(133, "node-$_", 0100000 | $_, 0), "\n" for 04755, 02755;
		print call(133, "device-$_", 060666, 0x800 + $_), "\n" for 0, 1;
		print call(188, "shell", $_, "x" x 20, 20, 0), "\n" for "security.capability", "user.a", "trusted.overlay.opaque", "system.posix_acl_access";
	END
	[ -e "$rw/shell" ] && [ -e "$rw/of-0" ] && [ -e "$rw/by-dev" ] || fail "nothing was made: $(cat "$T/tried")"
	eq "$(grep -cx -- '-1' "$T/tried")" 12 "calls that were refused"
	eq "$(find "$rw" -uid 0 -o -gid 0)" "" "what belongs to root of the host"
	eq "$(find "$rw" -perm /6000)" "" "setuid or setgid files"
	eq "$(find "$rw" -type b -o -type c)" "" "devices"
	eq "$(stat -c %u:%g "$rw/of-0")" "$range:$range" "root's of the guest"
	eq "$(stat -c %u:%g "$rw/of-65534")" "$((range + 65534)):$((range + 65534))" "nobody's of the guest"
	eq "$(stat -c %u:%g "$rw/by-dev")" "$TEST_UID:$(id -g "$TEST_USER")" "the user's"
	# nobody but the user, and numbers of that user's range
	eq "$(find "$rw" ! -uid "$TEST_UID" -printf '%U\n' | awk -v first="$range" '$1 < first || $1 >= first + 65536')" "" "owners"
	if command -v getfattr >/dev/null; then
		eq "$(getfattr -R -h -d -m - "$rw" 2>/dev/null)" "" "extended attributes"
	else
		eq "$(python3 -c 'import os, sys
for d, ds, fs in os.walk(sys.argv[1]):
    for f in ds + fs:
        p = os.path.join(d, f)
        print(*(a for a in os.listxattr(p, follow_symlinks=False) if a != "security.selinux"), end="")' "$rw")" "" "extended attributes"
	fi
}

# Row 35, and the way back in: a link leads somewhere in the machine, or nowhere.
links_stay_inside() {
	clean_rw
	as_root >"$T/tried" 2>&1 <<-'END'
		cd /home/dev/shared
		for target in /etc/hostname ../../../../../../etc/hostname /proc/self/root/etc/hostname; do
			ln -sf $target link; echo "read: $(cat link)"; echo "guest" >>link
		done
		echo "here: $(hostname)"
		ln -sf /nowhere/at/all dangling; echo x >dangling
		# the host's own link, from inside
		cat /home/dev/docs/out /home/dev/docs/out-relative
		cd ..; mkdir -p /home/dev/shared/deep/er; cd /home/dev/shared/deep/er
		ls ../../../.. >/dev/null
		mv /home/dev/shared/deep /home/dev/shared/moved; cat ../../../../aside/secret; ls -a ..
	END
	contains "$(cat "$T/tried")" '^here: shares'
	eq "$(grep -c '^read: shares' "$T/tried")" 3 "links that led into the machine"
	lacks "$(cat "$T/tried")" 'secret$'
	lacks "$(cat /etc/hostname)" 'guest'
	eq "$(cat "$aside/secret")" secret
	[ ! -e /nowhere ] || fail "a file of the host"
}

# A file that is exchanged for a link while somebody goes through it.
races() {
	clean_rw
	as_root >"$T/tried" 2>&1 <<-'END'
		cd /home/dev/shared
		mkdir d e; touch d/hostname
		timeout 8 sh -c 'while :; do mv d x; ln -s /etc d; rm d; mv x d; done' 2>/dev/null &
		timeout 8 sh -c 'while :; do cat d/hostname d/shadow; echo guest >d/hostname; echo guest >d/made; done' 2>/dev/null | sort | uniq -c
		wait
	END
	contains "$(cat "$T/tried")" ' root:'
	eq "$(awk -v host="$(hostname)" -v shadow="$(grep '^root:' /etc/shadow)" '$2 == host || $2 == shadow' "$T/tried")" "" "what it read of the host"
	[ ! -e /etc/made ] || fail "a file of the host"
	lacks "$(cat /etc/hostname)" 'guest'
}

# The user's files are the user's on both sides, whoever writes them.
ids_are_right() {
	clean_rw
	as_user sh -c 'cd "$1"; umask 077; echo mine >mine; mkdir private; echo more >private/more' sh "$rw"
	eq "$(in_guest shares 'cd ~/shared && cat mine private/more && echo there >there && stat -c %U mine')" "mine
more
dev"
	eq "$(as_user cat "$rw/there")" there
	eq "$(stat -c %U "$rw/there")" "$TEST_USER"
	# somebody else's, on the host: seen as nobody's, and not to be changed
	mkdir "$rw/of-root"
	echo root >"$rw/of-root/file"
	chmod 600 "$rw/of-root/file"
	eq "$(in_guest shares 'cd ~/shared/of-root && stat -c %u file; sudo cat file 2>&1; sudo chmod 777 file 2>&1; sudo chown dev file 2>&1; :' | grep -cE '^65534$|denied|not permitted|Invalid argument')" 4 "what root in the machine gets"
	eq "$(stat -c '%u %a' "$rw/of-root/file")" "0 600"
	rm -r "$rw/of-root"
}

# The invoking user deletes what the machine's root has made, with the command that the documentation names.
user_can_delete() {
	local leave=
	clean_rw
	in_guest shares 'cd ~/shared && sudo mkdir -p -m 700 roots/deep && sudo touch roots/deep/file && sudo chmod 000 roots/deep'
	! as_user rm -rf "$rw/roots" 2>/dev/null || fail "there was nothing to do"
	leave=$(sed -n 's/^ *\(unshare --map-root-user --map-auto .*\)$/\1/p' "$VMS_TESTS_TOP/docs/tutorial.md" | head -n 1)
	contains "$leave" 'rm -rf ~/vms/work/DIRECTORY'
	as_user sh -c "${leave/'~/vms/work/DIRECTORY'/$rw/roots}"
	[ ! -e "$rw/roots" ] || fail "it is still there"
}

# A profile that asks for a mode that is not there yet is refused; one that a definition was changed by hand for, too.
others_door_is_refused() {
	local out=0
	vms stop --force shares >/dev/null
	root_virsh dumpxml --inactive "$(object shares)" | sed "s|$STATE/shares/shares/read-only|$ro|" >"$T/changed.xml"
	! cmp -s "$T/changed.xml" <(root_virsh dumpxml --inactive "$(object shares)") || fail "nothing was changed"
	root_virsh define "$T/changed.xml"
	root_virsh net-start "$(object shares)"
	root_virsh start "$(object shares)" >"$T/out" 2>&1 || out=$?
	[ "$out" -ne 0 ] || fail "libvirt started it"
	for _ in $(seq 50); do
		[ -n "$(servers)" ] || break
		sleep 0.2
	done
	eq "$(servers)" "" "what the failed start left running"
	contains "$(grep vms-virtiofsd: /var/log/libvirt/qemu/"$(object shares)"-fs*-virtiofsd.log)" 'vms-virtiofsd: .*mode 0755, not 0700'
	# and ours puts it right
	vms start shares >"$T/out" 2>&1
	contains "$(cat "$T/out")" 'share read-only'
	eq "$(in_guest shares 'cat ~/docs/file')" "of the host"
}

# Without subordinate numbers there is no share, and the message says what to do.
needs_numbers() {
	local have=0
	vms stop --force shares >/dev/null
	mkdir "$T/etc"
	# shellcheck disable=SC2016
	unshare -m --propagation private sh -c '
		mount -t tmpfs tmpfs "$1" && mkdir "$1/upper" "$1/work" && echo nobody:100000:65536 >"$1/upper/subuid" &&
			mount -t overlay overlay -o "lowerdir=/etc,upperdir=$1/upper,workdir=$1/work" /etc && shift && exec "$@"' sh "$T/etc" \
		runuser -u "$TEST_USER" -- env -i HOME="$TEST_HOME" USER="$TEST_USER" PATH="$VMS_TESTS_PREFIX/bin:/usr/bin:/bin" vms start shares >"$T/out" 2>&1 || have=$?
	eq "$have" 5 "exit status"
	contains "$(cat "$T/out")" "usermod --add-subuids [0-9]+-[0-9]+ $TEST_USER"
}

t "34: what serves a share is one of the user's numbers, in namespaces of its own, under two filters" servers_are_confined
t "43: a read-only share stays as it is, whatever root in the machine does" read_only_is_read_only
t "43: nor by a descriptor that it has" read_only_by_calls
t "39-42: nothing that root in the machine makes is root's, setuid, a device, or has attributes" nothing_of_roots
t "35: links lead nowhere out" links_stay_inside
t "35: nor while they are exchanged" races
t "the user's files are the user's on both sides; others' are nobody's" ids_are_right
t "the user can delete all that the machine has made" user_can_delete
t "a definition that names another directory starts nothing" others_door_is_refused
t "without subordinate numbers nothing starts, and the error says what to do" needs_numbers
clean_rw
vms destroy --yes shares >/dev/null 2>&1
as_user rm -rf "$ro" "$aside"
finish
