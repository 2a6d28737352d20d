#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Runs in the machine of 53-conformance: one suite in one directory. It prints what failed, a line each, and at the end how much ran.
#
#     conformance-suite.sh NAME DIR [WHAT...]     only WHAT, as it printed it before
set -u
here=$(cd "$(dirname "$0")" && pwd)
suite=$1 dir=$2
shift 2
export LC_ALL=C.UTF-8 PYTHONDONTWRITEBYTECODE=1
# of the host: with its libraries
own=(env "LD_LIBRARY_PATH=$here/lib" "PATH=$here/usr/bin:$PATH" "TMPDIR=$dir" timeout)
out=$(mktemp)

# Not those that mostly compute (compileall, gzip, tarfile, zipfile), and none that starts many programs or looks up very many names: with emulation they
# take longer than all others together.
PYTHON_TESTS="test_posix test_fcntl test_mmap test_fileio test_file test_glob test_dbm test_fileinput test_filecmp test_unicode_file
test_unicode_file_functions test_tempfile test_shutil test_mailbox test_pathlib test_os"

# Of the class filesystem: not what makes no files in a directory of its own (bind-mount, binderfs, eventfd, fanotify, ioprio, io,
# procfs, handle, dup), not what no virtiofs of these machines has (chattr, inode-flags, verity, xattr), and not what mostly moves data
# (copy-file, hdd, iomix, sync-file and others) or begins with thousands of files (dirmany, link, symlink).
STRESSORS="access chdir chmod chown dentry dir dirdeep fallocate fcntl filename flock fpunch fstat getdent inotify lease locka lockf
lockofd mknod open rename touch utime"

run_syscalls() {
	timeout 300 "$here/test_syscalls" "$dir" >"$out" 2>&1
	sed -nE 's/^ *[0-9]+ \[([^]]*)\] [^ ]* - (.*)$/\1: \2/p' "$out" | sort -u
	echo "ran $(grep -cE '^ *[0-9]+ \[.*\]' "$out")"
}

run_python() {
	local options=() tests what

	mapfile -t tests < <(if [ $# -gt 0 ]; then printf '%s\n' "$@" | cut -d. -f2 | sort -u; else tr ' ' '\n' <<<"$PYTHON_TESTS"; fi)
	for what in "$@"; do options+=(-m "$what"); done
	"${own[@]}" 2200 python3 -m test -v --timeout 600 -i "*many_open_files*" -i "*Spawn*" --tempdir "$dir" "${options[@]}" "${tests[@]}" >"$out" 2>&1
	sed -nE 's/^(ERROR|FAIL): [^ ]+ \(([^ )]+)\).*/\2/p' "$out" | sort -u
	echo "ran $(awk '/^Ran [0-9]+ tests? in/ { n += $2 } END { print n + 0 }' "$out")"
}

run_stress() {
	local what count=0 status

	[ $# -gt 0 ] || mapfile -t -d ' ' < <(tr -s ' \n' ' ' <<<"$STRESSORS")
	[ $# -gt 0 ] || set -- "${MAPFILE[@]}"
	for what; do
		status=0
		"${own[@]}" 120 stress-ng "--$what" 1 -t 2 --temp-path "$dir" --verify --fallocate-bytes 4m --dirdeep-inodes 200 --dentries 200 >"$out" 2>&1 || status=$?
		# 124: not within its time, which says nothing
		if [ "$status" -eq 124 ]; then
			continue
		elif [ "$status" -ne 0 ]; then
			echo "$what"
		elif ! grep -q skipped "$out"; then
			count=$((count + 1))
		fi
	done
	echo "ran $count"
}

cd "$dir" || exit 1
"run_$suite" "$@"
