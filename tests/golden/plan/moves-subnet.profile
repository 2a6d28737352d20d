# facts: vpn
# subnet: 10.213.7.8/29
[profile]
inherits=base
