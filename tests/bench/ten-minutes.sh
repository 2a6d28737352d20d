#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The README's ten minutes, step by step and timed: from a clone to the version of an AI tool in a machine that has the
# current directory for review. Run by hand, as the user who will use it, on a host that `quickstart.sh --host-only` has set
# up (with --quickstart this runs the whole of it, which asks for root).
#
#     tests/bench/ten-minutes.sh [--quickstart] [--fresh] [--use PIECES] [TOOL]
#
# TOOL is the command to be asked for its version (claude). --fresh: everything is installed anew, also what layers have.
# --use: these pieces, such as "node;claude-code", in place of all that agent has (for a host without KVM).
set -euo pipefail

source_dir=$(cd "$(dirname "$0")/../.." && pwd)
quickstart=no fresh='' tool=claude profile=agent pieces=''
while [ $# -gt 0 ]; do
	case $1 in
	--quickstart) quickstart=yes ;;
	--fresh) fresh=--update ;;
	--use)
		pieces=${2:?--use wants pieces}
		profile=ten-minutes-tools
		shift
		;;
	-*)
		echo "usage: ten-minutes.sh [--quickstart] [--fresh] [--use PIECES] [TOOL]" >&2
		exit 2
		;;
	*) tool=$1 ;;
	esac
	shift
done
machine=ten-minutes
profiles=${XDG_CONFIG_HOME:-$HOME/.config}/vms
work=$(mktemp -d)
all=0

finish() {
	vms destroy --yes --if-exists "$machine" >/dev/null 2>&1 || true
	[ "$profile" = agent ] || rm -f "$profiles/$profile.profile"
	rm -rf "$work"
}

# step WHAT COMMAND...: its seconds; what it says goes to stderr
step() {
	local what=$1 begin=${EPOCHREALTIME/[.,]/} tenths
	shift
	"$@" >&2 || {
		printf '%-44s failed\n' "$what"
		exit 1
	}
	tenths=$(((${EPOCHREALTIME/[.,]/} - begin) / 100000))
	all=$((all + tenths))
	printf '%-44s %5d.%d s\n' "$what" $((tenths / 10)) $((tenths % 10))
}

# What is installed, as quickstart.sh does it: the tests are not.
build() {
	local targets
	meson setup --prefix="$work/prefix" --libdir=lib --buildtype=release "$work/build" "$work/clone" || return
	targets=$(meson introspect --targets "$work/build" | python3 -c 'import json, os, sys
for target in json.load(sys.stdin):
    if target["installed"]:
        print(*(os.path.relpath(name, sys.argv[1]) for name in target["filename"]))' "$work/build")
	# shellcheck disable=SC2086 # names without blanks
	ninja -C "$work/build" $targets && meson install --no-rebuild --only-changed -C "$work/build"
}

project() {
	mkdir "$work/project" && cd "$work/project" && git init -q . && echo "a project" >README
}

sees_the_project() {
	# shellcheck disable=SC2088 # the machine's home
	[ "$(vms exec "$machine" -- sh -c 'cat ~/project/README && echo mine >~/project/new')" = "a project" ] && [ ! -e "$work/project/new" ]
}

trap finish EXIT
if [ "$profile" != agent ]; then
	mkdir -p "$profiles"
	chmod 0700 "$profiles"
	printf '[profile]\ninherits=agent\n[provision]\nuse=%s\n' "$pieces" >"$profiles/$profile.profile"
fi
step "clone" git clone -q "$source_dir" "$work/clone"
if [ "$quickstart" = yes ]; then
	step "quickstart.sh" "$work/clone/quickstart.sh"
else
	step "build and install" build
	PATH=$work/prefix/bin:$PATH
	step "the image" vms image build debian-13
fi
# shellcheck disable=SC2086 # one word or none
step "what ${pieces:-agent} provisions" vms image build $fresh "$profile"
step "a project" project
cd "$work/project"
step "a machine with it for review" vms create "$machine" --profile "$profile" --share '.:~/project'
step "its first start" vms start "$machine"
step "the project, from inside" sees_the_project
step "$tool --version" vms exec "$machine" -- "$tool" --version
printf '%-44s %5d.%d s\n' "all of it" $((all / 10)) $((all % 10))
[ "$all" -le 6000 ] || echo "more than ten minutes"
