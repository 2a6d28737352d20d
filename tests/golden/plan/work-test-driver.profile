# facts: test-driver
# name: work
[profile]
inherits=work
