# facts: debian-13-tcg
# name: work
[profile]
inherits=work
