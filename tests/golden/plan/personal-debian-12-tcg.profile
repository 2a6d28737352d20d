# facts: debian-12-tcg
# name: personal
[profile]
inherits=personal
