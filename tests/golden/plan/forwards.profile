# facts: debian-12-tcg
# name: vault
[profile]
inherits=credentials

[network]
mode=nat
forward=8000-9000;3000;8080:80
host=11434;9000:9001
