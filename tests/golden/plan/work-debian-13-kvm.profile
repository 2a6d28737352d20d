# facts: debian-13-kvm
# name: work
[profile]
inherits=work
