# facts: all-networks-taken
[profile]
inherits=base
