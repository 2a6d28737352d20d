# facts: debian-12-tcg
[profile]
inherits=work

[share:again]
source=/home/alice/vms/work
target=~/again
