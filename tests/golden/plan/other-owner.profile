# facts: debian-12-tcg
# owner: tool
# uid: 1001
# gid: 100
# home: /home/grace
# name: run-7f3a
[profile]
inherits=ci
