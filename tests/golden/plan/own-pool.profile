# facts: own-pool
[profile]
inherits=base
