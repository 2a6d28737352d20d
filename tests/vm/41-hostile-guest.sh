#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A guest whose root does what it can to whoever talks to it: an sshd that misbehaves at each stage, floods, terminal escapes
# wherever the host prints what the guest said, and a tar that sends what no tar sends. vms ends on time, says what
# happened, stays small and lets nothing through.
#
# In the guest `front` (front.c) stands before the real sshd and takes orders.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

# What a terminal acts on, and what pretends to be other text than it is: C0 but tab and newline, DEL, C1 in UTF-8, other bytes that
# are no UTF-8, marks of direction.
CONTROL=$'[\x01-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xaa-\xae]'
# As a guest writes it: clipboard, title, clear, C1, and a carriage return that hides what stands before it.
EVIL='\033]52;c;ZXZpbA==\a\033]0;evil\a\033[2J\302\233evil\342\200\256\r'
# How much more memory than at rest a process of ours may take, in KiB, whatever the guest sends. The sanitizer keeps what was freed
# for a while: little, here.
GROWTH_MAX=$((48 * 1024))
export_settings=(ASAN_OPTIONS=quarantine_size_mb=1:malloc_context_size=2:detect_leaks=0)
address=

# measured COMMAND...: with a small quarantine; leaves its status, its seconds and what it said
measured() {
	local begin=${EPOCHREALTIME/[.,]/}

	have=0
	as_user timeout --foreground -k 10 300 env "${export_settings[@]}" "$@" >"$T/out" 2>"$T/err" </dev/null || have=$?
	took=$(((${EPOCHREALTIME/[.,]/} - begin) / 1000000))
	printf '%s: status %s, %s s: %s\n' "$*" "$have" "$took" "$(tail -n 3 "$T/err")"
}

# ended STATUS SECONDS: as it should, in time (a host with much to do gets some more); and nothing that a terminal acts on
ended() {
	eq "$have" "$1" "exit status"
	[ "$took" -le $(($2 + 20)) ] || fail "took $took s"
	clean "$T/out" "$T/err"
}

clean() {
	local found
	if found=$(LC_ALL=C grep -anE "$CONTROL" "$@"); then
		fail "control characters of the guest's: $(cat -v <<<"$found" | head -n 5)"
	fi
}

# order WORDS: to the program in front of sshd, past ssh
order() {
	local answer='' words=$*

	exec 3<>"/dev/tcp/$address/22"
	printf '%s\n' "${words//$'\n'/;}" >&3
	read -r -t 60 answer <&3 || true
	exec 3>&-
	eq "$answer" "done" "the answer to: $*"
}

# No connection from before, and no keeper that waits to try again.
forget() {
	local process
	for process in $(keeper_pids evil) $(pgrep -u "$TEST_USER" -f "ssh.*$STATE/evil/"); do
		kill -9 "$process" 2>/dev/null || true
	done
}

peak() {
	awk '/^VmHWM:/ { print $2 }' "/proc/$1/status" 2>/dev/null || true
}

# peaks: of all our processes that have to do with evil, until the file "watch" goes: "KIB PROGRAM"
watch_memory() {
	: >"$T/watch"
	: >"$T/peaks"
	while [ -e "$T/watch" ]; do
		for process in $(pgrep -u "$TEST_USER" -f "vms .*evil|sandbox-keeper .*(evil|$address)|ssh .*evil"); do
			echo "$(peak "$process") $(cat "/proc/$process/comm" 2>/dev/null)"
		done >>"$T/peaks"
		sleep 0.1
	done
}

# bounded COMMAND...: while it runs, none of ours grows
bounded() {
	local watcher
	watch_memory &
	watcher=$!
	"$@"
	rm "$T/watch"
	wait "$watcher"
	sort -rn "$T/peaks" | awk '!seen[$2]++' >"$T/highest"
	cat "$T/highest"
	contains "$(cat "$T/highest")" '(vms|sandbox-keeper)$'
	while read -r kib program; do
		[ "$kib" -le $((at_rest + GROWTH_MAX)) ] || fail "$program took $kib KiB; at rest ours take $at_rest"
	done < <(grep -E '^[0-9]+ ' "$T/highest")
}

