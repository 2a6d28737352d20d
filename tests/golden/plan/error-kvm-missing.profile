# facts: debian-13-tcg
[profile]
inherits=base

[machine]
accel=kvm
