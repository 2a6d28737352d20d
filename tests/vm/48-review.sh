#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# mode=review: the machine reads the host's directory and writes to a layer on its own disk; the directory stays as it is.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

need_image
PROJECT=$TEST_HOME/reviewed
vms destroy --yes --if-exists review >/dev/null 2>&1
rm -rf "$PROJECT"

# Everything that can be seen of the tree but when it was last read; of its directories' times not the one that the test itself changed.
snapshot() {
	find "$PROJECT" -printf '%P %y %m %U:%G %n %s %T@ %C@ %l\n' | sort
	find "$PROJECT" -type f -print0 | sort -z | xargs -0 sha256sum
}

makes_a_project() {
	as_user sh -euc 'umask 022; mkdir "$1"; cd "$1"; mkdir -p src/deep/er "some dir" old locked; echo one >one; echo two >two
		for i in 1 2 3 4 5 6; do echo "file $i" >"src/f$i"; echo "deep $i" >"src/deep/er/f$i"; done
		printf "#!/bin/sh\necho run\n" >run.sh; chmod 755 run.sh; chmod 600 two; chmod 750 "some dir"; chmod 500 locked
		ln -s src/f1 link; ln -s /nowhere dangling; ln one hard; head -c 300000 /dev/urandom >blob; echo x >old/x; chmod 775 .' sh "$PROJECT"
	snapshot >"$T/before"
	vms create review --share "$PROJECT:~/project"
	vms start review
}

# in_project COMMANDS: a script in the share, that ends at the first failing command
in_project() {
	in_guest review "set -eu; cd ~/project; $1"
}

is_an_overlay() {
	eq "$(in_guest review 'findmnt -n -o SOURCE,FSTYPE ~/project | tr -s " "')" "reviewed overlay"
	contains "$(in_guest review 'grep -F " /home/dev/project " /proc/self/mounts')" 'nodev'
	contains "$(in_guest review 'grep -F " /run/vms/lower/" /proc/self/mounts')" '^reviewed /run/vms/lower/reviewed virtiofs ro,'
	contains "$(vms status review)" 'reviewed: .*\(review\)'
}

reads_the_directory() {
	eq "$(in_project 'find . -type f -print0 | sort -z | xargs -0 sha256sum')" \
		"$(cd "$PROJECT" && find . -type f -print0 | sort -z | xargs -0 sha256sum)" "content"
	eq "$(in_project 'find . -printf "%P %y %m %U:%G %s %l\n" | grep -v " d " | sort')" \
		"$(cd "$PROJECT" && find . -printf "%P %y %m %U:%G %s %l\n" | grep -v " d " | sort)" "files"
	eq "$(in_project 'find . -type d -printf "%P %m %U:%G\n" | sort')" \
		"$(cd "$PROJECT" && find . -type d -printf "%P %m %U:%G\n" | sort)" "directories"
	# one device, so that tools take it for one file system
	eq "$(in_project 'find . -xdev -printf "%D\n" | sort -u | wc -l')" 1 "device numbers"
}

CHANGES='echo more >>one; echo new >made; : >src/f1; rm src/f2; mv src/f3 src/moved; mv src/deep src/shallow
	chmod 700 src/f4; ln -sf src/f5 link; rm -r old; echo "a file now" >old; rm run.sh; mkdir run.sh; echo in >run.sh/it
	mkdir -p new/a/b; echo ab >new/a/b/c; ln src/f6 src/f6hard; touch -d @1000000 two; printf X | dd of=blob bs=1 seek=1000 conv=notrunc status=none
	sudo chown 0:0 src/f5; sudo mknod src/device c 1 3; sudo sh -c "cp /bin/true src/setuid && chmod 4755 src/setuid"; mv "some dir" "other dir"'
VIEW='find . -printf "%P %y %m %U:%G %l\n" | sort; find . -type f -print0 | sort -z | xargs -0 sudo sha256sum'