front_stands() {
	gcc -static -O1 -Wall -Wextra -Werror -o "$T/front" "$VMS_TESTS_TOP/tests/vm/front.c"
	as_user mkdir -p "$PROFILES"
	printf '[machine]\nmemory=512MiB\ncpus=1\n' | as_user tee "$PROFILES/evil.profile" >/dev/null
	measured vms start evil
	eq "$have" 0 "start: $(cat "$T/err")"
	address=$(address_of)
	vms cp "$T/front" evil:front
	in_guest evil 'sudo mv front /srv/front
		printf "Port 2222\nMaxStartups 200\n" | sudo tee /etc/ssh/sshd_config.d/00-front.conf >/dev/null
		sudo systemctl restart ssh
		sudo systemd-run -q --unit front --service-type forking /srv/front 22 2222'
	# control: orders are taken, and ssh goes through it
	order mode pass
	order run 'touch /srv/ordered'
	forget
	eq "$(in_guest evil 'sudo ls /srv/ordered')" /srv/ordered
}

address_of() {
	vms status evil --json | python3 -c 'import json, sys
print(json.load(sys.stdin)["machines"][0]["address"])'
}

# --- each stage of ssh: before the banner, in the key exchange, in the authentication, in the channel, in the command

# One that has nothing to do with ours.
plain_ssh() {
	as_user timeout -k 1 20 ssh -F none -i "$STATE/evil/user_key" -o IdentitiesOnly=yes -o StrictHostKeyChecking=no -o BatchMode=yes \
		-o UserKnownHostsFile=/dev/null "$@" "dev@$address" true </dev/null
}

closes_at_every_stage() {
	local stage
	for stage in $(printf '%s\n' 0 1 2 3 4 5 6 | sample 1) 100; do
		order mode close "$stage"
		# alone: a keeper that also has a connection would hide that the end of the only one is not seen
		forget
		have=0
		plain_ssh >"$T/plain" 2>&1 || have=$?
		[ "$stage" -ne 100 ] && eq "$have" 255 "plain ssh, of a guest that hangs up at stage $stage"
		measured vms exec --timeout 30s evil -- echo here
		if [ "$stage" -eq 100 ]; then # control
			ended 0 25
			eq "$(cat "$T/out")" here
			continue
		fi
		ended 125 25
		contains "$(cat "$T/err")" "^vms: running a command in the machine: ssh to $address failed: .*([Cc]onnection|pipe)"
	done
	order mode close 2
	forget
	measured vms cp evil:.profile copied
	ended 1 25
	contains "$(cat "$T/err")" "ssh to $address failed: .*[Cc]onnection"
	[ ! -e "$TEST_HOME/copied" ] || fail "something was copied"
}

goes_silent_at_every_stage() {
	local stage
	for stage in $(printf '%s\n' 0 1 2 3 4 5 6 | sample 1); do
		order mode stall "$stage"
		forget
		measured vms start --timeout 5s evil
		ended 6 12
		contains "$(cat "$T/err")" 'its ssh port is open, but no session came about; the machine is still there'
		contains "$(cat "$T/err")" 'evil is still running'
		measured vms exec --timeout 3s evil -- true
		ended 125 10
		contains "$(cat "$T/err")" 'did not end within 3.0 s'
	done
}

# Without any limit of the caller's: ssh's own ones hold.
never_answers() {
	order mode stall 0
	forget
	measured vms exec evil -- true
	ended 125 60
	contains "$(cat "$T/err")" 'timed out'
	order mode stall 4
	forget
	measured vms exec evil -- true
	ended 125 200
}

drips() {
	order mode drip 0
	forget
	measured vms exec evil -- true
	ended 125 60
	contains "$(cat "$T/err")" 'timed out'
	order mode drip 2
	measured vms start --timeout 5s evil
	ended 6 12
}

hangs_up_during_a_command() {
	local begin=$SECONDS have=0
	order mode pass
	forget
	measured vms exec evil -- true
	eq "$have" 0 "control"
	as_user timeout 60 vms exec evil -- sleep 60 >"$T/out" 2>"$T/err" </dev/null &
	sleep 3
	order run "pkill -KILL -f '[s]shd-session: dev'"
	wait $! || have=$?
	eq "$have" 125 "exit status when the connection was cut"
	[ $((SECONDS - begin)) -le 40 ] || fail "took $((SECONDS - begin)) s"
	contains "$(cat "$T/err")" '^vms: running a command in the machine: '
	clean "$T/err"
}

# --- floods

