# facts: debian-12-kvm
# uid: 0
# gid: 0
# home: /root
[profile]
inherits=ci
