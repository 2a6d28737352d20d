# SPDX-License-Identifier: LGPL-2.1-or-later
"""A libvirt test driver's file with many machines of the caller in it, as a host with a long history would have them."""
import os
import uuid

NAMESPACE = uuid.UUID("6b1e4c0d-528f-4e3a-9b77-20d3c1f58a46")


def machine_name(number):
    return "m%03d" % number


def domain(object_name, text, running):
    return """
  <domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'>
    <name>%s</name><uuid>%s</uuid><memory unit='MiB'>64</memory><vcpu>1</vcpu>
    <os><type arch='x86_64'>hvm</type></os>%s
  </domain>""" % (object_name, uuid.uuid5(NAMESPACE, text),
                  "" if running else "<test:runstate>5</test:runstate>")


def network(object_name, number):
    return """
  <network><name>%s</name><bridge name='t%07x'/><ip address='10.213.%d.%d' prefix='29'/></network>""" % (
        object_name, number, number // 32, number % 32 * 8 + 1)


def driver_file(folder, machines, config=None, data=None, complete=True):
    """Writes FOLDER/driver.xml; every third machine runs. With CONFIG and DATA: their profiles and state directories too."""
    uid = os.getuid()
    parts, volumes = [], []
    for number in range(machines):
        name = machine_name(number)
        object_name = "vms-%d-%s" % (uid, name)
        parts.append(domain(object_name, "%d/vms/%s" % (uid, name), number % 3 == 0))
        if complete:
            parts.append(network(object_name, number))
        for suffix in ("qcow2", "seed"):
            volumes.append("<volume type='file'><name>%s.%s</name><capacity>4294967296</capacity>"
                           "<allocation>1048576</allocation></volume>" % (object_name, suffix))
        if config:
            with open(os.path.join(config, name + ".profile"), "w") as f:
                f.write("[profile]\ninherits=work\n")
            os.chmod(os.path.join(config, name + ".profile"), 0o600)
        if data:
            os.makedirs(os.path.join(data, name), mode=0o700)
    # another user's, somebody's own, and one that only looks like ours
    parts.append(domain("vms-%d-other" % (uid + 1), "%d/vms/other" % (uid + 1), True))
    parts.append(domain("foreign", "foreign", True))
    parts.append(domain("vms-%d-foreign" % uid, "not the identity of that name", True))
    path = os.path.join(folder, "driver.xml")
    with open(path, "w") as f:
        f.write("<node>%s\n  <pool type='dir'><name>vms</name><target><path>/vms</path></target>%s</pool>\n</node>\n"
                % ("".join(parts), "".join(volumes)))
    return path
