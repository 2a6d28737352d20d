# facts: debian-12-tcg
[profile]
inherits=work

[share:project]
source=~/src/project
target=/home/dev/shared/project
