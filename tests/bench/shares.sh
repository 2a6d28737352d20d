#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# shares.sh VMS LIBEXECDIR DOMAINSDIR SOURCEDIR: what work costs in a share, against the same work on the machine's own disk, in one boot: git clone, configure
# and make of a C project, npm install of a package with some three hundred dependencies; and what reading costs in each mode, against
# mode=rw: git status, grep -r, a compile, of a tree of the host's with cold caches.
#
# BENCH_ROUNDS (3): rounds of each, in alternating order; the best one counts. BENCH_NPM (jest@29.7.0): the package; empty: none. BENCH_ONLY: tasks of
# those below, separated by blanks. Needs an ordinary user who may start machines, the image debian-13, for the first run the network
# (its packages are kept as a layer), and npm on this host, which fetches what the machine then installs without the network.
set -euo pipefail

vms=$1
export SANDBOX_LIBEXEC_DIR=$2 SANDBOX_DOMAINS_DIR=$3 SANDBOX_IMAGES_DIR=$3/images
source=$4
rounds=${BENCH_ROUNDS:-3}
npm=${BENCH_NPM-jest@29.7.0}
only=${BENCH_ONLY:-clone build npm status grep compile}
machine=bench-shares
work=

skip() {
	echo "skipped: $*"
	exit 77
}

finish() {
	"$vms" destroy --yes --if-exists --discard-changes "$machine" >/dev/null 2>&1 || true
	[ -z "$work" ] || rm -rf "$work"
}

# fetch: what npm needs, into $work/package; as this host's own npm is set up
fetch() {
	local registry
	registry=$(npm config get registry) || skip "npm is not installed here; BENCH_NPM= goes without"
	mkdir "$work/package"
	(
		cd "$work/package"
		printf '{ "name": "bench", "version": "1.0.0", "private": true }\n' >package.json
		npm install --ignore-scripts --no-audit --no-fund --loglevel=error --omit-lockfile-registry-resolved=false --cache "$work/package/cache" "$npm" >&2
		echo "$npm: $(find node_modules -path '*node_modules/*/package.json' | wc -l) package.json, $(find node_modules | wc -l) files" >&2
		rm -rf node_modules
		printf 'registry=%s\ncache=/home/dev/package/cache\nignore-scripts=true\n' "$registry" >npmrc
	)
	tar -C "$work" -cf "$work/package.tar" package
}

# tree DIR: of the host's, a repository with a project in it; small, as sources are
tree() {
	mkdir -p "$1"
	(
		cd "$1"
		perl -e '
			for my $d (1 .. 60) {
				mkdir "lib$d";
				for my $f (1 .. 30) {
					open my $o, ">", "lib$d/part$f.txt" or die;
					print $o "line $_ of part $f in $d: the quick brown fox\n" for 1 .. 20 + $f;
				}
			}
			mkdir "src"; mkdir "include";
			for my $h (1 .. 120) { open my $o, ">", "include/h$h.h"; print $o "#pragma once\nint value_$h (int);\n" }
			for my $c (1 .. 12) {
				open my $o, ">", "src/c$c.c";
				print $o "#include \"../include/h$_.h\"\n" for 1 .. 120;
				print $o "int value_$c (int a) { return a + $c; }\n";
			}'
		git init -q . && git add . && git -c user.name=a -c user.email=a@b commit -qm tree
	)
}

prepare() {
	[ "$(id -u)" -ne 0 ] || skip "needs an ordinary user: nothing of root's is shared"
	work=$(mktemp -d)
	[ -z "$npm" ] || fetch
	export HOME=$work XDG_DATA_HOME=$work/data XDG_CONFIG_HOME=$work/config XDG_CACHE_HOME=$work/cache
	chmod 0755 "$work"
	mkdir -p "$XDG_CONFIG_HOME/vms"
	chmod 0700 "$XDG_CONFIG_HOME" "$XDG_CONFIG_HOME/vms"
	for mode in rw review guarded shadowed; do
		tree "$work/$mode"
	done
	cat >"$XDG_CONFIG_HOME/vms/$machine.profile" <<-EOF
		[profile]
		inherits=base
		[machine]
		cpus=2
		memory=2GiB
		[provision]
		packages=git;gcc;libc6-dev;make;npm
		[share:rw]
		source=$work/rw
		target=~/rw
		mode=rw
		[share:review]
		source=$work/review
		target=~/review
		[share:guarded]
		source=$work/guarded
		target=~/guarded
		mode=guarded
		[share:shadowed]
		source=$work/shadowed
		target=~/shadowed
		mode=rw
		shadow=node_modules
	EOF
	"$vms" -q start --timeout 30m "$machine" >&2
	"$vms" cp "$source/tests/bench/shares-guest.sh" "$machine:work.sh"
	"$vms" ssh "$machine" -- "sh work.sh prepare" </dev/null >&2
	[ -z "$npm" ] || "$vms" ssh "$machine" -- "tar -xf - && mv package/npmrc .npmrc" <"$work/package.tar" >&2
}

# best TASK PLACE: milliseconds; empty when it was not done there
best() {
	awk -v t="$1" -v p="$2" '$1 == t && $2 == p && (!n || $3 < n) { n = $3 } END { print n }' "$work/times"
}

# row TASK BASE PLACE...: a line of the table
row() {
	local task=$1 base=$2 of place now
	shift 2
	of=$(best "$task" "$base")
	[ -n "$of" ] || return 0
	printf '%-8s %s %6d ms' "$task" "$base" "$of"
	for place; do
		now=$(best "$task" "$place")
		[ -z "$now" ] || printf ', %s %s' "$place" "$(awk -v a="$now" -v b="$of" 'BEGIN { printf "%.2f", a / b }')"
	done
	echo
}

trap finish EXIT
prepare
"$vms" ssh "$machine" -- "sh work.sh run $rounds '$only'" </dev/null | tee "$work/times" >&2
echo "best of $rounds; working, as times of the machine's own disk:"
row clone disk rw review
row build disk rw review guarded
row npm disk rw review shadowed
echo "reading with cold caches, as times of mode=rw:"
row status rw disk review guarded
row grep rw disk review guarded
row compile rw disk review guarded
