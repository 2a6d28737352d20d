# facts: debian-12-tcg
# name: vault
[profile]
inherits=credentials

[network]
mode=nat
egress=443/tcp;22/tcp;8000-8010/udp
allow=10.0.0.5:5432/tcp;192.168.7.0/24/udp
