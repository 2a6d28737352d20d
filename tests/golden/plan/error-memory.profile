# facts: debian-12-tcg
[profile]
inherits=base

[machine]
memory=64GiB
