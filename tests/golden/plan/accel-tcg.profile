# facts: debian-13-kvm
[profile]
inherits=base

[machine]
accel=tcg
