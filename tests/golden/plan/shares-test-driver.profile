# facts: test-driver
# name: many
[profile]
inherits=work

[machine]
accel=kvm
memory=2TiB

[network]
mode=none

[share:src]
source=~/src/C & <co> "x" 'y'
target=~/src
