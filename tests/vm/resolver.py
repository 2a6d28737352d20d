# SPDX-License-Identifier: LGPL-2.1-or-later
"""What stands for the resolver of a network, for tests/vm/39-dns.sh: resolver.py ADDRESS SECONDS

Answers on port 53, UDP and TCP, and writes down "query PROTOCOL PEER PORT NAME TYPE" for each question. It knows the names of a
LAN, names that an attacker made point into closed networks, and one public name."""
import ipaddress
import socket
import socketserver
import struct
import sys
import threading
import time

TYPES = {1: "A", 12: "PTR", 16: "TXT", 28: "AAAA"}
NAMES = {
    "public.example": ["5.5.5.5"],
    "fritz.box": ["192.168.178.1"],
    "nas.local": ["192.168.0.10"],
    "printer": ["192.168.0.11"],
    "rebind-192.example": ["192.168.0.1"],
    "rebind-10.example": ["10.66.6.6"],
    "rebind-172.example": ["172.16.66.6"],
    "rebind-127.example": ["127.0.0.1"],
    "rebind-169.example": ["169.254.169.254"],
    "rebind-0.example": ["0.0.0.0"],
    "rebind-gateway.example": ["10.213.0.1"],
    "rebind-mixed.example": ["5.5.5.5", "192.168.0.1"],
    "rebind-6.example": ["::1"],
    "rebind-local6.example": ["fe80::1"],
    "rebind-unique6.example": ["fd00::1"],
    "rebind-mapped.example": ["::ffff:192.168.0.1"],
}


def answers(name, kind):
    if kind == "PTR" and name.endswith(".in-addr.arpa"):
        return [b"".join(bytes([len(p)]) + p for p in b"secret.fritz.box".split(b".")) + b"\0"]
    if kind == "TXT":
        return [b"\x05hello"] if name in NAMES else []
    found = [ipaddress.ip_address(a) for a in NAMES.get(name, [])]
    return [a.packed for a in found if kind == ("A" if a.version == 4 else "AAAA")]


def reply(message, protocol, peer):
    labels, at = [], 12
    while message[at]:
        labels.append(message[at + 1:at + 1 + message[at]].decode("latin-1"))
        at += 1 + message[at]
    number = struct.unpack("!H", message[at + 1:at + 3])[0]
    name, kind = ".".join(labels).lower(), TYPES.get(number, str(number))
    print("query", protocol, peer[0], peer[1], name, kind, flush=True)
    data = answers(name, kind)
    text = message[:2] + struct.pack("!HHHHH", 0x8180 if data or name in NAMES else 0x8183, 1, len(data), 0, 0) + message[12:at + 5]
    return text + b"".join(b"\xc0\x0c" + struct.pack("!HHIH", number, 1, 1, len(d)) + d for d in data)


class Udp(socketserver.BaseRequestHandler):
    def handle(self):
        self.request[1].sendto(reply(self.request[0], "udp", self.client_address), self.client_address)


class Tcp(socketserver.StreamRequestHandler):
    timeout = 5

    def handle(self):
        length = struct.unpack("!H", self.rfile.read(2))[0]
        answer = reply(self.rfile.read(length), "tcp", self.client_address)
        self.wfile.write(struct.pack("!H", len(answer)) + answer)


def main():
    address, seconds = sys.argv[1], int(sys.argv[2])
    socketserver.ThreadingTCPServer.allow_reuse_address = True
    for server in socketserver.ThreadingUDPServer((address, 53), Udp), socketserver.ThreadingTCPServer((address, 53), Tcp):
        server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print("ready", flush=True)
    time.sleep(seconds)


main()
