#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Installs into an empty directory and looks at what a user of the library and of the command gets there.
# check-install.sh SOURCE-ROOT BUILD-ROOT PREFIX VERSION
set -u

source=$1 build=$2 prefix=$3 version=$4
DESTDIR=$(mktemp -d)
export DESTDIR
trap 'rm -rf "$DESTDIR"' EXIT
here=$DESTDIR$prefix
number=0

t() {
	local text=$1
	shift
	number=$((number + 1))
	if "$@" >"$DESTDIR/output" 2>&1; then
		echo "ok $number - $text"
	else
		sed 's/^/# /' "$DESTDIR/output"
		echo "not ok $number - $text"
	fi
}

# there PATTERN...: each matches a file below the prefix
there() {
	local pattern missing=0
	for pattern in "$@"; do
		if ! (cd "$here" && find . -path "./$pattern" | grep -q .); then
			echo "missing: $pattern"
			missing=1
		fi
	done
	return "$missing"
}

not_there() {
	local pattern
	for pattern in "$@"; do
		if (cd "$here" && find . -path "./$pattern" | grep .); then
			return 1
		fi
	done
}

# Each header must compile alone, in a strict C too.
headers_compile() {
	local header name
	for header in "$here"/include/libsandbox-1/sandbox/*.h; do
		name=$(basename "$header")
		printf '#include <sandbox/%s>\nint main (void) { return 0; }\n' "$name" >"$DESTDIR/header.c"
		"$source/tests/install/build-example" "$prefix" "$DESTDIR/header.c" "$DESTDIR/header" || return 1
	done
}

version_agrees() {
	cat >"$DESTDIR/version.c" <<-'END'
		#include <sandbox/sandbox.h>
		#include <stdio.h>
		int
		main (void)
		{
		  return printf ("%s %s\n", SANDBOX_VERSION, sandbox_version ()) < 0;
		}
	END
	"$source/tests/install/build-example" "$prefix" "$DESTDIR/version.c" "$DESTDIR/version" || return 1
	[ "$("$DESTDIR/version")" = "$version $version" ]
}

example_compiles() {
	"$source/tests/install/build-example" "$prefix" "$source/docs/examples/throwaway.c" "$DESTDIR/throwaway"
}

pkg_config_is_small() {
	local file
	file=$(find "$here" -name libsandbox-1.pc)
	grep -q "^Version: $version\$" "$file" && ! grep -E '^Requires:.*(libvirt|json|libxml)' "$file"
}

t "meson install" meson install --no-rebuild -C "$build"
t "the library, its headers and its pkg-config file are there" there 'lib*/libsandbox-1.so.0' 'lib*/libsandbox-1.so' \
	'include/libsandbox-1/sandbox/sandbox.h' 'include/libsandbox-1/sandbox/version.h' 'lib*/pkgconfig/libsandbox-1.pc'
t "the command, the keeper, manual pages and completion are there" there bin/vms sbin/vms-virtiofsd 'libexec/libsandbox/sandbox-keeper' \
	'share/man/man1/vms.1*' 'share/bash-completion/completions/vms'
t "profiles and image recipes are there" there 'share/libsandbox/domains/work.profile' 'share/libsandbox/domains/base.profile' \
	'share/libsandbox/images/build-image'
t "nothing internal is there" not_there 'include/*private*' 'include/*/virt/*' 'lib*/*.a'
t "each header compiles by itself" headers_compile
t "header and library have one version" version_agrees
t "the example compiles with pkg-config's words only" example_compiles
t "a program needs GLib only" pkg_config_is_small
echo "1..$number"
