# facts: debian-12-kvm
# name: work
[profile]
inherits=work
