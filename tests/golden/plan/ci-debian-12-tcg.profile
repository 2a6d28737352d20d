# facts: debian-12-tcg
# name: ci
[profile]
inherits=ci
