#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The guest's half of shares.sh. prepare: what the work needs, on the machine's own disk. run ROUNDS TASKS: lines "TASK PLACE MS".
set -eu

# A project with a configure script that compiles sixty probes, as those of autoconf do, and forty files to compile.
make_project() {
	mkdir -p ~/project
	cd ~/project
	cat >configure <<'END'
#!/bin/sh
i=0
: >config.h
while [ $i -lt 60 ]; do
	i=$((i + 1))
	printf '#include <stdio.h>\nint probe_%d (void) { return printf ("x"); }\n' $i >conftest.c
	if cc -c conftest.c -o conftest.o 2>conftest.err; then echo "#define HAVE_$i 1" >>config.h; fi
	rm -f conftest.c conftest.o conftest.err
done
END
	i=0
	while [ $i -lt 40 ]; do
		i=$((i + 1))
		printf '#include "config.h"\n#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\nint f%d (int a) { return a + %d; }\n' $i $i >"f$i.c"
	done
	printf 'int main (void) { return 0; }\n' >main.c
	# shellcheck disable=SC2016
	printf 'objects := $(patsubst %%.c,%%.o,$(wildcard *.c))\nprogram: $(objects)\n\tcc -o $@ $(objects)\n%%.o: %%.c config.h\n\tcc -c -o $@ $<\n' >Makefile
}

prepare() {
	mkdir -p ~/disk
	cp -a ~/rw ~/source
	cp -a ~/rw/. ~/disk/
	make_project
}

# Without the network: the registry is not what is measured.
work() {
	case $1 in
	clone) git clone -q --no-local ~/source clone ;;
	build) cp -r ~/project project && cd project && sh configure && make -s -j2 ;;
	npm) cp ~/package/package.json ~/package/package-lock.json . && npm ci --offline --no-audit --no-fund --loglevel=error >/dev/null ;;
	status) git status --short >/dev/null ;;
	grep) grep -r "line 40 of part 30" . >/dev/null ;;
	compile) for c in src/c*.c; do cc -c -o /tmp/out.o "$c"; done ;;
	esac
}

clean() {
	cd ~/"$1"
	rm -rf clone project package.json package-lock.json
	# the directory itself is on another file system where it is shadowed
	[ ! -d node_modules ] || find node_modules -mindepth 1 -delete
	[ "$1" = shadowed ] || rm -rf node_modules
}

once() {
	clean "$2"
	sync
	echo 3 | sudo tee /proc/sys/vm/drop_caches >/dev/null
	begin=$(date +%s%N)
	if (work "$1") </dev/null; then
		echo "$1 $2 $((($(date +%s%N) - begin) / 1000000))"
	else
		echo "$1 failed in $2" >&2
	fi
	clean "$2"
}

places() {
	case $1 in
	clone) echo disk rw review ;;
	npm) [ ! -d ~/package ] || echo disk rw review shadowed ;;
	*) echo disk rw review guarded ;;
	esac
}

reverse() {
	back=
	for place; do back="$place $back"; done
	echo "$back"
}

run() {
	round=0
	while [ "$round" -lt "$1" ]; do
		round=$((round + 1))
		for task in $2; do
			list=$(places "$task")
			# shellcheck disable=SC2086
			[ $((round % 2)) -eq 1 ] || list=$(reverse $list)
			for place in $list; do
				once "$task" "$place"
			done
		done
	done
}

"$@"
