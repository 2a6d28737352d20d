# facts: no-virtiofs
[profile]
inherits=base
