# For builds and tests: made, used and thrown away by a script. Small, and without a drop box:
# what goes in and comes out goes through vms cp and vms exec.

[profile]
inherits=base
summary=Builds and tests: a small machine that scripts make and throw away

[machine]
disk=20GiB
