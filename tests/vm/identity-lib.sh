# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# Everything in a guest that says which machine it is, as the guest says it, and what of it two machines may both have.

# as_root NAME: a script from the standard input, as root in the guest
as_root() {
	vms ssh "$1" -- sudo sh -eu
}

# What programs make for a machine when they are installed or first used, made as they would where it is missing: a script for root.
plant_script() {
	cat <<-'END'
		random() { od -An -v -tx1 -N16 /dev/urandom | tr -d ' \n'; }
		make() { [ -s "$1" ] || random >"$1"; }
		for kind in rsa ecdsa; do
			[ -e /etc/ssh/ssh_host_${kind}_key ] || ssh-keygen -q -t $kind -N '' -f /etc/ssh/ssh_host_${kind}_key
		done
		mkdir -p /var/lib/dbus /var/lib/docker /etc/docker /etc/iscsi /etc/nvme /var/lib/dhcp /var/lib/dhcpcd /var/lib/NetworkManager
		if [ -L /var/lib/dbus/machine-id ] || [ ! -s /var/lib/dbus/machine-id ]; then
			rm -f /var/lib/dbus/machine-id
			cp /etc/machine-id /var/lib/dbus/machine-id
		fi
		make /var/lib/systemd/credential.secret
		make /var/lib/docker/engine-id
		make /etc/docker/key.json
		grep -qs '^InitiatorName=' /etc/iscsi/initiatorname.iscsi ||
			echo "InitiatorName=iqn.1993-08.org.debian:01:$(random)" >/etc/iscsi/initiatorname.iscsi
		make /etc/nvme/hostnqn
		make /etc/nvme/hostid
		make /var/lib/dhcp/dhclient.eth0.leases
		make /var/lib/dhcpcd/duid
		make /var/lib/NetworkManager/secret_key
		sync
	END
}

plant() {
	plant_script | as_root "$1"
}

# Lines NAME VALUE, of what is secret a checksum; "none" for what is not there: a script for root.
identifiers_script() {
	cat <<-'END'
		value() {
			text=$(tr -s '[:space:]' '_')
			text=${text%_}
			printf '%s %s\n' "$1" "${text:-none}"
		}
		sum() { if [ -s "$2" ]; then sha256sum <"$2" | cut -d' ' -f1; fi | value "$1"; }
		hostname | value hostname
		value etc-hostname </etc/hostname
		grep -v localhost /etc/hosts | value hosts
		value machine-id </etc/machine-id
		value dbus-machine-id </var/lib/dbus/machine-id
		value boot-id </proc/sys/kernel/random/boot_id
		for field in product_uuid product_serial board_serial chassis_serial chassis_asset_tag; do
			cat /sys/class/dmi/id/$field 2>/dev/null | value dmi-$field
		done
		value mac </sys/class/net/eth0/address
		ip -o -4 address show scope global | awk '{ print $4 }' | value address
		ip -o -6 address show scope link | awk '{ print $4 }' | value address-6
		ip route show default | value route
		for kind in ed25519 rsa ecdsa dsa; do
			sum host-key-$kind /etc/ssh/ssh_host_${kind}_key
		done
		sum user-key /etc/ssh/authorized_keys.d/dev
		sum guest-key /home/dev/.ssh/id_ed25519
		sum random-seed /var/lib/systemd/random-seed
		sum credential-secret /var/lib/systemd/credential.secret
		sum docker-engine /var/lib/docker/engine-id
		sum docker-key /etc/docker/key.json
		sum iscsi-initiator /etc/iscsi/initiatorname.iscsi
		sum nvme-hostnqn /etc/nvme/hostnqn
		sum nvme-hostid /etc/nvme/hostid
		sum dhcp-lease /var/lib/dhcp/dhclient.eth0.leases
		sum dhcp-duid /var/lib/dhcpcd/duid
		sum network-manager /var/lib/NetworkManager/secret_key
		blkid -s UUID -o value /dev/vda | value file-system
		blkid -s PTUUID -o value /dev/vda | value partition-table
		cat /sys/block/vda/serial 2>/dev/null | value disk-serial
	END
}

identifiers() {
	identifiers_script | as_root "$1"
}

# What a machine and its copy may both have, and why.
SAME="
dmi-product_serial nobody's: QEMU gives none
dmi-board_serial nobody's
dmi-chassis_serial nobody's
dmi-chassis_asset_tag nobody's
iscsi-initiator the copies: made anew when it is used
file-system the frozen layers that both read have it; no host and no machine mounts both, and the disk is known by its label
partition-table there is none
disk-serial QEMU gives none
"

# differ FILE FILE: every name in both with a value; equal are those with a reason, and what is in neither any more
differ() {
	local name value other
	eq "$(cut -d' ' -f1 "$1" | sort)" "$(cut -d' ' -f1 "$2" | sort)" "names"
	[ "$(wc -l <"$1")" -ge 30 ] || fail "only $(wc -l <"$1") identifiers"
	while read -r name value; do
		other=$(awk -v name="$name" '$1 == name { print $2 }' "$2")
		printf '%-22s %-10s %s %s\n' "$name" "$([ "$value" = "$other" ] && echo equal || echo differs)" "$value" "$other"
		[ "$value" = "$other" ] || continue
		[ "$value" != none ] || continue
		grep -q "^$name ." <<<"$SAME" || fail "$name: both have $value"
	done <"$1"
}
