# facts: debian-12-tcg
# name: vault
[profile]
inherits=credentials

[machine]
encrypt=yes
