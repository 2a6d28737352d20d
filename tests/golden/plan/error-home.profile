# facts: debian-12-tcg
# home: /data/people/alice
[profile]
inherits=base

[share:keys]
source=/data/people/alice/.ssh
