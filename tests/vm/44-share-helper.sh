#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The share helper by itself, without a machine: what it refuses, and what whatever it starts can do. In place of virtiofsd it
# starts a program of these tests, which is root's like virtiofsd, and which tries everything that a virtiofsd that a guest has
# taken over could try.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

helper=$VMS_TESTS_PREFIX/sbin/vms-virtiofsd
# only root may write on the way to what the helper starts: not so in /tmp
bin=$(mktemp -d /run/vms-tests.XXXXXX)
chmod 755 "$bin"
home=$T/home
source=$home/shared
door=$home/door
mkdir "$home" && chown "$TEST_USER:" "$home" && chmod 700 "$home"
as_user mkdir "$source"
other_uid=$(id -u "$OTHER_USER" 2>/dev/null || echo 54321)
range=$(awk -F: -v user="$TEST_USER" '$1 == user && $3 >= 65536 { print $2; exit }' /etc/subuid)

cat >"$bin/virtiofsd" <<'DAEMON'
#!/usr/bin/python3
# Started by the helper; runs what the test has put beside it.
import ctypes, errno, os, stat, sys
os.chdir("/mnt")
libc = ctypes.CDLL(None, use_errno=True)

def call(*args):
    """a system call as it is; the name of its error, or ok"""
    got = libc.syscall(*(ctypes.c_long(a) if isinstance(a, int) else ctypes.c_char_p(a) for a in args))
    return "ok" if got >= 0 else errno.errorcode[ctypes.get_errno()]

def tried(function, *args, **more):
    try:
        function(*args, **more)
        return "ok"
    except OSError as problem:
        return errno.errorcode[problem.errno]

exec(open(os.path.dirname(os.path.realpath(__file__)) + "/code.py").read())
DAEMON
chmod 755 "$bin/virtiofsd"

# write_door ACCESS [SOURCE [DAEMON]]: as the library does
write_door() {
	rm -rf "$door"
	as_user mkdir -m 700 "$door"
	as_user sh -c 'umask 077; cat >"$1"' sh "$door/config" <<-EOF
		libsandbox-share 1
		access $1
		options joined
		daemon ${3:-$bin/virtiofsd}
		source ${2:-$source}
	EOF
}

