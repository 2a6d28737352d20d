#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Identity: keys made on the host, known before first contact, told to nobody; nothing of the host's is offered to a guest.
# in turns
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

need_image
need_running work
need_running personal

address() {
	root_virsh dumpxml "$(object "$1")" >/dev/null
	vms status "$1" --json | python3 -c 'import json, sys
data = json.load(sys.stdin)
print((data["machines"][0] if "machines" in data else data)["address"])'
}

# direct KEY ADDRESS OPTIONS... COMMAND: an ssh that has nothing to do with ours
direct() {
	local key=$1 address=$2
	shift 2
	as_user ssh -F none -i "$key" -o IdentitiesOnly=yes -o IdentityAgent=none -o BatchMode=yes -o StrictHostKeyChecking=no \
		-o UserKnownHostsFile=/dev/null -o LogLevel=ERROR "dev@$address" "$@" </dev/null
}

host_key_is_ours() {
	local name
	for name in work personal; do
		eq "$(in_guest "$name" 'cut -d" " -f1,2 /etc/ssh/ssh_host_ed25519_key.pub')" \
			"$(cut -d' ' -f1,2 "$STATE/$name/host_key.pub")" "host key of $name in the guest"
		eq "$(as_user ssh-keyscan -t ed25519 "$(address "$name")" 2>/dev/null | cut -d' ' -f2,3)" \
			"$(cut -d' ' -f1,2 "$STATE/$name/host_key.pub")" "host key that $name shows"
		eq "$(as_user ssh-keyscan "$(address "$name")" 2>/dev/null | grep -vc '^#')" 1 "kinds of host keys"
	done
	[ "$(cat "$STATE/work/host_key.pub")" != "$(cat "$STATE/personal/host_key.pub")" ] || fail "both have the same"
}

keys_are_separate() {
	eq "$(direct "$STATE/personal/user_key" "$(address personal)" hostname)" personal "control: the right key"
	status 255 direct "$STATE/work/user_key" "$(address personal)" hostname
	status 255 direct "$STATE/personal/user_key" "$(address work)" hostname
	status 255 direct "$STATE/work/guest_key" "$(address work)" hostname
	status 255 as_user ssh -F none -o PubkeyAuthentication=no -o BatchMode=yes -o StrictHostKeyChecking=no -o LogLevel=ERROR \
		-o UserKnownHostsFile=/dev/null "dev@$(address work)" true </dev/null
	status 255 as_user ssh -F none -i "$STATE/work/user_key" -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=no \
		-o LogLevel=ERROR -o UserKnownHostsFile=/dev/null "root@$(address work)" true </dev/null
}

# A line from the middle of each private key: what nobody else may ever read.
secrets() {
	local name key
	for name in work personal; do
		for key in user_key host_key guest_key; do
			sed -n 3p "$STATE/$name/$key"
		done
	done
}

