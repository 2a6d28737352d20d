#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# From a clone to a running virtual machine: installs what is missing, starts libvirt if nothing does, builds and
# installs libsandbox and vms, makes the image, starts the machine `work` for whoever called, and shows it.
#
# Only set-up needs root. Everything that is done as the user who called is done with that user's rights.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
image=debian-13
machine=work
prefix=/usr/local
host_only=no
ssh_config=yes
config=/etc/libsandbox/libvirtd.conf
started_at=$SECONDS

usage() {
	cat <<END
usage: ./quickstart.sh [--image NAME] [--machine NAME] [--prefix DIR] [--no-ssh-config] [--host-only]

  --image NAME       image that the machine is made from: debian-13 (default) or debian-12
  --machine NAME     machine to start (default: work)
  --prefix DIR       where libsandbox and vms are installed (default: /usr/local); with systemd not in a home directory
  --no-ssh-config    do not add the Include line for "ssh $machine" to ~/.ssh/config
  --host-only        only install packages and start libvirt

Run it as root or with sudo. With sudo, the machine belongs to the user who called sudo.
END
}

say() {
	printf '==> %s\n' "$*"
}

note() {
	printf '    %s\n' "$*"
}

# die MESSAGE [WHAT TO DO]
die() {
	printf 'quickstart: %s\n' "$1" >&2
	[ $# -lt 2 ] || printf 'quickstart: what to do: %s\n' "$2" >&2
	exit 1
}

# quiet WHAT COMMAND...: runs it with its output in the log; when it fails, shows the end of that.
quiet() {
	local what=$1
	shift
	if ! "$@" >>"$log" 2>&1 </dev/null; then
		printf 'quickstart: %s failed. The last lines of %s:\n' "$what" "$log" >&2
		tail -n 25 "$log" >&2
		keep_log=yes
		return 1
	fi
}

parse_options() {
	while [ $# -gt 0 ]; do
		case $1 in
		--image | --machine | --prefix)
			[ $# -ge 2 ] || die "$1 needs a value" "./quickstart.sh --help"
			declare -g "${1#--}=$2"
			shift
			;;
		--no-ssh-config) ssh_config=no ;;
		--host-only) host_only=yes ;;
		-h | --help)
			usage
			exit 0
			;;
		*)
			usage >&2
			exit 2
			;;
		esac
		shift
	done
	[[ $image =~ ^[a-z][a-z0-9-]*$ && $machine =~ ^[a-z][a-z0-9-]{0,30}$ && $prefix == /* ]] ||
		die "the image '$image', the machine '$machine' or the prefix '$prefix' is not a possible one" "./quickstart.sh --help"
}

# become_root ARGUMENTS...
become_root() {
	[ "$(id -u)" -ne 0 ] || return 0
	command -v sudo >/dev/null || die "set-up needs root" "su -c '$top/quickstart.sh'"
	say "Set-up needs root: going on with sudo"
	exec sudo -- "$top/quickstart.sh" "$@"
}

# Sets user, home: whom the machine belongs to.
find_caller() {
	user=${SUDO_USER:-root}
	getent passwd "$user" >/dev/null || die "the user $user (SUDO_USER) does not exist" "run it as root, without SUDO_USER"
	home=$(getent passwd "$user" | cut -d: -f6)
	[ -d "$home" ] || die "the home directory of $user ($home) does not exist" "make it, or run as another user"
}

# as_caller COMMAND...: with the user's rights and groups of now (no new login needed) and a clean environment.
as_caller() {
	local settings=(HOME="$home" USER="$user" LOGNAME="$user" SHELL=/bin/sh PATH="$prefix/bin:/usr/bin:/bin:/usr/sbin:/sbin")

	settings+=(LANG="${LANG:-C.UTF-8}" TERM="${TERM:-dumb}")
	if [ "$user" = root ]; then
		(cd / && env -i "${settings[@]}" "$@")
	else
		(cd / && runuser -u "$user" -- env -i "${settings[@]}" "$@")
	fi
}

# --- packages ------------------------------------------------------------------------------------------------

packages() {
	# to build
	printf '%s\n' gcc libc6-dev meson ninja-build pkgconf libglib2.0-dev libxml2-dev libvirt-dev libjson-glib-dev libmnl-dev libseccomp-dev libfuse3-dev
	# to run machines
	printf '%s\n' libvirt-daemon-system libvirt-clients qemu-system-x86 qemu-utils dnsmasq-base iptables nftables kmod procps iproute2 \
		openssh-client git diffutils
	# to make images
	printf '%s\n' mmdebstrap e2fsprogs uidmap ca-certificates debian-archive-keyring
	# the share daemon: a part of qemu-system-common in Debian 12, a package since
	if ! grep -q '^VERSION_ID="12"' /etc/os-release 2>/dev/null; then
		echo virtiofsd
	fi
}

missing_packages() {
	local wanted

	mapfile -t wanted < <(packages)
	comm -23 <(printf '%s\n' "${wanted[@]}" | sort) \
		<(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${wanted[@]}" 2>/dev/null | sed -n 's/^installed //p' | sort)
}

apt() {
	DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 "$@"
}

# A mirror that cannot be reached is a reason to stop only if what we need is then not to be had.
update_lists() {
	note "reading the package lists of your mirror (apt-get update)"
	quiet "apt-get update" apt update || note "going on with the lists that could be read"
}

install_packages() {
	local missing package updated=no

	command -v dpkg-query >/dev/null || die "this script knows Debian and its relatives only" \
		"install what corresponds to: $(packages | tr '\n' ' '); then: meson setup build && meson install -C build"
	mapfile -t missing < <(missing_packages)
	[ "${#missing[@]}" -gt 0 ] || return 0
	say "Installing ${#missing[@]} packages: ${missing[*]}"
	for package in "${missing[@]}"; do
		if ! apt-cache show --no-all-versions "$package" >/dev/null 2>&1; then
			update_lists
			updated=yes
			break
		fi
	done
	if ! quiet "installing packages" apt install --no-install-recommends "${missing[@]}"; then
		[ "$updated" = no ] || die "the packages could not be installed" "apt-get install ${missing[*]}"
		update_lists
		quiet "installing packages" apt install --no-install-recommends "${missing[@]}" ||
			die "the packages could not be installed" "apt-get update && apt-get install ${missing[*]}"
	fi
}

# --- libvirt -------------------------------------------------------------------------------------------------

libvirt_answers() {
	timeout 20 virsh -q -c qemu:///system uri >/dev/null 2>&1
}

libvirt_answers_caller() {
	as_caller timeout 20 virsh -q -c qemu:///system uri >/dev/null 2>&1
}

# wait_for SECONDS COMMAND...
wait_for() {
	local tries=$(($1 * 5))
	shift
	until "$@"; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || return 1
		sleep 0.2
	done
}

# alive NAME: prints the process number of that program on our file system (one in a container is none of ours), fails if none.
alive() {
	local process comm

	for process in /proc/[0-9]*; do
		read -r comm 2>/dev/null <"$process/comm" || continue
		if [ "$comm" = "$1" ] && [ "$process/root" -ef /proc/self/root ]; then
			echo "${process#/proc/}"
			return 0
		fi
	done
	return 1
}

# A daemon that was killed, or a machine that lost power, leaves its sockets and its process number behind.
remove_dead_files() {
	local daemon=$1 file found=()
	shift

	! alive "$daemon" >/dev/null || return 0
	for file in "/run/$daemon.pid" "$@"; do
		[ ! -e "$file" ] || found+=("$file")
	done
	[ "${#found[@]}" -gt 0 ] || return 0
	note "no $daemon runs: removing what a dead one left: ${found[*]}"
	rm -f -- "${found[@]}"
}

# libvirtd makes this one with its first dnsmasq only, and wants it for networks without one, too; a package that has it made it.
make_networks_directory() {
	[ ! -d /var/lib/libvirt ] || [ -e /var/lib/libvirt/dnsmasq ] || mkdir /var/lib/libvirt/dnsmasq
}

write_daemon_config() {
	local new

	new=$(
		cat <<-'END'
			# Written by quickstart.sh of libsandbox, for hosts without systemd and polkit: who is in group libvirt may use
			# libvirt. Nothing else reads this file; the settings in /etc/libvirt are as they were.
			unix_sock_group = "libvirt"
			unix_sock_ro_perms = "0777"
			unix_sock_rw_perms = "0770"
			auth_unix_ro = "none"
			auth_unix_rw = "none"
			log_outputs = "3:file:/var/log/libvirt/libvirtd.log"
		END
	)
	mkdir -p "${config%/*}" /var/log/libvirt
	[ "$(cat "$config" 2>/dev/null)" = "$new" ] || printf '%s\n' "$new" >"$config"
}

# What udev does with this device: a node that QEMU's user cannot open makes libvirt 9.0 probe QEMU anew, for seconds, at
# every single step.
permit_kvm() {
	[ -c /dev/kvm ] && [ ! -d /run/systemd/system ] && getent group kvm >/dev/null || return 0
	if [ "$(stat -c '%G %a' /dev/kvm)" = "root 600" ]; then
		note "no udev here: giving /dev/kvm its usual owner and mode (root:kvm 0660)"
		chgrp kvm /dev/kvm && chmod 0660 /dev/kvm
	fi
}

# Half of a machine's network filter is made of iptables rules for packets that cross its bridge: the kernel has to show them to iptables.
# That is a setting of the whole host: also for bridges of others, the host's iptables rules hold then (as with Docker, which sets the same).
filter_bridges() {
	local setting=net.bridge.bridge-nf-call-iptables

	[ "$(sysctl -n "$setting" 2>/dev/null)" != 1 ] || return 0
	say "Having the kernel show bridged packets to iptables ($setting=1), now and at each boot"
	mkdir -p /etc/modules-load.d /etc/sysctl.d
	echo br_netfilter >/etc/modules-load.d/libsandbox.conf
	echo "$setting=1" >/etc/sysctl.d/60-libsandbox.conf
	[ -e /proc/sys/net/bridge ] || quiet "modprobe br_netfilter" modprobe br_netfilter ||
		die "the kernel has no br_netfilter, which the machines' network filter needs" "modprobe br_netfilter (on the host, if this is a container)"
	quiet "sysctl $setting=1" sysctl -w "$setting=1" || die "$setting cannot be set" "sysctl -w $setting=1 (on the host, if this is a container)"
}

# What libvirt's filters cannot hold. A bridge does not bridge frames to its own group addresses (01:80:c2:00:00:02 to 0f): the kernel takes
# them from the machine's port itself, past every rule of libvirt; so nothing that arrives there and not through a bridge may get further.
close_ports_of_machines() {
	local rules=/etc/libsandbox/ports.nft unit=/etc/systemd/system/libsandbox-ports.service

	mkdir -p "${rules%/*}"
	install -m 644 "$top/domains/host/ports.nft" "$rules"
	quiet "nft -f $rules" nft -f "$rules" || die "the rules of $rules cannot be loaded" "nft -f $rules"
	[ -d /run/systemd/system ] || return 0
	install -m 644 "$top/domains/host/libsandbox-ports.service" "$unit"
	quiet "systemctl enable libsandbox-ports" systemctl enable --now libsandbox-ports.service ||
		die "$unit cannot be enabled" "systemctl enable --now libsandbox-ports.service"
}

# libvirt asks programs in this directory before it starts a machine, whoever wants it started: one of libsandbox's is refused where
# the host's part of its rules is missing. A libvirt that runs already sees a new one after its restart.
refuse_machines_without_rules() {
	local hook=/etc/libvirt/hooks/qemu.d/libsandbox

	[ ! -e "$hook" ] || grep -q 'Written by quickstart.sh of libsandbox' "$hook" || return 0
	mkdir -p "${hook%/*}"
	cat >"$hook" <<-'END'
		#!/bin/sh
		# Written by quickstart.sh of libsandbox: no machine of libsandbox starts without the host's part of its packet filter.
		# all of it is read: libvirt would take a closed pipe for a failure
		[ "$2/$3" = prepare/begin ] && grep urn:libsandbox:1 >/dev/null || exit 0
		if [ "$(cat /proc/sys/net/bridge/bridge-nf-call-iptables)" != 1 ]; then
			echo "this host does not filter bridged packets: sudo sysctl net.bridge.bridge-nf-call-iptables=1" >&2
			exit 1
		fi
		for chain in 'inet libsandbox ports' 'inet libsandbox host' 'arp libsandbox ports'; do
			nft list chain $chain | grep -w drop >/dev/null && continue
			echo "the rules of /etc/libsandbox/ports.nft are not loaded: sudo nft -f /etc/libsandbox/ports.nft" >&2
			exit 1
		done
	END
	chmod 755 "$hook"
}

# No init system that would do it: the daemons are started as they are, with a configuration of our own.
start_daemons_directly() {
	! alive libvirtd >/dev/null || die "libvirtd runs but does not answer on qemu:///system" \
		"look at its log (/var/log/libvirt), end it, and run this again"
	remove_dead_files virtlogd /run/libvirt/virtlogd-sock /run/libvirt/virtlogd-admin-sock
	remove_dead_files libvirtd /run/libvirt/libvirt-sock /run/libvirt/libvirt-sock-ro /run/libvirt/libvirt-admin-sock
	write_daemon_config
	# closing what we inherited: a daemon must not hold a pipe or a lock of whoever started this script
	alive virtlogd >/dev/null || quiet "virtlogd -d" virtlogd -d || die "virtlogd could not be started" "virtlogd -v"
	note "no systemd here: starting libvirtd with $config; a restart of this host ends it, this script starts it again"
	quiet "libvirtd -d -f $config" libvirtd -d -f "$config" ||
		die "libvirtd could not be started" "libvirtd -f $config"
}

start_units() {
	local unit units=()

	if systemctl cat libvirtd.service >/dev/null 2>&1; then
		units=(virtlogd.socket libvirtd.socket libvirtd.service)
	else
		for unit in virtlogd virtqemud virtnetworkd virtstoraged virtnodedevd virtsecretd virtnwfilterd virtinterfaced; do
			systemctl cat "$unit.socket" >/dev/null 2>&1 && units+=("$unit.socket")
		done
	fi
	[ "${#units[@]}" -gt 0 ] || die "systemd knows no unit of libvirt" "apt-get install --reinstall libvirt-daemon-system"
	note "systemctl enable --now ${units[*]}"
	quiet "starting libvirt's units" systemctl enable --now "${units[@]}" ||
		die "libvirt could not be started" "systemctl status ${units[*]}"
}

start_libvirt() {
	if libvirt_answers; then
		return 0
	fi
	say "Starting libvirt"
	if [ -d /run/systemd/system ]; then
		start_units
	else
		start_daemons_directly
	fi
	wait_for 30 libvirt_answers || die "libvirt was started but does not answer on qemu:///system" "virsh -c qemu:///system uri"
}

# A libvirtd that asks polkit, on a host where nobody started it: dbus and polkitd, with their own settings.
start_polkit() {
	local polkitd pid

	[ ! -d /run/systemd/system ] || return 1
	for polkitd in /usr/lib/polkit-1/polkitd /usr/libexec/polkitd; do
		[ ! -x "$polkitd" ] || break
	done
	[ -x "$polkitd" ] && command -v dbus-daemon >/dev/null || return 1
	note "the running libvirtd asks polkit, which does not run: starting dbus and polkitd"
	if ! alive dbus-daemon >/dev/null; then
		mkdir -p /run/dbus
		rm -f /run/dbus/pid /run/dbus/system_bus_socket
		quiet "dbus-daemon" dbus-daemon --system --fork || return 1
	fi
	alive polkitd >/dev/null || setsid -f "$polkitd" --no-debug </dev/null >/dev/null 2>&1
	wait_for 3 libvirt_answers_caller && return 0
	# libvirt 9.0 looks for the bus once and remembers that it found none
	pid=$(alive libvirtd) || return 1
	die "dbus and polkitd run now, but libvirtd (process $pid) was started before them and does not see them" \
		"restart it, machines go on running meanwhile: kill $pid; sleep 1; $(tr '\0' ' ' <"/proc/$pid/cmdline"); then run this again"
}

# --- the caller ----------------------------------------------------------------------------------------------

# first_free_subid FILE: the first number above all ranges that FILE gives away, and at least 100000.
first_free_subid() {
	awk -F: '{ end = $2 + $3 } end > free { free = end } END { print (free > 100000 ? free : 100000) }' "$1" 2>/dev/null ||
		echo 100000
}

prepare_caller() {
	local first

	if ! grep -q "^$user:" /etc/subuid 2>/dev/null || ! grep -q "^$user:" /etc/subgid 2>/dev/null; then
		touch /etc/subuid /etc/subgid
		first=$(printf '%s\n' "$(first_free_subid /etc/subuid)" "$(first_free_subid /etc/subgid)" | sort -n | tail -n 1)
		usermod --add-subuids "$first-$((first + 65535))" --add-subgids "$first-$((first + 65535))" "$user"
		say "Gave $user 65536 subordinate user and group numbers (what a machine's root makes in a share belongs to one of them)"
	fi
	[ "$user" != root ] || return 0
	if ! id -nG "$user" | tr ' ' '\n' | grep -qx libvirt; then
		usermod -a -G libvirt "$user"
		say "Added $user to the group libvirt"
		note "Whoever is in it can become root on this host through libvirt. To take it back: gpasswd -d $user libvirt"
	fi
	libvirt_answers_caller || start_polkit ||
		die "libvirt runs, but does not let $user in, who is in the group libvirt" \
			"see that polkit runs, or look at unix_sock_group and auth_unix_rw in /etc/libvirt/libvirtd.conf"
}

# Whether the session from which this was called knows that its user is in the group: the nearest process of the user's.
session_has_group() {
	local pid=$$ gid

	# a process of which sudo made root still carries the caller as its real user: the effective one tells
	gid=$(getent group libvirt | cut -d: -f3)
	while [ "$pid" -gt 1 ]; do
		if [ "$(awk '/^Uid:/ { print $3 }' "/proc/$pid/status" 2>/dev/null)" = "$(id -u "$user")" ]; then
			awk '/^(Groups|Gid):/' "/proc/$pid/status" | tr -s '[:space:]' '\n' | grep -qx "$gid"
			return
		fi
		pid=$(awk '/^PPid:/ { print $2 }' "/proc/$pid/status" 2>/dev/null) || return 1
		[ -n "$pid" ] || return 1
	done
	return 1
}

# --- build ---------------------------------------------------------------------------------------------------

# as_owner COMMAND...: as the owner of the clone, so that nothing in it ends up belonging to root.
as_owner() {
	local owner

	owner=$(stat -c %U "$top")
	if [ "$owner" = root ] || [ "$owner" = UNKNOWN ]; then
		"$@"
	else
		runuser -u "$owner" -- "$@"
	fi
}

# build_option NAME: what the build directory was set up with.
build_option() {
	meson introspect --buildoptions "$top/build" | python3 -c 'import json, sys
print(next(o["value"] for o in json.load(sys.stdin) if o["name"] == sys.argv[1]))' "$1"
}

installed_targets() {
	as_owner meson introspect --targets "$top/build" | python3 -c 'import json, os, sys
for target in json.load(sys.stdin):
    if target["installed"]:
        print(*(os.path.relpath(name, sys.argv[1]) for name in target["filename"]))' "$top/build"
}

build_and_install() {
	local build=$top/build

	say "Building and installing to $prefix (a minute or two)"
	if [ ! -f "$build/build.ninja" ]; then
		quiet "meson setup" as_owner meson setup --prefix "$prefix" --libdir lib --buildtype release "$build" "$top" ||
			die "the build could not be set up" "remove $build and run this again"
	elif [ "$(build_option prefix)" != "$prefix" ] || [ "$(build_option libdir)" != lib ]; then
		quiet "meson configure" as_owner meson configure "-Dprefix=$prefix" -Dlibdir=lib "$build"
	fi
	# what is installed; the tests are for tests/run.sh
	# shellcheck disable=SC2046 # names of files in the build directory, without blanks
	quiet "the build" as_owner ninja -C "$build" $(installed_targets) || die "the build failed" "read the log above"
	quiet "the installation" meson install --no-rebuild --only-changed -C "$build" || die "the installation failed" "read the log above"
	ldconfig
	# a first command that does not need libvirt: says at once when the installation does not work
	quiet "$prefix/bin/vms version" as_caller "$prefix/bin/vms" version ||
		die "$prefix/bin/vms was installed but does not run" "read the log above; /sbin/ldconfig -p should know libsandbox-1.so.0"
}

# A service of root's is not run from a place that a user may write to, and its unit does not let it see homes and temporary files.
check_prefix() {
	[ -d /run/systemd/system ] || return 0
	case $(realpath -m -- "$prefix")/ in
	/home/* | /root/* | /run/user/* | /tmp/* | /var/tmp/*)
		die "systemd cannot run vms-guard, a service of root's, from the prefix $prefix" \
			"take a place outside of home and temporary directories: --prefix /opt/vms"
		;;
	esac
}

# The AppArmor profile of libvirt's daemon lets it execute what is in /usr/sbin; elsewhere the share helper needs a rule of its own.
permit_share_helper() {
	local profile=/etc/apparmor.d/usr.sbin.libvirtd local=/etc/apparmor.d/local/usr.sbin.libvirtd rule="$prefix/sbin/vms-virtiofsd PUx,"

	[ "$prefix" != /usr ] && [ -e "$profile" ] || return 0
	if ! grep -qxF "$rule" "$local" 2>/dev/null; then
		mkdir -p "${local%/*}"
		printf '%s\n' "$rule" >>"$local"
	fi
	[ -d /sys/kernel/security/apparmor ] && command -v apparmor_parser >/dev/null || return 0
	quiet "apparmor_parser -r $profile" apparmor_parser -r "$profile" ||
		die "AppArmor does not take the rule for the share helper" "see $local, then: apparmor_parser -r $profile"
}

# Pauses machines whose rules somebody takes away. Where one runs already it goes on, with systemd the new one takes its place.
start_guard() {
	local program=$prefix/sbin/vms-guard

	if [ -d /run/systemd/system ]; then
		# systemd looks there only when libsandbox is in one of its own places
		case $prefix in
		/usr | /usr/local) ;;
		*) quiet "systemctl link" systemctl link "$prefix/lib/systemd/system/vms-guard.service" || : ;;
		esac
		if quiet "systemctl daemon-reload" systemctl daemon-reload &&
			quiet "systemctl enable vms-guard" systemctl enable vms-guard.service && quiet "starting vms-guard" systemctl restart vms-guard.service; then
			return 0
		fi
		die "vms-guard could not be started" "systemctl status vms-guard"
	fi
	! alive vms-guard >/dev/null || return 0
	note "no systemd here: starting vms-guard, which watches over the machines' packet filter rules; after a restart of this host: setsid -f $program"
	mkdir -p /var/log/libsandbox
	setsid -f "$program" </dev/null >/dev/null 2>>/var/log/libsandbox/guard.log
	wait_for 3 test -S /run/libsandbox/guard || die "vms-guard could not be started: $(tail -n 1 /var/log/libsandbox/guard.log)" "$program"
}

# --- the machine ---------------------------------------------------------------------------------------------

# With another image than the default one, or a name that no profile is shipped for, the user's profile of the machine says so.
choose_profile() {
	local profile=$home/.config/vms/$machine.profile text=

	if [ ! -e "$prefix/share/libsandbox/domains/$machine.profile" ]; then
		text="[profile]"$'\n'"inherits=work"$'\n'
	fi
	if [ "$image" != debian-13 ]; then
		text+="[machine]"$'\n'"image=$image"$'\n'
	fi
	[ -n "$text" ] || return 0
	if [ ! -e "$profile" ]; then
		note "writing $profile: $(tr '\n' ' ' <<<"$text")"
		# shellcheck disable=SC2016 # expanded by the user's shell
		as_caller sh -c 'umask 077 && mkdir -p "${1%/*}" && printf "%s" "$2" >"$1"' sh "$profile" "$text"
	elif [ "$image" != debian-13 ] && ! grep -qx "image=$image" "$profile"; then
		die "your $profile does not say image=$image" "vms edit $machine, and run this again"
	fi
}

start_machine() {
	say "Image $image"
	as_caller "$prefix/bin/vms" image build "$image" || die "the image $image could not be made" "vms image build $image"
	choose_profile
	say "Starting $machine"
	as_caller "$prefix/bin/vms" start "$machine" || die "the machine $machine did not start" "vms start $machine; vms doctor"
	if [ "$ssh_config" = yes ]; then
		as_caller "$prefix/bin/vms" ssh-config --install ||
			{ ssh_config=no; note "so use: vms ssh $machine"; }
	fi
	say "First words of $machine (over ssh)"
	as_caller "$prefix/bin/vms" ssh "$machine" -- 'uname -a; findmnt -n -o TARGET,SOURCE,FSTYPE ~/shared || :' ||
		die "the machine $machine runs, but a command in it failed" "vms ssh $machine"
}

farewell() {
	printf '\nReady after %d s. What to type next%s:\n\n' $((SECONDS - started_at)) "$([ "$user" = root ] || echo ", as $user")"
	if [ "$user" != root ] && ! session_has_group; then
		printf '    newgrp libvirt          # this terminal does not know yet that you are in group libvirt; a new login does\n'
	fi
	if [ "$ssh_config" = yes ]; then
		printf '    ssh %-19s # a shell in the machine\n' "$machine"
	else
		printf '    vms ssh %-15s # a shell in the machine\n' "$machine"
	fi
	[ ! -d "$home/vms/$machine" ] || printf '    ls %-20s # is ~/shared in the machine\n' "$home/vms/$machine"
	printf '    vms stop %-14s # and: vms start %s, vms status %s, vms help\n' "$machine" "$machine" "$machine"
	printf '\nWhat is protected, and what is not yet: docs/security.md\n'
}

finish() {
	[ -z "${log:-}" ] || [ "${keep_log:-no}" = yes ] || rm -f "$log"
}

main() {
	umask 022
	parse_options "$@"
	become_root "$@"
	log=$(mktemp "${TMPDIR:-/tmp}/quickstart.XXXXXX.log")
	trap finish EXIT
	find_caller
	[ "$host_only" = yes ] || check_prefix
	install_packages
	permit_kvm
	filter_bridges
	close_ports_of_machines
	refuse_machines_without_rules
	make_networks_directory
	start_libvirt
	prepare_caller
	[ "$host_only" = no ] || return 0
	build_and_install
	permit_share_helper
	start_guard
	start_machine
	farewell
}

main "$@"