banners() {
	local kind
	for kind in $(printf '%s\n' lines block noise | sample 1); do
		order mode "$kind"
		forget
		measured vms exec --timeout 20s evil -- true
		ended 125 15
		contains "$(cat "$T/err")" "ssh to $address failed: .*(banner|invalid|too many|kex_exchange)"
		measured vms start --timeout 4s evil
		ended 6 12
		[ "$(stat -c %s "$T/err")" -le 20000 ] || fail "$(stat -c %s "$T/err") bytes of complaint"
	done
}

a_banner_of_100_mb() {
	bounded banners
}

# A banner of sshd's own, as much as it takes of a file, and a message of the day: to the terminal with what drives it taken out,
# and nothing of it in what the library itself asks.
sshd_banner() {
	order mode pass
	order run "for i in \$(seq 2000); do printf '$EVIL banner %d\\n' \$i; done >/srv/banner; echo Banner /srv/banner >/etc/ssh/sshd_config.d/01-banner.conf
		printf '$EVIL motd\\n' >/etc/motd; systemctl restart ssh"
	forget
	measured vms exec --timeout 60s evil -- echo here
	ended 0 60
	eq "$(cat "$T/out")" here
	# not even made harmless: it is not what was asked for
	lacks "$(cat "$T/err")" banner
	# control: it is there
	contains "$(plain_ssh -o LogLevel=INFO 2>&1)" 'banner 7'
	forget
	measured vms start --timeout 60s evil
	ended 0 60
	lacks "$(cat "$T/err")" banner
	order run 'rm /etc/ssh/sshd_config.d/01-banner.conf; systemctl restart ssh'
}

floods_from_commands() {
	local mib=8 kib=300 size
	! full || mib=160 kib=4096
	measured vms exec evil -- sh -c "head -c ${mib}M /dev/zero; head -c ${mib}M /dev/zero >&2; exit 7"
	eq "$have" 7 "exit status"
	eq "$(stat -c %s "$T/out")" $((mib * 1024 * 1024)) "bytes of output"
	: >"$T/out"
	: >"$T/err"
	# the console: its log is bounded, and so is who writes it; all of it was taken
	in_guest evil "sudo timeout 600 sh -ec \"yes '$(printf '%0200d' 0)' | head -c ${kib}K >/dev/ttyS0; tr '\\\\0' x </dev/zero | head -c ${kib}K >/dev/ttyS0\""
	size=$(stat -c %s "$STATE/evil/console.log")
	[ "$size" -le $((256 * 1024)) ] || fail "the console log has $size bytes"
	[ "$size" -ge $((100 * 1024)) ] || fail "the console log has $size bytes only: nothing is shown"
	measured vms logs evil
	ended 0 10
	[ "$(stat -c %s "$T/out")" -le 2000000 ] || fail "$(stat -c %s "$T/out") bytes of log"
	# the guest's second console, which nobody reads
	in_guest evil 'sudo sh -c "timeout 5 yes >/dev/hvc0 & timeout 5 yes >/dev/hvc1 & sleep 3" 2>/dev/null; echo'
	measured vms status evil
	ended 0 10
}

output_without_end() {
	order mode pass
	forget
	measured vms exec --timeout 60s evil -- true
	bounded floods_from_commands
}

# The user's own shell in the guest floods: what the library asks for itself is bounded, too.
floods_instead_of_answering() {
	measured vms start --timeout 6s evil
	ended 6 30
	rm -rf "$TEST_HOME/copied"
	measured vms cp evil:.profile copied
	ended 1 60
	[ ! -e "$TEST_HOME/copied" ] || fail "something was copied"
}

a_shell_that_floods() {
	order mode pass
	forget
	order run "printf '#!/bin/sh\\nyes \"$EVIL\" | head -c 400000000 & exec yes \"$EVIL\" >&2\\n' >/usr/local/bin/flood
		chmod 755 /usr/local/bin/flood; usermod -s /usr/local/bin/flood dev"
	bounded floods_instead_of_answering
	order run "usermod -s /bin/bash dev; pkill -9 yes; true"
	# sshd keeps the shell that a user had when the connection was made
	forget
}

# --- what the guest says, printed by the host

