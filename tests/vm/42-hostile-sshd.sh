#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A guest whose root runs an ssh server of its own, with the machine's real host key, that asks the host's ssh for what nobody offered: connections
# to other ports and sockets, the agent, the display, listeners, other keys. The judges are listeners of the host that nobody may reach,
# and the host's table of listeners; the server's own log shows that it asked.
# in turns
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

LISTED=21436 CANARY=21437 FRESH=21438 FORWARD=24500
# A display whose X server would be reached by TCP: 6000 and the number.
DISPLAY_NUMBER=77
AGENT=$T/agent SOCKET=$T/socket

# The canaries end with their file.
trap 'rm -f "$T/canaries.py"' EXIT

# Who connects to what must not be reached (and to the one service that is offered) is written down. The agent and the sockets are the
# user's, who could reach them.
canaries_stand() {
	cat >"$T/canaries.py" <<-'END'
		import os, socket, sys, threading, time
		log, names = sys.argv[1], sys.argv[2:]
		def serve(listener, name):
		    while True:
		        connection, _ = listener.accept()
		        with open(log, "a") as out:
		            out.write(name + "\n")
		        try:
		            connection.settimeout(2)
		            connection.recv(1000)
		            connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nservice " + name.encode() + b"\n")
		        except OSError:
		            pass
		        connection.close()
		for name in names:
		    if name.startswith("/"):
		        listener = socket.socket(socket.AF_UNIX)
		        listener.bind(name)
		    else:
		        listener = socket.create_server(("127.0.0.1", int(name)))
		    listener.listen(64)
		    threading.Thread(target=serve, args=(listener, os.path.basename(name)), daemon=True).start()
		open(log, "a").close()
		print("ready", flush=True)
		while os.path.exists(sys.argv[0]):
		    time.sleep(1)
	END
	chown "$TEST_USER:" "$T"
	as_user timeout 1500 python3 "$T/canaries.py" "$T/reached" $LISTED $CANARY $((6000 + DISPLAY_NUMBER)) "$AGENT" "$SOCKET" >"$T/canaries" 2>&1 </dev/null &
	for _ in $(seq 100); do
		grep -qx ready "$T/canaries" && return
		sleep 0.1
	done
	echo "not ok 1 - listeners that nobody may reach: $(tail -n 1 "$T/canaries")"
	exit 1
}

# What a user's session has, and what a careless configuration gives away.
with_session() {
	as_user env DISPLAY="127.0.0.1:$DISPLAY_NUMBER" SSH_AUTH_SOCK="$AGENT" timeout --foreground -k 5 300 "$@" </dev/null
}

machine_stands() {
	/usr/bin/python3 -B "$VMS_TESTS_TOP/tests/vm/hostile_sshd.py" bundle "$T/bundle.tar"
	chmod 644 "$T/bundle.tar"
	as_user mkdir -p "$PROFILES"
	printf '[machine]\nmemory=512MiB\ncpus=1\n[network]\nforward=%s:8080\nhost=%s\n' $FORWARD $LISTED | as_user tee "$PROFILES/hs.profile" >/dev/null
	with_session vms start hs
	address=$(vms status hs --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["machines"][0]["address"])')
	echo "$address" >"$T/address"
	vms cp "$T/bundle.tar" hs:bundle.tar
	cp "$STATE/hs/known_hosts" "$T/known_hosts.before"
	ss -Hltn | awk '{ print $4 }' | sort >"$T/listeners.before"
}

# By an ssh that has nothing to do with ours, as a user who is let alone.
log_of_guest() {
	as_user timeout -k 1 60 ssh -F none -i "$STATE/hs/user_key" -o IdentitiesOnly=yes -o StrictHostKeyChecking=no -o BatchMode=yes \
		-o UserKnownHostsFile=/dev/null "reader@$address" cat /srv/log 2>/dev/null </dev/null
}

# Its own sshd ends with all that it has, and the other one is there in its place.
sshd_is_replaced() {
	in_guest hs "sudo sh -c 'mkdir /srv/hs && tar -C /srv/hs -xf bundle.tar && cat >/srv/hs/run' <<-'END'
		exec >/dev/console 2>&1
		systemctl mask --runtime --now ssh.socket ssh.service
		pkill -KILL sshd
		cd /srv/hs
		export PYTHONHOME=/srv/hs/root/usr OPENSSL_MODULES=/srv/hs/lib
		exec ./lib/ld.so --library-path lib ./python -B hostile_sshd.py serve /etc/ssh/ssh_host_ed25519_key /srv/log $LISTED $CANARY $FRESH $SOCKET
	END
	sudo systemd-run -q --unit hostile sh /srv/hs/run" || true
	for _ in $(seq 90); do
		log_of_guest >"$T/log" && [ -s "$T/log" ] && return
		sleep 1
	done
	fail "it does not answer: $(vms logs hs | tail -n 20)"
}

# done_with KIND N: it has asked N clients of that kind for everything
done_with() {
	for _ in $(seq 90); do
		log_of_guest >"$T/log" || true
		[ "$(grep -cE "^[0-9]+ ($1) end " "$T/log")" -lt "$2" ] || return 0
		sleep 1
	done
	fail "it has not asked $2 of kind $1: $(cut -d' ' -f1,2,3 "$T/log" | sort | uniq -c | tail -n 40)"
}

