#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Shares as file systems: suites that others wrote (libfuse's system calls, CPython's file modules, stress-ng's file systems), in one
# machine, on a share of each mode. What fails there has to fail on the share's reference as well: for rw and guarded a virtiofs that
# libvirt has served by virtiofsd as it comes, without any helper; for review the machine's own disk, which its upper layer lies on. What
# is left is named below, each with its reason. Half an hour with emulation: nothing but --full runs it.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

if ! full; then
	echo "1..0"
	exit 0
fi
need_image
HERE=$TEST_HOME/conform
SUITE=$VMS_TESTS_TOP/tests/vm/conformance-suite.sh
vms destroy --yes --if-exists conform >/dev/null 2>&1

# --- what a share fails and its reference does not, by design: expressions for what failed, each with its reason

# known SUITE MODE
known() {
	case $1-$2 in
	syscalls-guarded)
		cat <<-'END'
			symlink: .*Read-only file system # a link with an absolute way leads out of the share
			(mkfifo|socket): .*Operation not permitted # no FIFOs, which hang who reads all that there is, nor sockets
		END
		;;
	python-guarded)
		cat <<-'END'
			.*[.]test_(chmod_follow_symlinks_true|lchown|chown_follow.*) # absolute links
			.*[.]test_filecmp[.].* # makes directories .git and .hg
			.*[.](Pep383Tests|TestUnicodeFiles)[.].* # names that are no UTF-8
		END
		;;
	esac
}

# --- the machine

# The program of libfuse's tests, from Debian's sources.
builds_syscalls() {
	local sources=$T/apt
	mkdir -p "$sources/lists" "$sources/fuse"
	sed 's/^Types: deb$/Types: deb-src/' /etc/apt/sources.list.d/debian.sources >"$sources/debian.sources"
	(cd "$sources/fuse" && for what in update "source --download-only fuse3"; do
		# shellcheck disable=SC2086 # words
		apt-get -q -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$sources" -o Dir::State::lists="$sources/lists" $what
	done)
	tar -C "$sources/fuse" --strip-components=1 -xf "$sources"/fuse/fuse3_*.orig.tar.xz
	echo '#include <errno.h>' >"$sources/fuse/fuse_config.h"
	gcc -O1 -static -w -I"$sources/fuse" -o "$T/test_syscalls" "$sources/fuse/test/test_syscalls.c"
}

