# What every machine starts from. Shipped with libsandbox; an update replaces this file.
# To change something for all of your machines, write the key into defaults.profile in ~/.config/vms;
# for one machine, into NAME.profile there (vms edit NAME). `vms profile keys` explains every key.

[machine]
image=debian-13
# auto follows what the host has.
cpus=auto
memory=auto
# The largest the disk may grow to; on the host it takes up what is used.
disk=40GiB
user=dev
# kvm where the host can and it is fast, emulation (tcg) where not.
accel=auto
# vms ssh, exec and cp may start a machine that does not run.
start-on-exec=yes
# warm: a fresh one goes on from the kept memory of one that has just booted.
start=boot

[network]
# nat: the public internet, but neither your LAN nor the host. none: nothing.
mode=nat
# Only these ports of the public internet (without the key: all of it), for example:
#   egress=443/tcp;22/tcp
# Single addresses of the LAN that are open all the same, for example:
#   allow=192.168.7.5:5432/tcp
# A list replaces the inherited one; with a + in front (allow=+...) it adds to it.