reached() {
	sort "$T/reached" | uniq -c | awk '{ print $2 ":" $1 }' | grep -v "^$LISTED:" || true
}

# Everything that was asked of the clients that are ours: PORT KIND ATTEMPT RESULT
refused_all() {
	local opened
	opened=$(grep ' opened$' "$T/log" | grep -vE ' (remote|session) listed opened$' || true)
	eq "$opened" "" "channels that ssh opened for the guest"
	# ssh says yes to each list of keys; whether it learned one is looked at below
	eq "$(grep -E ' granted$' "$T/log" | grep -v ' hostkeys-00@openssh.com ' || true)" "" "requests that ssh granted"
}

# The keeper's: the master, one for each direction of forwards. They came to it by themselves.
keepers_ssh() {
	done_with idle 2
	done_with remote 1
	# that it asked at all: each attempt, of each of the three
	[ "$(grep -cE ' (x11|auth-agent|session|tun|direct-streamlocal|forwarded-tcpip:127.0.0.1) refused$' "$T/log")" -ge 18 ] ||
		fail "it asked less than it should: $(cat "$T/log")"
	contains "$(cat "$T/log")" ' remote listed opened$'
	contains "$(cat "$T/log")" " remote listed-answer .*service $LISTED"
	refused_all
	eq "$(reached)" "" "what must not be reached and was"
}

# What the user runs: through the master, and on connections of their own.
users_commands() {
	local config=$T/ssh_config word
	with_session vms exec hs -- echo through the master
	as_user vms ssh-config hs >"$config"
	printf 'Host *\n ForwardAgent yes\n ForwardX11 yes\n ForwardX11Trusted yes\n RemoteForward %s 127.0.0.1:%s\n Tunnel yes\n' $FRESH $CANARY >>"$config"
	chmod 644 "$config"
	contains "$(with_session ssh -F "$config" hs echo by its name)" 'by its name'
	# a copy may be over before it was asked for everything
	for word in exec cp exec; do
		kill -9 "$(keeper_pids hs)" 2>/dev/null || true
		rm -f "$STATE/hs/ssh.sock"
		case $word in
		exec) with_session vms exec hs -- sleep 5 ;;
		cp) with_session vms cp hs:.profile "$T/copied" || true ;;
		esac
	done
	sleep 3
	done_with session 2
	contains "$(cat "$T/log")" ' on-session:auth-agent-req@openssh.com sent'
	refused_all
	eq "$(reached)" "" "what must not be reached and was"
	[ ! -e /tmp/hostile-exec ] || fail "ssh ran a command for the guest"
}

nothing_changed() {
	cmp "$STATE/hs/known_hosts" "$T/known_hosts.before"
	ss -Hltn | awk '{ print $4 }' | sort >"$T/listeners.after"
	eq "$(comm -13 "$T/listeners.before" "$T/listeners.after" | grep -E ":($FRESH|$CANARY|$LISTED|$((6000 + DISPLAY_NUMBER)))\$" | grep -v "^127.0.0.1:\($CANARY\|$LISTED\|$((6000 + DISPLAY_NUMBER))\)\$" || true)" "" "new listeners"
	[ ! -e "$SOCKET.new" ] || fail "a socket was made for the guest"
	# a key that it shows besides its own is not learned either by the user's ssh
	eq "$(find "$TEST_HOME/.ssh" -name 'known_hosts*' 2>/dev/null)" "" "known hosts of the user's"
}

# The same server and an ssh that offers it all: the canaries are reached. Otherwise nothing above would mean anything.
control() {
	local name
	eq "$(reached)" "" "reached before"
	as_user env DISPLAY="127.0.0.1:$DISPLAY_NUMBER" SSH_AUTH_SOCK="$AGENT" timeout -k 1 60 ssh -F none -i "$STATE/hs/user_key" -o IdentitiesOnly=yes \
		-o StrictHostKeyChecking=no -o BatchMode=yes -o LogLevel=ERROR -o UserKnownHostsFile=/dev/null -A -Y \
		-R "0.0.0.0:$CANARY:127.0.0.1:$CANARY" "dev@$address" sleep 15 </dev/null
	for name in $CANARY $((6000 + DISPLAY_NUMBER)) agent; do
		contains "$(reached)" "^$name:"
	done
}

over() {
	vms destroy --yes --if-exists hs >/dev/null 2>&1
	finish
}

address=
need_image
vms destroy --yes --if-exists hs >/dev/null 2>&1
canaries_stand
t "(a machine with a forwarded port each way)" machine_stands
passed || over
address=$(cat "$T/address")
t "(its sshd is replaced by one that asks for everything)" sshd_is_replaced
passed || over
t "32, 52: the keeper's ssh opens what is listed, and nothing else" keepers_ssh
t "52: nor does what the user runs, with an agent and a display" users_commands
t "32, 50: no listener, no key, no file came of it" nothing_changed
t "control: an ssh that offers all that is taken up on it" control
over
