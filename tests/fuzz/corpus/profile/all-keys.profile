[profile]
inherits=base
summary=a b
[machine]
cpus=2
memory=2GiB
disk=20GiB
user=dev
accel=tcg
[network]
mode=none
[share:a]
source=~/src/a
target=~/a
mode=rw
create=yes
