# facts: debian-12-tcg
# name: credentials
[profile]
inherits=credentials
