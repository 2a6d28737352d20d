# facts: debian-12-tcg
# image-size: 8GiB
[profile]
inherits=base

[machine]
disk=4GiB
