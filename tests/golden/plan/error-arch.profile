# facts: aarch64
[profile]
inherits=base
