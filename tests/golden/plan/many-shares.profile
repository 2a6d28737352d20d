# facts: debian-12-kvm
[profile]
inherits=work
summary=Müller & Söhne <"all" of it> it's ]]> &amp;

[machine]
user=alice
cpus=12
memory=16GiB
disk=1TiB

[share:src]
source=~/src/C & <co> "x" 'y'
target=~/src & <co> "x" 'y'

[share:data]
source=/srv/data
target=/srv/data

[share:notes]
source=~/Bücher
target=~/notes/%n
create=yes