# The suites as the host has them installed, with the libraries that they need beside the C library's: installing them in a machine takes
# longer than running them.
gathers_suites() {
	local python
	python=$(basename "$(readlink -f /usr/bin/python3)")
	as_user rm -rf "$HERE"
	mkdir -p "$HERE/suites/usr/bin" "$HERE/suites/usr/lib" "$HERE/suites/lib"
	cp "/usr/bin/$python" /usr/bin/stress-ng "$HERE/suites/usr/bin/"
	ln -s "$python" "$HERE/suites/usr/bin/python3"
	cp -a "/usr/lib/$python" "$HERE/suites/usr/lib/"
	ldd "$HERE"/suites/usr/bin/* "$HERE/suites/usr/lib/$python"/lib-dynload/*.so | awk '/=> \// { print $3 }' | sort -u |
		grep -vE '/(libc|libm|libpthread|libdl|librt|libutil|libresolv)\.so' | xargs cp -Lt "$HERE/suites/lib"
	cp "$T/test_syscalls" "$SUITE" "$HERE/suites/"
	chmod 755 "$HERE/suites/test_syscalls" "$HERE/suites/conformance-suite.sh"
	chown -R "$TEST_USER:" "$HERE"
}

# share MODE: a directory that has, in the lower layer of review, too, what the suites work in
share() {
	as_user sh -c 'for suite in syscalls python stress; do for user in dev root; do mkdir -p "$1/$suite-$user"; done; done' sh "$HERE/$1"
	as_user sh -c 'mkdir -p "$1/lower" && echo text >"$1/lower/file"' sh "$HERE/$1"
	echo "--share=$HERE/$1:~/$1,mode=$1"
}

starts() {
	vms create conform --profile work --share "$HERE/suites:~/suites,mode=ro" "$(share rw)" "$(share review)" "$(share guarded)"
	vms start conform --timeout 20m
	in_guest conform 'mkdir -p disk/syscalls-dev disk/syscalls-root disk/python-dev disk/stress-dev
		cd suites && LD_LIBRARY_PATH=lib usr/bin/stress-ng --version && LD_LIBRARY_PATH=lib usr/bin/python3 --version'
}

# A virtiofs without libsandbox.
plugs_reference() {
	share plain >/dev/null
	cat >"$T/plain.xml" <<-END
		<filesystem type="mount"><driver type="virtiofs"/><source dir="$HERE/plain"/><target dir="plain"/></filesystem>
	END
	root_virsh attach-device "$(object conform)" "$T/plain.xml" --live
	in_guest conform 'mkdir -p plain && for i in 1 2 3 4 5 6 7 8 9 10; do sudo mount -t virtiofs -o nodev plain plain && exit 0; sleep 1; done; exit 1'
	eq "$(in_guest conform 'for dir in plain disk rw guarded review; do findmnt -n -o FSTYPE -T $dir; done' | tr '\n' ' ')" \
		'virtiofs ext4 virtiofs virtiofs overlay '
}

# --- running

reference_of() {
	case $1 in
	review) echo disk ;;
	*) echo plain ;;
	esac
}

# suite NAME DIRECTORY USER [WHAT...]: what failed, and the line "ran N"
suite() {
	local name=$1 dir=$2 user=$3 as=
	shift 3
	[ "$user" = dev ] || as="sudo "
	as_user timeout 2400 vms ssh conform -- "$as/home/dev/suites/conformance-suite.sh $name /home/dev/$dir/$name-$user $*" </dev/null
}

# conforms SUITE MODE USER LEAST: at least LEAST ran, and nothing failed that does not on the reference, nor less than what is known
conforms() {
	local name=$1 mode=$2 user=$3 least=$4 count failed expression
	suite "$name" "$mode" "$user" >"$T/said"
	count=$(sed -n 's/^ran //p' "$T/said")
	echo "$name on $mode as $user: $count ran, $(grep -vc '^ran ' "$T/said") failed"
	[ "${count:-0}" -ge "$least" ] || fail "too little ran"
	grep -v '^ran ' "$T/said" | sort >"$T/failed" || :
	# libfuse's are no names to choose by
	if [ -s "$T/failed" ] && [ "$name" = syscalls ]; then
		suite "$name" "$(reference_of "$mode")" "$user" >"$T/said"
	elif [ -s "$T/failed" ]; then
		mapfile -t failed <"$T/failed"
		suite "$name" "$(reference_of "$mode")" "$user" "${failed[@]}" >"$T/said"
	fi
	[ ! -s "$T/failed" ] || contains "$(cat "$T/said")" '^ran '
	comm -23 "$T/failed" <(grep -v '^ran ' "$T/said" | sort) >"$T/more"
	known "$name" "$mode" | sed 's/ # .*//' >"$T/known"
	while read -r expression; do
		grep -qxE -- "$expression" "$T/more" || fail "no more: $expression"
	done <"$T/known"
	! grep -vxE -f "$T/known" "$T/more" || fail "(not on $(reference_of "$mode"))"
}

# probe MODE: renaming a directory that the host has, an attribute, a file without a name
probe() {
	vms ssh conform -- "cd $1 && perl -" <<-'END'
		my ($file, $name, $value, $dir) = ('lower/file', 'user.a', 'value', '.');
		print rename('lower', 'renamed') ? "renamed\n" : "$!\n";
		system 'mv renamed lower 2>/dev/null; mv lower moved && cat moved/file && mv moved lower';
		print syscall(188, $file, $name, $value, 5, 0) == 0 ? "set\n" : "$!\n";
		print syscall(257, -100, $dir, 020200002, 0600) >= 0 ? "made\n" : "$!\n";
	END
}

# As docs/tutorial.md has it.
differ_as_documented() {
	local mode
	for mode in rw guarded; do
		eq "$(probe $mode)" $'renamed\ntext\nOperation not supported\nOperation not supported' "$mode"
	done
	eq "$(probe review)" $'Invalid cross-device link\ntext\nset\nmade' review
}

goes() {
	vms destroy --yes conform
	rm -rf "$HERE"
}

t "libfuse's test program is built from Debian's sources" builds_syscalls
passed || finish
t "CPython's and stress-ng's suites are gathered" gathers_suites
passed || finish
t "a machine starts with shares of each mode" starts
passed || finish
t "a virtiofs without libsandbox is there to compare with" plugs_reference
passed || finish
for mode in rw review guarded; do
	for user in dev root; do
		t "$mode, as $user: libfuse's system calls" conforms syscalls $mode $user 50
	done
	t "$mode: what CPython tests of files" conforms python $mode dev 500
	t "$mode: what stress-ng tests of file systems" conforms stress $mode dev 20
done
t "where they differ from a disk, they do as the tutorial says" differ_as_documented
t "(it is removed)" goes
finish
