# facts: debian-12-tcg
[profile]
inherits=base

[machine]
accel=kvm
