# SPDX-License-Identifier: LGPL-2.1-or-later
"""An ssh server that asks its clients for what they never offered: connections, listeners, agents, displays, keys.

  hostile_sshd.py bundle TAR
  hostile_sshd.py serve KEY LOG LISTED CANARY FRESH SOCKET

"bundle" packs this program with all that it needs of this host, the interpreter too, so that a guest without python runs
it at once. "serve" lets everybody in who has a key, does what clients ask for, and asks each, but the user "reader", for all that
channels() and requests() list; LISTED is a port of the guest that a client forwards, CANARY a port and SOCKET a path of the host
that none does, FRESH a port of the host on which nobody listens. Each attempt is a line of LOG: the client, what it had asked for
itself, the attempt, and what came of it.
"""

import os
import socket
import subprocess
import sys
import tarfile
import threading
import time

import paramiko
from paramiko.common import cMSG_CHANNEL_OPEN, cMSG_CHANNEL_REQUEST, cMSG_GLOBAL_REQUEST

WAIT_SECONDS = 10
WINDOW_BYTES = 1 << 20
PACKET_BYTES = 1 << 15
RUN_SECONDS = 20
READER = "reader"  # who logs in to read the log, and is let alone


def text(*words):
    return b"".join(len(word).to_bytes(4, "big") + word for word in (w.encode() for w in words))


def number(value):
    return value.to_bytes(4, "big")


def origin():
    return text("198.51.100.9") + number(4711)


def channels(listed, canary, path):
    """What a server may ask a client to open: the name of the attempt, the kind, its payload."""
    rows = [("listed", "forwarded-tcpip", text("") + number(listed) + origin())]
    for host in ("127.0.0.1", "localhost", "", "*", "0.0.0.0", "::1"):
        rows.append((f"forwarded-tcpip:{host}", "forwarded-tcpip", text(host) + number(canary) + origin()))
        rows.append((f"direct-tcpip:{host}", "direct-tcpip", text(host) + number(canary) + origin()))
    rows += [
        ("forwarded-tcpip:0", "forwarded-tcpip", text("") + number(0) + origin()),
        ("forwarded-streamlocal", "forwarded-streamlocal@openssh.com", text(path, "")),
        ("direct-streamlocal", "direct-streamlocal@openssh.com", text(path, "") + number(0)),
        ("x11", "x11", origin()),
        ("auth-agent", "auth-agent@openssh.com", b""),
        ("auth-agent-plain", "auth-agent", b""),
        ("session", "session", b""),
        ("tun", "tun@openssh.com", number(1) + number(0x7FFFFFFF)),
        ("mux", "mux-control@openssh.com", b""),
        ("unknown", "no-such-kind@example.org", b""),
    ]
    return rows


def requests(key, canary, fresh, path):
    """What a server may ask of a client as a whole."""
    other = paramiko.ECDSAKey.generate().asbytes()
    blob = len(other).to_bytes(4, "big") + other
    return [
        ("tcpip-forward", text("127.0.0.1") + number(fresh)),
        ("tcpip-forward", text("") + number(0)),
        ("tcpip-forward", text("0.0.0.0") + number(canary)),
        ("cancel-tcpip-forward", text("") + number(canary)),
        ("streamlocal-forward@openssh.com", text(path + ".new")),
        ("hostkeys-00@openssh.com", len(key.asbytes()).to_bytes(4, "big") + key.asbytes() + blob),
        ("hostkeys-prove-00@openssh.com", blob),
        ("no-more-sessions@openssh.com", b""),
        ("no-such-request@example.org", b"x" * 1000),
    ]


def on_a_session():
    """What a server may ask about a session that the client opened: all of it is for clients to ask."""
    return [
        ("auth-agent-req@openssh.com", b""),
        ("x11-req", b"\0" + text("MIT-MAGIC-COOKIE-1", "0" * 32) + number(0)),
        ("exec", text("touch /tmp/hostile-exec")),
        ("subsystem", text("sftp")),
        ("env", text("LD_PRELOAD", "/tmp/x")),
    ]


