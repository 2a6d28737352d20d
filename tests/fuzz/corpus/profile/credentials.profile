# For secrets: password stores, signing keys, consoles of providers. Run as little as possible in here.
# Nothing of the host is shared with it. Do not add shares, and no tools that download and run code.

[profile]
inherits=base
summary=Passwords, signing keys and admin consoles; shares nothing with the host

[machine]
disk=10GiB
# It runs when you have said so (vms start), never because some script wanted to use it.
start-on-exec=no
