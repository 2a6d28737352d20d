# For your day job: code that you and your colleagues have reviewed, and everything it pulls in.

[profile]
inherits=base
summary=Your day job: projects, tools and agents that may do as they like in here

[machine]
disk=40GiB

# The drop box: ~/vms/work on the host is ~/shared in the machine. It is made when it is not there.
# Whatever is in it, the machine can read and change: look before you run on the host what came out of it.
[share:shared]
source=~/vms/%n
target=~/shared
mode=rw
create=yes
