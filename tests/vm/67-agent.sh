#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The shipped profile agent, for real: packages from the Debian mirror and the npm registry through their own clients,
# installed once; then the tools, Docker, and a project in review mode, without network. Minutes with KVM, an hour with
# emulation: nothing but --full runs it.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

if ! full; then
	echo "1..0"
	exit 0
fi
need_image
SERVICE=18477
vms destroy --yes --if-exists helper plain >/dev/null 2>&1

builds() {
	as_user mkdir -p -m 0700 "$PROFILES"
	printf '[profile]\ninherits=agent\n[network]\nhost=%s\n[provision]\ntimeout=4h\n' "$SERVICE" | as_user tee "$PROFILES/helper.profile" >/dev/null
	local have=0
	as_user timeout 20000 vms -v image build helper >"$T/built" 2>&1 || have=$?
	grep -vE 'Unpacking|Setting up|Preparing|Selecting|Get:' "$T/built" | tail -n 40
	eq "$have" 0 "exit status"
	vms image list
}

# The current directory as a project in review mode, as the README has it.
starts() {
	as_user mkdir -p "$TEST_HOME/agent-project"
	as_user tee "$TEST_HOME/agent-project/README" >/dev/null <<<"a project"
	vms start helper --share "$TEST_HOME/agent-project:~/project" --timeout 20m
	# also as the first command of all
	vms exec helper --timeout 10m -- docker ps
}

# version COMMAND: what it says of itself, as the machine's user, without a shell's help
version() {
	vms exec helper --timeout 15m -- "$1" --version
}

tools_answer() {
	local tool said
	said=$(version node)
	echo "node $said"
	contains "$said" '^v(2[2-9]|[3-9][0-9])[.]'
	for tool in claude codex gemini; do
		said=$(version "$tool")
		echo "$tool $said"
		contains "$said" '[0-9]+[.][0-9]+[.][0-9]+'
	done
	eq "$(vms exec helper -- id -un)" dev
	contains "$(vms exec helper -- gh --version)" '^gh version'
}

# A container from a root file system of the machine's own: no registry is asked.
docker_runs() {
	in_guest helper 'set -e
		mkdir -p root/bin root/proc root/dev; cp /bin/busybox root/bin/; for name in sh cat echo ls wget; do ln -s busybox root/bin/$name; done
		tar -C root -c . | docker import - local >/dev/null
		docker run --rm local /bin/echo container-runs' | grep -x container-runs
}

project_in_a_container() {
	eq "$(in_guest helper 'docker run --rm -v ~/project:/project local /bin/sh -c "cat /project/README; echo changed >/project/new; ls /project"')" "a project
README
new"
	[ ! -e "$TEST_HOME/agent-project/new" ] || fail "it came through to the host"
	contains "$(vms diff helper 2>&1)" new
}

# host=: a service of the host's loopback, for what runs in a container, too
service_in_a_container() {
	local address tries # not server: the trap needs it
	as_user mkdir -p "$TEST_HOME/agent-service"
	as_user tee "$TEST_HOME/agent-service/hello" >/dev/null <<<"hello from the host"
	(cd "$TEST_HOME/agent-service" && exec python3 -m http.server --bind 127.0.0.1 "$SERVICE" >/dev/null 2>&1) &
	server=$!
	trap 'kill "$server" 2>/dev/null' EXIT
	for ((tries = 0; tries < 50; tries++)); do
		! curl -sf "http://127.0.0.1:$SERVICE/hello" >/dev/null || break
		sleep 0.2
	done
	address=$(in_guest helper "ip -4 -o address show docker0 | awk '{ sub(\"/.*\", \"\", \$4); print \$4 }'")
	eq "$(in_guest helper "curl -sf -m 30 http://127.0.0.1:$SERVICE/hello")" "hello from the host"
	eq "$(in_guest helper "docker run --rm local /bin/wget -q -T 30 -O - http://$address:$SERVICE/hello")" "hello from the host"
}

second_without_network() {
	printf '[profile]\ninherits=helper\n[network]\nmode=none\nhost=\n' | as_user tee "$PROFILES/plain.profile" >/dev/null
	vms stop --timeout 10m helper
	vms -v start plain --timeout 20m 2>"$T/said"
	lacks "$(cat "$T/said")" 'starting a machine for'
	contains "$(vms exec plain --timeout 15m -- codex --version)" '[0-9]+[.][0-9]+'
}

goes() {
	vms destroy --yes helper plain
	rm -rf "$TEST_HOME/agent-project" "$TEST_HOME/agent-service" "$PROFILES/helper.profile" "$PROFILES/plain.profile"
}

t "what agent lists is installed from the Debian mirror and the npm registry" builds
sed "s/^/# /" "$T/$number.out"
passed || finish
t "a machine starts from it, with a project for review" starts
passed || finish
t "node, Claude Code, Codex, Gemini CLI and gh say their versions" tools_answer
sed 's/^/# /' "$T/$number.out"
t "Docker runs a container that it imported" docker_runs
t "a container works on the project; the host has nothing of it but by vms diff" project_in_a_container
t "a service of the host is reached from the machine and from a container" service_in_a_container
t "another machine of the same provisioning starts at once, and needs no network" second_without_network
t "(they are removed; the layers stay)" goes
finish
