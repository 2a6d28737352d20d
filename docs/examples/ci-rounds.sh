#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Runs a project's tests again and again, each time in a machine that is made for them and gone afterwards, and looks whether
# every round came to the same and left nothing on this host.
#
#     ci-rounds.sh [-p PROFILE] [-n ROUNDS] DIRECTORY COMMAND...
#
# PROFILE (ci) lists what the project needs in its [provision]; that is installed once, before the first round. The command runs
# in DIRECTORY, of which a machine sees a copy-on-write view: a round begins with what is on this host, and changes none of it.
# Equal means: the same exit status and the same on stdout. The status is 0 when all rounds ended with 0, equal, and left nothing.
# Left is what throwaway machines are made of: other machines may come and go meanwhile, but no other `vms run` of this user's.
set -euo pipefail

profile=ci rounds=20
while getopts p:n: option; do
	case $option in
	p) profile=$OPTARG ;;
	n) rounds=$OPTARG ;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))
[ $# -ge 2 ] || {
	echo "usage: ci-rounds.sh [-p PROFILE] [-n ROUNDS] DIRECTORY COMMAND..." >&2
	exit 2
}
cd "$1"
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Asks libvirt; who cannot ask cannot say that nothing is left.
ask() {
	virsh -q -c "${VMS_URI:-qemu:///system}" "$@" || {
		echo "ci-rounds.sh: virsh $1 failed: what was left cannot be told" >&2
		return 1
	}
}

# All that throwaway machines of this user are made of, as libvirt and the kernel tell, not as vms does.
everything() {
	local mine all
	mine=vms-$(id -u)-run-
	all=$(ask list --all --name && ask net-list --all --name && ask nwfilter-list && ask vol-list --pool vms && ask secret-list) || return 1
	grep -E "(^|[ .])$mine" <<<"$all" | sort
	find "${XDG_DATA_HOME:-$HOME/.local/share}/vms" -mindepth 1 -maxdepth 1 -name 'run-*' | sort
	# without the number of the process
	pgrep -u "$(id -u)" -fa "sandbox-keeper .*$mine|ssh .*/vms/run-" | sed 's/^[0-9]* //' | sort
	return 0
}

vms image build "$profile"
# kept memory (start=warm) is made by the first machine, and stays
vms run -q -p "$profile" -- true
everything >"$work/before" || exit 1
bad=0
for round in $(seq "$rounds"); do
	begin=${EPOCHREALTIME/[.,]/} status=0
	vms run -q -p "$profile" -s . --discard-changes --timeout 1h -- "$@" >"$work/output.$round" 2>"$work/errors.$round" </dev/null || status=$?
	tenths=$(((${EPOCHREALTIME/[.,]/} - begin) / 100000))
	word=$status
	[ "$status" -eq 0 ] || {
		bad=1
		tail -n 20 "$work/errors.$round" >&2
	}
	cmp -s "$work/output.1" "$work/output.$round" || {
		bad=1 word="$word, other output"
		{ diff "$work/output.1" "$work/output.$round" || true; } | head -n 20 >&2
	}
	everything >"$work/after" || exit 1
	cmp -s "$work/before" "$work/after" || {
		bad=1 word="$word, something left"
		diff "$work/before" "$work/after" >&2 || true
	}
	printf 'round %2d: %4d.%d s, status %s\n' "$round" $((tenths / 10)) $((tenths % 10)) "$word"
done
exit "$bad"