strings_are_escaped() {
	order mode pass
	# with a keeper, who reads the console
	in_guest evil true
	sleep 2
	order run "printf 'evil$EVIL' >/proc/sys/kernel/hostname; printf '$EVIL issue\\n' >/etc/issue; printf '\\n$EVIL on the console\\n' >/dev/ttyS0"
	in_guest evil "mkdir -p \"\$(printf 'dir$EVIL')\" names; : >\"\$(printf 'names/a$EVIL')\"; printf '#!/bin/sh\\nprintf \"tar: $EVIL\\\\n\" >&2; exit 2\\n' >badtar"
	local command tries=0
	for command in "list" "list --json" "status evil" "status evil --json" "logs evil" "doctor" "cp evil:names out-names" "cp evil:none$(printf '%b' "$EVIL") out"; do
		# shellcheck disable=SC2086 # words
		measured vms $command
		clean "$T/out" "$T/err"
		[ -s "$T/out" ] || [ -s "$T/err" ] || fail "nothing was said by $command"
		python3 - "$T/out" <<-'END'
			import json, sys
			text = open(sys.argv[1], encoding="utf-8").read()
			if text.startswith(("{", "[")):
			    json.loads(text)
		END
	done
	# what was written to it before takes its time
	until vms logs evil | grep -q '^.*\\x1b\]52;c;ZXZpbA==\\x07.*on the console'; do
		tries=$((tries + 1))
		[ "$tries" -le 30 ] || fail "the console's log does not show what was written there"
		sleep 1
	done
	# ssh's words: the guest's farewell is quoted in ours
	order mode farewell
	forget
	measured vms start --timeout 4s evil
	ended 6 12
	contains "$(cat "$T/err")" 'evil'
	measured vms exec --timeout 20s evil -- true
	ended 125 20
	order mode pass
	# a program in the guest that complains for the library
	order run "cp /usr/bin/tar /usr/bin/tar.real; install -m 755 /home/dev/badtar /usr/bin/tar"
	measured vms cp evil:.profile copied
	order run "mv /usr/bin/tar.real /usr/bin/tar; echo evil >/proc/sys/kernel/hostname; : >/etc/motd"
	ended 1 20
	contains "$(cat "$T/err")" 'tar: '
}

# --- statuses that are not what they seem

lies_about_the_end() {
	local number
	order mode pass
	for number in 255 125 254; do
		measured vms exec evil -- sh -c "exit $number"
		eq "$have" "$number" "the guest's own status"
		eq "$(cat "$T/err")" "" "a complaint of ours about a status of the guest's"
	done
	# without a status at all
	# shellcheck disable=SC2016
	measured vms exec evil -- sh -c 'sudo pkill -KILL -f "[s]shd-session: dev"; sleep 30'
	ended 125 30
	contains "$(cat "$T/err")" '^vms: running a command in the machine: '
}

# --- row 58: an archive that no tar makes

archives() {
	python3 - "$1" <<-'END'
		import io, os, sys, tarfile
		def make(name, *members):
		    with tarfile.open(os.path.join(sys.argv[1], name), "w", format=tarfile.GNU_FORMAT) as tar:
		        for path, kind, link, data in members:
		            info = tarfile.TarInfo(path)
		            info.type, info.linkname, info.size, info.mode = kind, link, len(data), 0o6777
		            tar.addfile(info, io.BytesIO(data))
		F, D, L, H = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
		top = (".", D, "", b"")
		make("up", top, ("./../../planted", F, "", b"x"))
		make("absolute", top, ("/tmp/planted", F, "", b"x"))
		make("through", top, ("./l", L, "/tmp", b""), ("./l/planted", F, "", b"x"))
		make("over", top, ("./m", F, "", b"x"), ("./l", F, "", b"x"), ("./l", L, "m", b""))
		make("hard", top, ("./h", H, "/etc/passwd", b""))
		make("device", top, ("./d", tarfile.CHRTYPE, "", b""))
		make("fifo", top, ("./f", tarfile.FIFOTYPE, "", b""))
		make("twice", top, ("./a", F, "", b"1"), ("./a", F, "", b"2"))
		make("escape", top, ("./a\033]0;x", F, "", b"1"))
		make("deep", top, *[("./" + "d/" * n, D, "", b"") for n in range(1, 200)])
		make("unannounced", top, ("./no/such/a", F, "", b"1"))
		with open(os.path.join(sys.argv[1], "cut"), "wb") as out:
		    info = tarfile.TarInfo("./a")
		    info.size = 1 << 40
		    out.write(tarfile.TarInfo("./b").tobuf() + info.tobuf() + b"x" * 100000)
		with open(os.path.join(sys.argv[1], "noise"), "wb") as out:
		    out.write(os.urandom(1 << 20))
	END
}

