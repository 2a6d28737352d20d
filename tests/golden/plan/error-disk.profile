# facts: debian-12-tcg
# image-size: 16GiB
[profile]
inherits=base

[machine]
disk=12GiB
