# facts: debian-12-tcg
# name: vault
[profile]
inherits=credentials

[network]
mode=none
forward=3000-3010:4000-4010
host=11434
