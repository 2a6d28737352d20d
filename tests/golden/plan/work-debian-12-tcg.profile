# facts: debian-12-tcg
# name: work
[profile]
inherits=work