changes_stay_in_the_machine() {
	in_project "$CHANGES"
	in_project "$VIEW" >"$T/view"
	contains "$(cat "$T/view")" '^src/shallow/er/f6 f '
	lacks "$(cat "$T/view")" '^(src/deep|old/x|src/f2|src/f3|some dir)'
	eq "$(in_project 'cat one hard src/moved old run.sh/it new/a/b/c; stat -c %Y two; wc -c <src/f1')" \
		"one"$'\n'"more"$'\n'"one"$'\n'"file 3"$'\n'"a file now"$'\n'in$'\n'ab$'\n'1000000$'\n'0
	! in_guest review "cat ~/project/src/device" 2>"$T/err" || fail "a device works in the share"
	snapshot >"$T/after"
	eq "$(diff "$T/before" "$T/after")" "" "what changed on the host"
}

tree_whole_deleted() {
	in_project 'find . -mindepth 1 -maxdepth 1 ! -name one -exec sudo rm -rf {} +; echo again >src; ls -A >/dev/null'
	eq "$(in_project 'ls -A | tr "\n" " "')" "one src " "what is left in the machine"
	snapshot >"$T/after"
	eq "$(diff "$T/before" "$T/after")" "" "what changed on the host"
}

survives_a_reboot() {
	vms restart review
	in_project "$VIEW" >"$T/view2"
	eq "$(diff "$T/view" "$T/view2")" "" "what the machine sees after a restart"
	snapshot >"$T/after"
	eq "$(diff "$T/before" "$T/after")" "" "what changed on the host"
}

recreate_drops_them() {
	vms recreate --yes review
	reads_the_directory
	eq "$(in_project 'cat one')" one
}

# The host's part: whatever root does in the machine, the host's file server does not write.
root_writes_below() {
	in_guest review 'sudo sh -c "mount -o remount,rw /run/vms/lower/reviewed; mkdir -p /mnt/again; mount -t virtiofs -o rw reviewed /mnt/again
		for d in /run/vms/lower/reviewed /mnt/again; do
			echo bad >\$d/bad; echo bad >>\$d/one; rm -f \$d/two; mv \$d/blob \$d/blob2; chmod 777 \$d/src; chown 0:0 \$d/src/f1
			mkdir \$d/baddir; mknod \$d/baddev c 1 3; ln \$d/src/f1 \$d/badlink; ln -s x \$d/badsym; touch \$d/src/f2; truncate -s 0 \$d/src/f3
			setfattr -n user.bad -v 1 \$d/one 2>/dev/null; perl -e \"open(F, q(+<), shift) and print F q(bad)\" \$d/src/f4
		done; umount /mnt/again; mount -o remount,ro /run/vms/lower/reviewed"; true' >"$T/out" 2>&1
	snapshot >"$T/after"
	eq "$(diff "$T/before" "$T/after")" "" "what changed on the host"
}

not_mounted_is_told() {
	in_guest review 'cd /; sudo umount ~/project && sudo rmdir ~/project && touch ~/project && sync'
	vms stop review
	status 1 vms start review 2>"$T/err"
	contains "$(cat "$T/err")" 'not mounted in the machine: "reviewed"'
}

t "a machine with a share of no mode starts" makes_a_project
passed || finish
t "the share is an overlay over the read-only directory" is_an_overlay
t "the machine reads all that is there, with owners, modes and links" reads_the_directory
t "what it writes, deletes, renames and chmods is in the machine, and not on the host" changes_stay_in_the_machine
if root_virsh dumpxml "$(object review)" | grep -E '<readonly/>|<binary path=' | grep -qvE "path='/usr/lib(/qemu|exec)/virtiofsd'"; then
	t "root cannot write to the directory below the overlay" root_writes_below
fi
t "it is all there after a restart" survives_a_reboot
if full; then
	t "all of the tree deleted in the machine" tree_whole_deleted
	t "recreate gives the directory as it is on the host" recreate_drops_them
	t "a start says when the overlay is not there" not_mounted_is_told
fi
vms destroy --yes review
rm -rf "$PROJECT"
finish