# start ARGUMENTS...: the helper with a socket at 9, as libvirt's daemon starts it; without arguments, with those of libvirt 9.
start() {
	[ $# -gt 0 ] || set -- --fd=9 -o "source=$door,sandbox=namespace,no_xattr"
	python3 -c '
import os, socket, subprocess, sys
ends = socket.socketpair()
os.dup2(ends[0].fileno(), 9)
sys.exit(subprocess.run(sys.argv[1:], pass_fds=[9], timeout=60, stdin=subprocess.DEVNULL).returncode)' "$helper" "$@" 2>&1
}

# code: what the daemon is to do, on standard input
code() {
	cat >"$bin/code.py"
}

# refused PATTERN COMMAND...: the helper starts nothing, and says why
refused() {
	local pattern=$1 out have=0
	shift
	code <<<'print("started")'
	out=$("$@") || have=$?
	eq "$have" 1 "exit status of: $out"
	lacks "$out" '^started'
	contains "$out" "$pattern"
}

starts_the_daemon() {
	write_door rw
	code <<<'print(sys.argv[1:], sorted(os.environ), [f for f in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd/" + f)])'
	eq "$(start)" "['--fd=9', '-o', 'source=/mnt,sandbox=namespace,no_xattr'] ['LC_CTYPE', 'PATH'] ['0', '1', '2', '9']"
	sed -i 's/joined/separate/' "$door/config"
	code <<<'print(sys.argv[1:])'
	eq "$(start)" "['--fd=9', '--shared-dir', '/mnt', '--sandbox', 'namespace']"
	eq "$(start --fd=9 --shared-dir "$door" --sandbox namespace)" "['--fd=9', '--shared-dir', '/mnt', '--sandbox', 'namespace']"
	contains "$("$helper" --print-capabilities)" '"separate-options"'
}

ids_are_the_users() {
	write_door rw
	code <<-'EOF'
		open("of-root", "w").close()
		os.chown("of-root", 0, 0)
		for uid in (UID, 1, 65534):
		    open("of-%d" % uid, "w").close()
		    os.chown("of-%d" % uid, uid, GID if uid == UID else uid)
		print(tried(os.chown, "of-root", 70000000, 0), open("/proc/self/uid_map").read().split()[1] != "0", os.getgroups())
		print(tried(open, "/etc/shadow"), tried(open, "/etc/vms-test", "w"), tried(os.setuid, 70000000))
	EOF
	sed -i "s/GID/$(id -g "$TEST_USER")/; s/UID/$TEST_UID/g" "$bin/code.py"
	eq "$(start)" "EINVAL True []
EACCES EACCES EINVAL"
	eq "$(stat -c '%u:%g' "$source/of-root")" "$range:$range" "root of the guest's"
	eq "$(stat -c '%u' "$source/of-$TEST_UID")" "$TEST_UID" "the user's own"
	eq "$(stat -c '%u' "$source/of-1")" "$((range + 1))" "a system user of the guest's"
	eq "$(stat -c '%u' "$source/of-65534")" "$((range + 65534))" "nobody of the guest's"
	eq "$(find "$source" -uid 0 -o -gid 0)" "" "what belongs to root here"
	rm -f "$source"/of-*
}

# Row 43: by every call that changes something, and by undoing the mount.
read_only_holds() {
	as_user sh -c 'echo kept >"$1/file"; mkdir "$1/dir"' sh "$source"
	write_door ro
	code <<-'EOF'
		fd = os.open("file", os.O_RDONLY)
		print(sorted({
		    tried(open, "new", "w"), tried(open, "file", "a"), tried(os.truncate, "file", 0), tried(os.unlink, "file"),
		    tried(os.rename, "file", "other"), tried(os.link, "file", "other"), tried(os.symlink, "x", "other"), tried(os.mkdir, "new"),
		    tried(os.rmdir, "dir"), tried(os.chmod, "file", 0o777), tried(os.chown, "file", UID, -1), tried(os.utime, "file"),
		    tried(os.mkfifo, "fifo"), tried(os.mknod, "plain"), tried(os.fchmod, fd, 0o777), tried(os.fchown, fd, UID, -1),
		    tried(os.removexattr, "file", "user.a"), tried(os.open, ".", os.O_TMPFILE | os.O_RDWR),
		    tried(os.open, "/proc/self/fd/%d" % fd, os.O_RDWR)}))
		MS_RDONLY, MS_REMOUNT, MS_BIND, NEWNS, NEWUSER = 1, 32, 4096, 0x20000, 0x10000000
		attr = bytes(8) + (1).to_bytes(8, "little") + bytes(16)  # clear MOUNT_ATTR_RDONLY
		print(call(165, b"none", b"/mnt", b"none", MS_REMOUNT | MS_BIND, 0))
		print(libc.unshare(NEWNS), call(165, b"none", b"/mnt", b"none", MS_REMOUNT | MS_BIND, 0), call(166, b"/mnt", 0), call(166, b"/mnt", 2))
		print(call(442, -100, b"/mnt", 0, attr, 32), tried(open, "new", "w"))
		# a copy of the mount somewhere else, and a user namespace in the user namespace
		print(call(165, b"/mnt", b"/tmp", b"none", MS_BIND, 0), call(165, b"none", b"/tmp", b"none", MS_REMOUNT | MS_BIND, 0), tried(open, "/tmp/new", "w"))
		print(libc.unshare(NEWUSER | NEWNS), call(165, b"none", b"/mnt", b"none", MS_REMOUNT | MS_BIND, 0), tried(open, "/mnt/new", "w"))
	EOF
	sed -i "s/UID/$TEST_UID/g" "$bin/code.py"
	eq "$(start)" "['EROFS']
EPERM
0 EPERM EINVAL EINVAL
EPERM EROFS
ok EPERM EROFS
0 EPERM EROFS"
	eq "$(ls "$source")" "dir
file" "what is in the shared directory"
	eq "$(cat "$source/file")" kept "the file"
	rm -r "$source/file" "$source/dir"
}

# Rows 39 and 40: a mode comes to the host by many calls. The numbers are those of x86_64.
set_id_is_refused() {
	write_door rw
	code <<-'EOF'
		for bits in (0o4755, 0o2755, 0o6755):
		    open("plain", "w").close()
		    fd = os.open("plain", os.O_RDONLY)
		    here = os.open(".", os.O_RDONLY)
		    print(call(90, b"plain", bits), call(91, fd, bits), call(268, -100, b"plain", bits), call(268, here, b"plain", bits),
		          call(452, -100, b"plain", bits, 0), call(83, b"dir", bits), call(258, -100, b"dir", bits), call(133, b"node", stat.S_IFREG | bits, 0),
		          call(259, -100, b"node", stat.S_IFREG | bits, 0), call(85, b"made", bits), call(2, b"made", os.O_CREAT | os.O_RDWR, bits),
		          call(257, -100, b"made", os.O_CREAT | os.O_RDWR, bits), call(257, -100, b".", os.O_TMPFILE | os.O_RDWR, bits),
		          call(2, b".", os.O_TMPFILE | os.O_RDWR, bits))
		how = (os.O_CREAT | os.O_RDWR).to_bytes(8, "little") + (0o4755).to_bytes(8, "little") + bytes(8)
		print(call(437, -100, b"made", how, 24), call(425, 8, bytes(120)))
		print(call(188, b"plain", b"security.capability", bytes(20), 20, 0), call(188, b"plain", b"user.a", b"1", 1, 0))
		print(call(90, b"plain", 0o1755), call(268, -100, b"plain", 0o755), call(83, b"dir", 0o755), call(2, b"made", os.O_CREAT | os.O_RDWR, 0o644))
		# system calls of another kind end the process
		pid = os.fork()
		if pid == 0:
		    libc.syscall(ctypes.c_long(0x40000000 | 90), b"plain", ctypes.c_long(0o4755))
		    os._exit(7)
		print(os.WIFSIGNALED(os.waitpid(pid, 0)[1]))
	EOF
	# fchmodat2 came with Linux 6.6: where it is not there, it cannot be used
	eq "$(start | sed 's/ENOSYS/EPERM/')" "$(for _ in 1 2 3; do echo EPERM{,}{,,,,,,} | tr -d '{}'; done)
EPERM ENOSYS
ENOTSUP ENOTSUP
ok ok ok ok
True"
	eq "$(find "$source" -perm /6000)" "" "setuid and setgid files"
	rm -rf "${source:?}"/*
}

# Row 41.
devices_are_refused() {
	write_door rw
	# one that root of the host has left there
	mknod "$source/null" c 1 3
	chmod 666 "$source/null"
	code <<-'EOF'
		print(tried(os.mknod, "c", stat.S_IFCHR | 0o666, os.makedev(1, 3)), tried(os.mknod, "b", stat.S_IFBLK | 0o666, os.makedev(8, 0)))
		print(tried(open, "null"))
	EOF
	eq "$(start)" "EPERM EPERM
EACCES"
	rm -f "$source/null"
}

# What root's own rights would reach, the helper does not.
users_rights_only() {
	local closed=$T/closed
	mkdir -p "$closed/below"
	chown "$TEST_USER" "$closed/below"
	chmod 700 "$closed"
	write_door rw "$closed/below"
	refused 'Permission denied' start
	mkdir "$source/roots" && chmod 777 "$source/roots"
	write_door rw "$source/roots"
	refused 'belongs to uid 0' start
	chown "$other_uid" "$source/roots"
	refused "belongs to uid $other_uid, not to uid $TEST_UID" start
	rm -rf "$source/roots" "$closed"
}

# Row 37: between the check of the library and the start.
swapped_source_is_refused() {
	as_user mkdir "$home/inner" "$home/inner/leaf"
	write_door rw "$home/inner/leaf"
	as_user sh -c 'rmdir "$1/inner/leaf"; ln -s /etc "$1/inner/leaf"' sh "$home"
	refused 'Too many levels of symbolic links' start
	as_user sh -c 'rm "$1/inner/leaf"; rmdir "$1/inner"; mkdir -p "$1/else/leaf"; ln -s else "$1/inner"' sh "$home"
	refused 'Too many levels of symbolic links' start
	as_user rm -r "$home/inner" "$home/else"
	refused 'No such file' start
	as_user touch "$home/file"
	write_door rw "$home/file"
	refused 'Not a directory' start
	rm "$home/file"
}

# Against a user who turns it all the time, whatever is opened is the user's.
races_end_well() {
	local pid out
	as_user mkdir -p "$home/race/a"
	write_door rw "$home/race/b"
	as_user sh -c 'cd "$1"; i=0; while [ $i -lt 3000 ]; do ln -sfn /etc b; rm -f b; mv a b; mv b a; i=$((i + 1)); done' sh "$home/race" 2>/dev/null &
	pid=$!
	code <<<'print("owner", os.stat("/mnt").st_uid)'
	for _ in {1..20}; do
		out=$(start) || :
		contains "$out" "owner $TEST_UID\$|No such file|Too many levels"
	done
	kill "$pid" 2>/dev/null || :
	wait "$pid" 2>/dev/null || :
	# what it started may still be at it
	for _ in {1..100}; do
		! rm -rf "$home/race" 2>/dev/null || return 0
		sleep 0.3
	done
	fail "it does not end"
}

bad_files_are_refused() {
	write_door rw
	chown "$other_uid" "$door/config"
	refused "belongs to uid $other_uid" start
	write_door rw
	for mode in 0666 0640 0604 4600; do
		chmod "$mode" "$door/config"
		refused "has mode $mode" start
	done
	chmod 600 "$door/config"
	for mode in 0755 0750 0777; do
		chmod "$mode" "$door"
		refused "has mode $mode" start
	done
	chmod 700 "$door"
	ln "$door/config" "$door/again"
	refused '2 names' start
	rm "$door/again"
	mv "$door/config" "$door/real"
	ln -s real "$door/config"
	refused 'Too many levels of symbolic links' start
	rm "$door/config"
	as_user mkfifo -m 600 "$door/config"
	refused 'no regular file' start
	rm "$door/config"
	as_user mkdir -m 600 "$door/config"
	refused 'no regular file' start
	rmdir "$door/config"
	refused 'No such file' start
	as_user sh -c 'umask 077; : >"$1"' sh "$door/config"
	refused 'is empty' start
	as_user sh -c 'head -c 5000 /dev/zero >"$1"' sh "$door/config"
	refused 'longer than 4096' start
	write_door rw
	mv "$door" "$home/moved"
	ln -s moved "$door"
	refused 'Too many levels of symbolic links' start
	rm -rf "$door" "$home/moved"
}

# line N REPLACEMENT...: the configuration with line N as it should not be
line() {
	write_door rw
	sed -i "$1c\\$2" "$door/config"
	chown "$TEST_USER:" "$door/config"
	refused "$3" start
}

bad_text_is_refused() {
	line 1 "libsandbox-share 2" 'first line'
	line 2 "access rwx" 'second line'
	line 2 "access " 'second line'
	line 3 "options both" 'third line'
	line 3 "user 0" 'third line'
	line 4 "daemon virtiofsd" 'fourth line'
	line 4 "daemon $bin/../$(basename "$bin")/virtiofsd" 'fourth line'
	line 5 "source /" 'fifth line'
	line 5 "source $source/" 'fifth line'
	line 5 "source /home//x" 'fifth line'
	line 5 "source /home/./x" 'fifth line'
	write_door rw
	echo "uid 0" >>"$door/config"
	refused 'more than five' start
	write_door rw
	truncate -s -1 "$door/config"
	refused 'fifth line' start
	write_door rw
	printf '\0' >>"$door/config"
	refused 'more than five' start
}

# A comma and blanks are no trouble: the real path is on no command line.
odd_names_work() {
	local odd="$home/a, b=c:d é"
	as_user mkdir "$odd"
	write_door rw "$odd"
	code <<<'open("made", "w").close()'
	start
	[ -e "$odd/made" ] || fail "nothing in $odd"
	rm -r "$odd"
}

# The daemon runs with the user's numbers only, but it is root who starts it: so it is one of root's.
only_roots_daemon() {
	as_user cp "$bin/virtiofsd" "$home/virtiofsd"
	write_door rw "$source" "$home/virtiofsd"
	refused 'not root.s alone' start
	ln -s "$bin" "$bin/link"
	write_door rw "$source" "$bin/link/virtiofsd"
	refused 'Too many levels' start
	rm "$bin/link"
	chmod 775 "$bin"
	write_door rw
	refused 'not root.s alone' start
	chmod 755 "$bin"
	chmod 757 "$bin/virtiofsd"
	refused 'not root.s alone' start
	chmod 755 "$bin/virtiofsd"
	rm "$home/virtiofsd"
}

bad_arguments_are_refused() {
	local words
	write_door rw
	while read -r words; do
		# shellcheck disable=SC2086
		refused 'none of the arguments' start $words
	done <<-EOF
		--fd=9
		-o source=$door
		--fd=9 -o source=$door,source=$door
		--fd=9 --fd=9 -o source=$door
		--fd=9 -o source=$door,sandbox=none
		--fd=9 -o source=$door,sandbox=chroot
		--fd=9 -o source=$door,xattr
		--fd=9 -o source=$door,,x
		--fd=9 -o source=$door,
		--fd=9 -o source=
		--fd=9 -o source=door
		--fd=9 -o source=$door/..
		--fd=9 -o source=$door,modcaps=+sys_admin
		--fd=9 --shared-dir $door --sandbox none
		--fd=9 --shared-dir $door --seccomp none
		--fd=9 --shared-dir $door --shared-dir $door
		--fd=9 --shared-dir
		--fd=-1 -o source=$door
		--fd=2 -o source=$door
		--fd=99999 -o source=$door
		--fd=9x -o source=$door
		--socket-path=/tmp/x -o source=$door
		--print-capabilities --fd=9
	EOF
	refused 'no socket' start --fd=10 -o "source=$door"
	have=0
	out=$(as_user "$helper" --fd=0 -o "source=$door" 2>&1) || have=$?
	eq "$have" 1
	have=0
	out=$(as_user "$helper" --fd=9 -o "source=$door" 2>&1) || have=$?
	contains "$out" 'only libvirt'
}

# with_subid TEXT COMMAND...: where /etc/subuid says TEXT. An overlay: a mount on the file itself would go when the host's is replaced.
with_subid() {
	local text=$1
	shift
	rm -rf "${T:?}/etc"
	mkdir "$T/etc"
	export -f start refused code eq lacks contains fail
	export helper door bin
	# shellcheck disable=SC2016
	unshare -m --propagation private bash -c '
		set -e
		mount -t tmpfs tmpfs "$1"
		mkdir "$1/upper" "$1/work"
		printf %b "$2" >"$1/upper/subuid"
		mount -t overlay overlay -o "lowerdir=/etc,upperdir=$1/upper,workdir=$1/work" /etc
		shift 2
		"$@"' bash "$T/etc" "$text" "$@"
}

ranges_are_checked() {
	local text
	write_door rw
	for text in '' "$TEST_USER:0:65536\n" "$TEST_USER:1000:65536\n" "$TEST_USER:65535:65536\n" "$TEST_USER:100000:65535\n" "x$TEST_USER:100000:65536\n" \
		"$TEST_USER:4294901760:65536\n" "$TEST_USER:-1:65536\n" "$TEST_USER:100000\n" "$TEST_USER:100000:65536:1\n" "$TEST_USER:18446744073709651616:65536\n"; do
		with_subid "$text" refused 'has no range' start
	done
	code <<<'print(open("/proc/self/uid_map").readline().split()[1])'
	eq "$(with_subid "$TEST_USER:9:9\n$TEST_USER:1000000:65536" start)" 1000000 "the second of two ranges"
	eq "$(with_subid "$TEST_UID:2000000:65536\n" start)" 2000000 "a range by number"
	code <<<'print("started")'
	have=0
	# shellcheck disable=SC2016
	out=$(with_subid "$TEST_USER:100000:65536\n" bash -c 'chmod 666 /etc/subuid; start') || have=$?
	eq "$have" 1
	contains "$out" 'only root may write'
}

# A machine of root's: its share belongs to somebody else, and stays theirs.
root_shares_nothing_of_its_own() {
	grep -q '^root:' /etc/subuid || return 0
	mkdir -m 700 "$T/roots" "$T/roots/door" "$T/roots/mine"
	printf 'libsandbox-share 1\naccess rw\noptions joined\ndaemon %s\nsource %s\n' "$bin/virtiofsd" "$T/roots/mine" >"$T/roots/door/config"
	chmod 600 "$T/roots/door/config"
	refused 'belongs to uid 0' start --fd=9 -o "source=$T/roots/door"
	rm -r "$T/roots"
}

# What is mounted below is seen, with the same limits; what is mounted later is not.
mounts_below() {
	# shellcheck disable=SC2016
	write_door ro
	as_user mkdir "$source/below"
	code <<<'print(tried(open, "below/new", "w"), tried(open, "below/null"))'
	export -f start
	export helper door source
	# shellcheck disable=SC2016
	eq "$(unshare -m --propagation private bash -c '
		mount -t tmpfs tmpfs "$source/below" && chmod 777 "$source/below" && mknod -m 666 "$source/below/null" c 1 3 && start')" "EROFS EACCES"
	rmdir "$source/below"
}

t "the real program is started with fresh arguments and nothing else" starts_the_daemon
t "39: numbers of the guest's are the user's, or out of the user's range, and never root's" ids_are_the_users
t "43: what is read-only cannot be written, nor made writable, from inside" read_only_holds
t "39, 40, 42: no call makes a setuid or setgid file, or gives one capabilities" set_id_is_refused
t "41: no device can be made, and none that is there works" devices_are_refused
t "what is mounted below the directory has the same limits" mounts_below
t "the directory is opened with the user's rights, and must be the user's" users_rights_only
t "37: a directory that was exchanged for a link is refused" swapped_source_is_refused
t "37: and one that is exchanged all the time" races_end_well
t "a configuration that others could have written is refused" bad_files_are_refused
t "and one that says anything else" bad_text_is_refused
t "47: a name with a comma does no harm" odd_names_work
t "only a daemon of root's is started" only_roots_daemon
t "47: arguments that libvirt has no reason to give are refused" bad_arguments_are_refused
t "ranges that could hold somebody else are refused" ranges_are_checked
t "root's own directories are not shared" root_shares_nothing_of_its_own
rm -rf "$bin"
finish
