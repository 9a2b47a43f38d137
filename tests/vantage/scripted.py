# SPDX-License-Identifier: MIT
"""A vantage point that says what a test wants and probes nothing, and a front that asks what a test
wants. They speak NATS over TLS with keys of their own."""
import base64
import contextlib
import json
import pathlib
import socket
import ssl
import subprocess
import tempfile
import threading
import time

PKCS8 = bytes.fromhex("302e020100300506032b657004220420")  # of an Ed25519 key, before its bytes
USER = 20 << 3  # what a public key of a user begins with


def openssl(*arguments, data=None):
    return subprocess.run(["openssl", *arguments], input=data, check=True,
                          stdout=subprocess.PIPE).stdout


def text_of(data):
    return base64.b32encode(data).decode().rstrip("=")


def crc(data):
    value = 0
    for byte in data:
        value ^= byte << 8
        for _ in range(8):
            value = (value << 1 ^ 0x1021 if value & 0x8000 else value << 1) & 0xFFFF
    return value.to_bytes(2, "little")


def signed(seed_file, nonce):
    """(public key, signature) as NATS wants them."""
    seed = pathlib.Path(seed_file).read_text().strip()
    der = PKCS8 + base64.b32decode(seed + "=" * (-len(seed) % 8))[2:34]
    public = openssl("pkey", "-inform", "DER", "-pubout", "-outform", "DER", data=der)[-32:]
    public = bytes([USER]) + public
    with tempfile.NamedTemporaryFile() as key, tempfile.NamedTemporaryFile() as message:
        key.write(der)
        message.write(nonce.encode())
        key.flush()
        message.flush()
        signature = openssl("pkeyutl", "-sign", "-rawin", "-keyform", "DER", "-inkey", key.name,
                            "-in", message.name)
    return (text_of(public + crc(public)),
            base64.urlsafe_b64encode(signature).decode().rstrip("="))


class Client:
    """Speaks NATS over TLS with a key. Opened in the namespace of the calling thread."""

    def __init__(self, server, seed, *subscriptions):
        self.denials = []
        plain = socket.create_connection((server.address, server.port), 10)
        hello = json.loads(plain.recv(65536).split(b"\r\n")[0].removeprefix(b"INFO "))
        context = ssl.create_default_context(cafile=server.path / "ca.pem")
        self.sock = context.wrap_socket(plain, server_hostname=server.address)
        public, signature = signed(seed, hello["nonce"])
        self.send("CONNECT " + json.dumps({
            "verbose": False, "pedantic": False, "tls_required": True, "nkey": public,
            "sig": signature, "headers": True, "protocol": 1, "lang": "python", "version": "0"}))
        for number, subscription in enumerate(subscriptions, 1):
            self.send(f"SUB {subscription} {number}")
        self.send("PING")
        self.file = self.sock.makefile("rb")
        line = b""
        while not line.startswith(b"PONG"):
            line = self.file.readline()
            assert line and not line.startswith(b"-ERR"), line
        self.sock.settimeout(None)
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def send(self, line, payload=None):
        data = line.encode() + b"\r\n"
        self.sock.sendall(data if payload is None else data + payload + b"\r\n")

    def publish(self, subject, message, reply=""):
        payload = message if isinstance(message, bytes) else json.dumps(message).encode()
        self.send(f"PUB {subject} {reply} {len(payload)}", payload)

    def serve(self):
        with contextlib.suppress(OSError, ValueError):
            while line := self.file.readline():
                words = line.decode().split()
                if words[0] == "PING":
                    self.send("PONG")
                elif words[0] == "MSG":
                    payload = self.file.read(int(words[-1]) + 2)
                    self.read(words[1], words[-2], json.loads(payload.strip() or "null"))
                elif words[0] == "-ERR":
                    self.denials.append(line.decode())

    def close(self):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.thread.join(10)
        self.file.close()
        self.sock.close()


class ScriptedPlace(Client):
    """Calls answer(job) for each job and sends the ports that it returns, `noise` before them and
    a heartbeat after them. A job that comes once more is the same job. `greeted` counts fronts
    that said hello; a heartbeat answers them."""

    def __init__(self, server, name, seed, answer, claims=None, replies_as=None, noise=()):
        self.answer, self.claims, self.replies_as = answer, claims or name, replies_as or name
        self.name, self.noise = name, noise
        self.jobs, self.greeted = [], 0
        super().__init__(server, seed, f"vp.check.*.{name} {name}", "vp.hello.*")

    def read(self, subject, reply, job):
        if subject.startswith("vp.hello."):
            self.greeted += 1
            self.publish(f"vp.beat.{self.name}", b"")
            return
        if any(job["id"] == had["id"] for had in self.jobs):
            return
        self.jobs.append(job)
        reply = f"{reply.rpartition('.')[0]}.{self.replies_as}"
        for message in self.noise:
            self.publish(reply, message)
        self.publish(reply,
                     {"v": 1, "place": self.claims, "ports": self.answer(job)})
        self.publish(f"vp.beat.{self.name}", b"")


class ScriptedFront(Client):
    """Publishes the jobs that a test wants."""

    def __init__(self, server, name, seed):
        self.name, self.answers, self.told, self.count, self.sent = name, {}, [], 0, 0
        super().__init__(server, seed, f"_INBOX.{name}.>")

    def read(self, subject, reply, answer):
        *_, kind, id, _ = subject.split(".")
        if kind == "late":
            self.told.append(id)
        else:
            self.answers.setdefault(id, []).append(answer)

    def job(self, **members):
        self.count += 1
        job = {"v": 1, "id": f"{self.count:032x}", "budget_ms": 5000,
               "exp": int(time.time() * 1000) + 10000, "caller": "9.9.9.9", "target": "9.9.9.9",
               "ports": "7"}
        return {name: value for name, value in {**job, **members}.items() if value is not None}

    def cancel(self, id):
        self.publish(f"vp.cancel.{self.name}", id.encode())

    def inquire(self, id):
        """Whether a process is at work on that job."""
        self.publish(f"vp.late.{self.name}.eu-1", id.encode(), f"_INBOX.{self.name}.0.0.late.{id}.eu-1")

    def ask(self, job, as_front=None, place="eu-1"):
        """Sends a job; its id. Each reply has a subject of its own: a server of version 2.10 that
        has delivered two messages with one lets no place publish there."""
        id = job["id"] if isinstance(job, dict) else f"{self.count:032x}"
        self.sent += 1
        self.publish(f"vp.check.{as_front or self.name}.{place}", job,
                     f"_INBOX.{self.name}.0.0.{self.sent}.{id}.{place}")
        return id


def ports_of(job):
    for part in job["ports"].split(","):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def all_open(job):
    return [{"port": port, "state": "open", "rtt_us": 1000} for port in ports_of(job)]


def all_closed(job):
    return [{"port": port, "state": "closed", "error": "Connection refused"}
            for port in ports_of(job)]


def all_open_after(seconds):
    def answer(job):
        time.sleep(seconds)
        return all_open(job)
    return answer