# look USER DIRECTORY...: searches everything that this user can read
look() {
	local user=$1
	shift
	runuser -u "$user" -- bash -c '
		cd /
		for name in $(virsh -r -q -c qemu:///system list --all --name | grep "^vms"); do
			virsh -r -q -c qemu:///system dumpxml "$name"
			virsh -r -q -c qemu:///system dumpxml --inactive "$name"
			virsh -r -q -c qemu:///system net-dumpxml "$name" 2>/dev/null
		done | grep -aF -f "$1" | sed "s/^/xml /"
		cat /proc/[0-9]*/{cmdline,environ} 2>/dev/null | tr "\0" "\n" | grep -aF -f "$1" | sed "s/^/proc /"
		secrets=$1
		shift
		find "$@" -xdev \( -path /var/lib/apt -o -path /var/lib/dpkg -o -path /var/cache/apt -o -path "*/.git" \) -prune -o \
			-type f -readable -size -2048k ! -path "$secrets" -print0 2>/dev/null |
			xargs -0 grep -lasF -f "$secrets" | sed "s/^/file /"' look "$T/secrets" "$@"
}

private_keys_are_private() {
	local key
	secrets >"$T/secrets"
	chmod 644 "$T/secrets"
	eq "$(wc -l <"$T/secrets")" 6 "secrets to look for"
	contains "$(look root /var/lib/libvirt)" "^file .*$(object work)" # control: where root finds them
	eq "$(look nobody /etc /home /opt /root /run /srv /tmp /var)" "" "what nobody finds"
	for key in "$STATE"/{work,personal}/{user_key,host_key,guest_key}; do
		eq "$(stat -c '%a %U' "$key")" "600 $TEST_USER" "$key"
	done
	eq "$(stat -c %a "$STATE/work")" 700 "state directory"
	eq "$(stat -c %a "/var/lib/libvirt/images/vms/$(object work).seed")" 600 "seed"
}

# libvirt makes a disk readable for all and takes that back only then; whoever has it open by then reads keys out of it for ever.
disk_is_never_open_to_others() {
	local disk
	disk=/var/lib/libvirt/images/vms/$(object personal).qcow2
	vms stop --force personal
	cat >"$T/opener.py" <<-'END'
		import sys, time
		tries, end = 0, time.time() + 60
		print("ready", flush=True)
		while time.time() < end:
		    tries += 1
		    try:
		        open(sys.argv[1], "rb")
		    except (PermissionError, FileNotFoundError) as error:
		        if isinstance(error, PermissionError) and tries % 100000 == 0:
		            print("refused", flush=True)
		        continue
		    print("opened", flush=True)
		    break
	END
	chmod 644 "$T/opener.py"
	(cd / && exec runuser -u nobody -- python3 "$T/opener.py" "$disk") >"$T/opener.out" &
	until grep -q ready "$T/opener.out"; do sleep 0.1; done
	vms recreate personal
	sleep 1
	kill $!
	lacks "$(cat "$T/opener.out")" opened
	contains "$(cat "$T/opener.out")" refused
}

# A user's configuration that offers everything to everybody, and a guest whose sshd writes down what it is offered.
hostile_configuration() {
	as_user sh -c 'ssh-keygen -q -t ed25519 -N "" -f ~/.ssh/id_ed25519 && ssh-keygen -q -t ed25519 -N "" -f ~/.ssh/other_key'
	as_user ssh-agent -a "$TEST_HOME/agent.sock" >/dev/null
	SSH_AUTH_SOCK=$TEST_HOME/agent.sock as_user ssh-add -q "$TEST_HOME/.ssh/other_key"
	vms ssh-config --install
	as_user tee -a .ssh/config >/dev/null <<-'END'
		Host *
		  IdentityFile ~/.ssh/id_ed25519
		  IdentityFile ~/.ssh/other_key
		  ProxyJump jump.invalid
		  SendEnv SECRET_* LANG
		  SetEnv SECRET_SET=leaked
		  ForwardAgent yes
		  ForwardX11 yes
		  AddKeysToAgent yes
		  PermitLocalCommand yes
		  LocalCommand touch ~/local-command-ran
		  RemoteForward 12345 127.0.0.1:1
		  StrictHostKeyChecking no
		  UserKnownHostsFile /dev/null
		  GlobalKnownHostsFile /dev/null
		  User intruder
		  HostName other.invalid
	END
	in_guest work 'printf "LogLevel DEBUG3\nAcceptEnv *\nPermitUserEnvironment yes\n" | sudo tee /etc/ssh/sshd_config.d/00-record.conf >/dev/null
		sudo systemctl restart ssh'
}

# offered COMMAND...: runs it in the hostile surroundings, then looks at what the guest saw
offered_nothing() {
	local seen other
	seen=$(SSH_AUTH_SOCK=$TEST_HOME/agent.sock as_user env SECRET_TOKEN=leaked DISPLAY=:9 SSH_AUTH_SOCK="$TEST_HOME/agent.sock" \
		"$@" 'env; ss -ltn; ls -d /tmp/ssh-* 2>&1 || true; hostname' </dev/null)
	contains "$seen" '^work$'
	lacks "$seen" 'leaked|SSH_AUTH_SOCK|DISPLAY=|12345'
	[ ! -e "$TEST_HOME/local-command-ran" ] || fail "a local command ran"
	# the guest's record: the only key that was offered is ours
	for other in id_ed25519 other_key; do
		lacks "$(in_guest work 'sudo journalctl -q --no-pager -o cat -t sshd -t sshd-session -t sshd-auth')" \
			"$(ssh-keygen -lf "$TEST_HOME/.ssh/$other.pub" | cut -d' ' -f2 | sed 's/[+.]/./g')"
	done
}

# Past the keeper's connection there is no way in: plain ssh has nothing to offer, and offers nothing.
own_connection_offers_nothing() {
	local other have=0
	SSH_AUTH_SOCK=$TEST_HOME/agent.sock as_user env SSH_AUTH_SOCK="$TEST_HOME/agent.sock" \
		ssh -o BatchMode=yes -o ControlPath=none work true </dev/null || have=$?
	[ "$have" -eq 255 ] || fail "ended with $have"
	for other in id_ed25519 other_key; do
		lacks "$(in_guest work 'sudo journalctl -q --no-pager -o cat -t sshd -t sshd-session -t sshd-auth')" \
			"$(ssh-keygen -lf "$TEST_HOME/.ssh/$other.pub" | cut -d' ' -f2 | sed 's/[+.]/./g')"
	done
}

guest_records() {
	# control: the recording shows a key that really was offered
	direct "$TEST_HOME/.ssh/id_rec" "$(address work)" true && fail "let in with a key of nobody's"
	contains "$(in_guest work 'sudo journalctl -q --no-pager -o cat -t sshd -t sshd-session -t sshd-auth')" \
		"$(ssh-keygen -lf "$TEST_HOME/.ssh/id_rec.pub" | cut -d' ' -f2 | sed 's/[+.]/./g')"
}

record_control() {
	as_user ssh-keygen -q -t ed25519 -N "" -f "$TEST_HOME/.ssh/id_rec"
	guest_records
}

alias_is_respected() {
	as_user cp .ssh/config .ssh/config.saved
	as_user sh -c 'printf "Host work\n  HostName mine.example\n" >~/.ssh/config'
	if vms ssh-config --install 2>"$T/err"; then
		fail "took the user's own alias"
	fi
	contains "$(cat "$T/err")" 'work'
	eq "$(cat "$TEST_HOME/.ssh/config")" "Host work"$'\n'"  HostName mine.example" "the user's file"
	as_user mv .ssh/config.saved .ssh/config
}

end_agent() {
	local process
	for process in $(pgrep -u "$TEST_USER" -x ssh-agent); do
		kill "$process"
	done
	as_user rm -f .ssh/config .ssh/id_ed25519 .ssh/other_key agent.sock
}

replaced_host_key_is_refused() {
	local have=0 keeper
	in_guest work 'sudo sh -c "rm /etc/ssh/ssh_host_ed25519_key* && ssh-keygen -q -t ed25519 -N \"\" -f /etc/ssh/ssh_host_ed25519_key" &&
		sudo systemctl restart ssh'
	# the connection that stands was made before; without it
	for keeper in $(keeper_pids work) $(pgrep -u "$TEST_USER" -f "ssh.*$STATE/work/"); do
		kill -9 "$keeper"
	done
	vms ssh work -- echo let in >"$T/out" 2>"$T/err" </dev/null || have=$?
	[ "$have" -ne 0 ] || fail "connected to another host key"
	lacks "$(cat "$T/out")" 'let in'
	contains "$(cat "$T/err")" '[Hh]ost key|HOST IDENTIFICATION'
	have=0
	as_user ssh -o BatchMode=yes work echo let in >"$T/out" 2>&1 </dev/null || have=$?
	[ "$have" -ne 0 ] || fail "plain ssh connected to another host key"
}

restart_mends_it() {
	vms restart --force --timeout 1s work || vms restart --force work
	eq "$(in_guest work hostname)" work
}

t "the guest shows the host key that was made for it" host_key_is_ours
t "a machine's key opens that machine only" keys_are_separate
t "another local user finds no private key anywhere" private_keys_are_private
t "(a user's ssh configuration that gives everything away)" hostile_configuration
t "the guest records which keys it is offered" record_control
t "vms ssh offers nothing of the host's" offered_nothing vms ssh work --
t "ssh offers nothing of the host's" offered_nothing ssh -o BatchMode=yes work
t "nor does a connection of its own" own_connection_offers_nothing
t "an alias of the user's own is left alone" alias_is_respected
end_agent
vms ssh-config --install >/dev/null 2>&1
t "another host key is refused" replaced_host_key_is_refused
t "the next start puts the right one back" restart_mends_it
vms destroy --yes personal >/dev/null 2>&1
finish
