# facts: debian-12-tcg
# image: none
[profile]
inherits=work
