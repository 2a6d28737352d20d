# facts: own-pool
[profile]
inherits=base

[share:pool]
source=/data
target=~/data