class Client:
    """One connection, from the log's point of view."""

    def __init__(self, transport, log):
        self.transport, self.log = transport, log
        self.forwards, self.sessions = [], 0
        self.peer = transport.getpeername()[1]
        self.lock = threading.Lock()

    def kind(self):
        if self.forwards:
            return "remote"
        return "session" if self.sessions else "idle"

    def say(self, what, result):
        with self.lock, open(self.log, "a", encoding="utf-8") as out:
            out.write(f"{self.peer} {self.kind()} {what} {result}\n")

    def open(self, name, kind, payload):
        transport = self.transport
        with transport.lock:
            number_here = transport._next_channel()
            message = paramiko.Message()
            message.add_byte(cMSG_CHANNEL_OPEN)
            message.add_string(kind)
            for value in (number_here, WINDOW_BYTES, PACKET_BYTES):
                message.add_int(value)
            message.add_bytes(payload)
            channel = paramiko.Channel(number_here)
            transport._channels.put(number_here, channel)
            event = threading.Event()
            transport.channel_events[number_here] = event
            transport.channels_seen[number_here] = True
            channel._set_transport(transport)
            channel._set_window(WINDOW_BYTES, PACKET_BYTES)
        transport._send_user_message(message)
        answered = event.wait(WAIT_SECONDS)
        # a connection that ends answers everything; a channel that was confirmed is active
        opened = answered and transport._channels.get(number_here) is not None and channel.active
        gone = answered and not opened and not transport.is_active()
        self.say(name, "opened" if opened else "gone" if gone else "refused" if answered else "silent")
        return channel if opened else None

    def use(self, name, channel):
        """Whoever is behind it is spoken to, so that a connection is one in which something was said."""
        channel.settimeout(3)
        try:
            channel.sendall(f"GET /who?{name} HTTP/1.0\r\n\r\n".encode())
            got = channel.recv(4096)
        except (OSError, paramiko.SSHException):
            got = b""
        self.say(f"{name}-answer", repr(got[-40:]))
        channel.close()

    def request(self, kind, payload, answer):
        self.transport.completion_event = threading.Event()
        message = paramiko.Message()
        message.add_byte(cMSG_GLOBAL_REQUEST)
        message.add_string(kind)
        message.add_boolean(answer)
        message.add_bytes(payload)
        self.transport._send_user_message(message)
        if not answer:
            return self.say(kind, "sent")
        if not self.transport.completion_event.wait(WAIT_SECONDS):
            return self.say(kind, "silent")
        return self.say(kind, "refused" if self.transport.global_response is None else "granted")

    def attack(self, key, listed, canary, fresh, path):
        time.sleep(2)  # until it has asked for what it wants itself
        self.say("begin", "-")
        for row in channels(listed, canary, path):
            channel = self.open(*row)
            if channel:
                self.use(row[0], channel)
        for answer in (True, False):
            for row in requests(key, canary, fresh, path):
                self.request(*row, answer)
        # once more: what was asked for above may have been noted
        channel = self.open("forwarded-tcpip:again", "forwarded-tcpip", text("0.0.0.0") + number(canary) + origin())
        if channel:
            self.use("again", channel)
        self.say("end", "-")


