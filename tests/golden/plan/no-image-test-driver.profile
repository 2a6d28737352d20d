# facts: test-driver
# name: bare
# image: none
[profile]
inherits=base
