#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# provision.sh VMS LIBEXECDIR DOMAINSDIR: how long `vms recreate` takes of a machine that is provisioned (from its layer) and
# of one that is not, by turns; and whether ten throwaway machines from one layer leave it as it is.
#
# BENCH_ROUNDS (3): rounds of each; the best one counts. BENCH_RUNS (10): throwaway machines. BENCH_MIB (256): how much the
# layer has. Needs the image debian-13 (made when it is missing), and no network.
set -euo pipefail

vms=$1
export SANDBOX_LIBEXEC_DIR=$2 SANDBOX_DOMAINS_DIR=$3 SANDBOX_IMAGES_DIR=$3/images
rounds=${BENCH_ROUNDS:-3}
runs=${BENCH_RUNS:-10}
mib=${BENCH_MIB:-256}
limit=1.1
work=

finish() {
	"$vms" destroy --yes --if-exists bench-plain bench-layer >/dev/null 2>&1 || true
	[ -z "${layer:-}" ] || "$vms" image remove "$layer" >/dev/null 2>&1 || true
	[ -z "$work" ] || rm -rf "$work"
}

prepare() {
	work=$(mktemp -d)
	export HOME=$work XDG_DATA_HOME=$work/data XDG_CONFIG_HOME=$work/config
	"$vms" destroy --yes --if-exists bench-plain bench-layer >/dev/null 2>&1 || true
	"$vms" image build debian-13 >&2
	mkdir -p "$XDG_CONFIG_HOME/vms"
	chmod 0700 "$XDG_CONFIG_HOME" "$XDG_CONFIG_HOME/vms"
	printf '#!/bin/sh\nset -e\nhead -c %sM /dev/urandom >/opt/payload\nseq 2000 | split -l 1 -a 4 - /opt/file-\n' "$mib" >"$XDG_CONFIG_HOME/vms/fill.sh"
	for name in bench-plain bench-layer; do
		printf '[profile]\ninherits=base\n[machine]\nmemory=1GiB\ncpus=1\n' >"$XDG_CONFIG_HOME/vms/$name.profile"
	done
	printf '[provision]\nsetup=fill.sh\n' >>"$XDG_CONFIG_HOME/vms/bench-layer.profile"
	layer=$("$vms" image build bench-layer)
	"$vms" -q start bench-plain >&2
	"$vms" -q start bench-layer >&2
}

# timed NAME: milliseconds of a recreate of a machine that runs; the other one runs, too, and does nothing
timed() {
	local begin
	begin=${EPOCHREALTIME/[.,]/}
	"$vms" -q recreate --yes "$1" >&2
	echo $(((${EPOCHREALTIME/[.,]/} - begin) / 1000)) >>"$work/$1"
	echo "$1: $(tail -n 1 "$work/$1") ms" >&2
}

# digest: of the layer's volume, as libvirt hands it out
digest() {
	virsh -q -c qemu:///system vol-download --pool vms --sparse "layer.${layer#layer-}.qcow2" "$work/layer" >&2
	sha256sum "$work/layer" | cut -d' ' -f1
	rm -f "$work/layer"
}

trap finish EXIT
prepare
for _ in $(seq "$rounds"); do
	timed bench-plain
	timed bench-layer
done
"$vms" -q destroy --yes --keep-profile bench-plain bench-layer >&2
before=$(digest)
for _ in $(seq "$runs"); do
	"$vms" -q run --profile bench-layer -- sh -c 'sudo rm /opt/payload && sudo touch /opt/mine && sync' >&2
done
after=$(digest)
plain=$(sort -n "$work/bench-plain" | head -n 1)
provisioned=$(sort -n "$work/bench-layer" | head -n 1)
ratio=$(awk -v a="$provisioned" -v b="$plain" 'BEGIN { printf "%.2f", a / b }')
echo "recreate, best of $rounds: provisioned ($mib MiB in the layer) $provisioned ms, not provisioned $plain ms, ratio $ratio (at most $limit)"
echo "the layer after $runs throwaway machines that wrote: $([ "$before" = "$after" ] && echo unchanged || echo changed)"
[ "$before" = "$after" ] && awk -v r="$ratio" -v l="$limit" 'BEGIN { exit !(r <= l) }'