hostile_archives() {
	local name before
	mkdir "$T/archives"
	archives "$T/archives"
	chmod -R a+rX "$T/archives"
	order mode pass
	vms cp "$T/archives" evil:archives
	as_user sh -c 'rm -rf target; mkdir -p target/kept; echo mine >target/kept/a; echo mine >target/l; ln -s /etc target/link'
	before=$(as_user find target ! -type d -printf '%p %y %m %l %T@\n' | sort)
	in_guest evil 'printf "#!/bin/sh\ncat /home/dev/archives/current\n" >fake; sudo cp /usr/bin/tar /usr/bin/tar.real; sudo install -m 755 fake /usr/bin/tar'
	for name in $(find "$T/archives" -type f -printf '%f\n' | sort | sample 2); do
		order run "cp /home/dev/archives/$name /home/dev/archives/current"
		for flag in "" --force; do
			# shellcheck disable=SC2086 # none or one
			measured vms cp $flag evil:archives target/new
			ended 1 30
			contains "$(cat "$T/err")" 'copying from the machine|copying'
			[ ! -e "$TEST_HOME/target/new" ] || fail "$name: something was made"
			# over what is there
			# shellcheck disable=SC2086
			measured vms cp $flag evil:archives target/kept
			[ "$have" -ne 0 ] || fail "$name was taken"
			clean "$T/err"
		done
		[ -z "$(find /tmp/planted "$TEST_HOME/planted" 2>/dev/null)" ] || fail "$name planted a file"
		eq "$(as_user find target ! -type d -printf '%p %y %m %l %T@\n' | sort)" "$before" "what was there, after $name"
	done
	in_guest evil 'sudo mv /usr/bin/tar.real /usr/bin/tar'
	vms cp evil:archives/up "$TEST_HOME/control"
	cmp "$TEST_HOME/control" "$T/archives/up"
}

# --- row 55: names and words that look like options of ssh's

options_stay_words() {
	local word
	order mode pass
	for word in -oProxyCommand="touch $TEST_HOME/injected" "-F/dev/null" "--" "../evil" "evil;id" "evil@evil"; do
		for verb in ssh exec status start; do
			measured vms "$verb" -- "$word" true
			contains "$have" '^(2|3|125)$'
		done
	done
	eq "$(vms exec evil -- echo -oProxyCommand=x -- -F y)" "-oProxyCommand=x -- -F y"
	measured vms exec evil -- "-oProxyCommand=touch $TEST_HOME/injected"
	eq "$have" 127 "a command with the name of an option"
	[ ! -e "$TEST_HOME/injected" ] || fail "ssh ran it"
}

is_still_well() {
	order mode pass
	order run 'rm -f /etc/ssh/sshd_config.d/00-front.conf'
	! full || vms restart evil
	eq "$(in_guest evil hostname)" evil
	eq "$(keeper_pids evil | wc -l)" 1 "keepers"
}

need_image
vms destroy --yes --if-exists evil >/dev/null 2>&1
front_stands >"$T/front.out" 2>&1 || true
at_rest=$(peak "$(keeper_pids evil)")
if [ -z "$at_rest" ]; then
	sed 's/^/# /' "$T/front.out"
	echo "not ok 1 - a machine with something before its sshd"
	exit 1
fi
address=$(address_of)
t "50: a guest that hangs up at any stage of ssh is reported, at once" closes_at_every_stage
t "50: one that goes silent at any stage is waited for as long as was said" goes_silent_at_every_stage
if full; then # waiting, for the most part
	t "50: one that never answers is given up" never_answers
	t "50: one byte each second is no way to go on for ever" drips
fi
t "one that hangs up during a command ends it with 125" hangs_up_during_a_command
t "a banner of 100 MB, of lines, without lines, of noise" a_banner_of_100_mb
! full || t "56: sshd's own banner does not drive the terminal" sshd_banner
t "57: output, errors and consoles without end cost the host no memory" output_without_end
! full || t "a login shell that floods gets nowhere" a_shell_that_floods
t "56: nothing that a guest says is printed as it is" strings_are_escaped
t "statuses of the guest's and ends without one are told apart" lies_about_the_end
t "58: an archive that no tar makes leaves nothing behind" hostile_archives
t "55: what looks like an option stays a word" options_stay_words
t "after all that it is an ordinary machine" is_still_well
vms destroy --yes evil >/dev/null 2>&1
finish
