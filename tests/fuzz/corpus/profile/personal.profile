# For your own things: hobby projects, mail, trying out what you have found. Apart from work and its secrets.

[profile]
inherits=base
summary=Your own projects and experiments, apart from work

[machine]
disk=40GiB

# The drop box: ~/vms/personal on the host is ~/shared in the machine. It is made when it is not there.
# Whatever is in it, the machine can read and change: look before you run on the host what came out of it.
[share:shared]
source=~/vms/%n
target=~/shared
mode=rw
create=yes
