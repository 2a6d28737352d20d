# facts: no-virtiofs
[profile]
inherits=work