class Server(paramiko.ServerInterface):
    def __init__(self, client):
        self.client = client

    def get_allowed_auths(self, username):
        return "publickey"

    def check_auth_publickey(self, username, key):
        return paramiko.AUTH_SUCCESSFUL

    def check_channel_request(self, kind, chanid):
        if kind == "session":
            self.client.sessions += 1
        return paramiko.OPEN_SUCCEEDED

    def check_channel_direct_tcpip_request(self, chanid, origin, destination):
        return paramiko.OPEN_SUCCEEDED

    def check_channel_forward_agent_request(self, channel):
        return True

    def check_channel_x11_request(self, channel, *words):
        return True

    def check_channel_env_request(self, channel, name, value):
        return True

    def check_channel_pty_request(self, channel, *words):
        return True

    def check_port_forward_request(self, address, port):
        self.client.forwards.append(port)
        return port or 1

    def check_channel_exec_request(self, channel, command):
        threading.Thread(target=self.run, args=(channel, command), daemon=True).start()
        return True

    def run(self, channel, command):
        done = subprocess.run(["runuser", "-u", "dev", "--", "sh", "-c", command], stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=RUN_SECONDS, check=False)
        for kind, payload in on_a_session() if self.client.transport.get_username() != READER else ():
            message = paramiko.Message()
            message.add_byte(cMSG_CHANNEL_REQUEST)
            message.add_int(channel.remote_chanid)
            message.add_string(kind)
            message.add_boolean(False)
            message.add_bytes(payload)
            self.client.transport._send_user_message(message)
            self.client.say(f"on-session:{kind}", "sent")
        channel.sendall(done.stdout)
        channel.sendall_stderr(done.stderr)
        channel.send_exit_status(done.returncode)
        channel.close()


def meet(connection, key, log, numbers, path):
    transport = paramiko.Transport(connection)
    transport.add_server_key(key)
    client = Client(transport, log)
    try:
        transport.start_server(server=Server(client))
        end = time.time() + 30
        while not transport.is_authenticated() and time.time() < end:
            time.sleep(0.1)
        if transport.is_authenticated() and transport.get_username() != READER:
            client.attack(key, *numbers, path)
    except (OSError, EOFError, paramiko.SSHException) as error:
        client.say("error", repr(error))


def serve(key_path, log, listed, canary, fresh, path):
    key = paramiko.Ed25519Key.from_private_key_file(key_path)
    listener = socket.create_server(("", 22), backlog=64)
    while True:
        connection, _ = listener.accept()
        numbers = (int(listed), int(canary), int(fresh))
        threading.Thread(target=meet, args=(connection, key, log, numbers, path), daemon=True).start()


def connect_once():
    """To itself: much is loaded only when it is needed."""
    ours, theirs = socket.socketpair()
    key = paramiko.ECDSAKey.generate()
    server, client = paramiko.Transport(ours), paramiko.Transport(theirs)
    for transport in (server, client):
        transport.get_security_options().ciphers = ("aes128-ctr",)
    server.add_server_key(key)
    server.getpeername = lambda: ("", 0)
    server.start_server(event=threading.Event(), server=Server(Client(server, os.devnull)))
    client.connect(username="x", pkey=key)
    client.open_session().close()
    client.close()
    server.close()


def bundle(out):
    """Files of the modules that are loaded now, libraries that are mapped now, and this program."""
    connect_once()
    files = {os.path.realpath(sys.executable): "python", os.path.abspath(__file__): "hostile_sshd.py"}
    for module in list(sys.modules.values()):
        for name in (getattr(module, "__file__", None), getattr(module, "__cached__", None)):
            if name and os.path.isfile(name) and name.startswith(("/usr/", "/lib")):
                files[name] = "root" + name
    with open("/proc/self/maps", encoding="utf-8") as maps:
        for line in maps:
            name = line.split()[-1]
            if name.startswith("/") and ".so" in name:
                # by the name by which others ask for it: without the minor version
                base = ".".join(os.path.basename(name).split(".")[:3])
                files.setdefault(name, "lib/" + ("ld.so" if base.startswith("ld-linux") else base))
    with tarfile.open(out, "w") as tar:
        for name, inside in sorted(files.items()):
            tar.add(os.path.realpath(name), inside)


if __name__ == "__main__":
    if sys.argv[1] == "bundle":
        bundle(sys.argv[2])
    else:
        serve(*sys.argv[2:])
