# SPDX-License-Identifier: MIT
"""nats-server with the configuration of contrib/nats, on loopback, in the network namespace of the
tests; or several of them as a cluster, each in a namespace of its own. It is unpacked by ./dev, not
installed."""
import contextlib
import functools
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile

from harness.waiting import eventually

ROOT = pathlib.Path(__file__).resolve().parents[2]
UNPACKED = ROOT / ".build-daemons/usr/sbin/nats-server"
MAKE_KEYS = ROOT / "contrib/nats/make-keys"
CONFIGURATION = ROOT / "contrib/nats/nats-server.conf"
HOST = "localhost"  # the name in its certificate


def program():
    """The server's path; None if there is none."""
    return str(UNPACKED) if UNPACKED.exists() else shutil.which("nats-server")


def make_certificates(folder, names=f"DNS:{HOST}"):
    """A CA, and a certificate for these names that it has signed."""
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    # Python asks for the usage from 3.13 on.
    openssl("req", "-x509", *key, "-days", "2", "-subj", "/CN=test CA", "-addext",
            "keyUsage=critical,keyCertSign,cRLSign", "-keyout", "ca.key", "-out", "ca.pem")
    openssl("req", *key, "-subj", "/CN=nats", "-addext", f"subjectAltName={names}", "-keyout",
            "server.key", "-out", "server.csr")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "2",
            "-copy_extensions", "copy", "-out", "server.pem")


@functools.cache
def certificates(names):
    """{file: content} of make_certificates(), made once for all servers of these names."""
    with tempfile.TemporaryDirectory(prefix="nats-") as folder:
        make_certificates(folder, names)
        return {file: pathlib.Path(folder, file).read_bytes()
                for file in ("ca.pem", "server.pem", "server.key")}


@functools.cache
def new_key(name, *arguments):
    """What make-keys writes into a file, and the line that it prints; one for each name."""
    with tempfile.TemporaryDirectory(prefix="nats-") as folder:
        seed = pathlib.Path(folder, "seed")
        line = subprocess.run([MAKE_KEYS, *arguments, seed], check=True, stdout=subprocess.PIPE,
                              text=True).stdout
        return seed.read_text(), line


def free_port(address):
    with socket.socket() as sock:
        sock.bind((address, 0))
        return sock.getsockname()[1]


class Nats:
    """A server and the keys of its users. It begins to run with start()."""

    def __init__(self, address="127.0.0.1"):
        self.address = address
        self.host = HOST if address == "127.0.0.1" else address
        self.folder = tempfile.TemporaryDirectory(prefix="nats-")
        self.path = pathlib.Path(self.folder.name)
        self.port = free_port(address)
        self.users = []
        self.process = None
        self._write_certificates(f"DNS:{HOST},IP:{address}")

    def _write_certificates(self, names):
        for file, content in certificates(names).items():
            (self.path / file).write_bytes(content)

    def key(self, name, *arguments, is_known=True):
        """The file with the key of that name; the server knows it from its next start on."""
        seed = self.path / f"{name}.seed"
        text, line = new_key(name, *arguments)
        seed.touch(0o600)
        seed.write_text(text)
        if is_known:
            self.users.append(line)
        return seed

    def settings(self, seed):
        return {"PORT_CHECKER_NATS_URL": f"tls://{self.host}:{self.port}",
                "PORT_CHECKER_NATS_CA": self.path / "ca.pem",
                "PORT_CHECKER_NATS_CREDENTIALS": seed}

    def configuration(self):
        text = CONFIGURATION.read_text()
        for found, wanted in {"0.0.0.0:4222": f"{self.address}:{self.port}",
                              "/etc/nats": str(self.path),
                              "users: [\n": "users: [\n" + "".join(self.users)}.items():
            assert found in text
            text = text.replace(found, wanted)
        return text

    def start(self):
        file = self.path / "nats.conf"
        file.write_text(self.configuration())
        with open(self.path / "log", "ab") as log:
            self.process = subprocess.Popen([program(), "-c", file], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log)
        eventually(self.accepts, "the server accepts connections")
        return self

    def accepts(self):
        assert self.process.poll() is None, self.log()
        with contextlib.suppress(OSError), socket.create_connection((self.address, self.port)):
            return True

    def kill(self):
        """As by `kill -9`."""
        if self.process:
            self.process.kill()
            self.process.wait()
        self.process = None

    def log(self):
        return (self.path / "log").read_text()

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(10)
        self.folder.cleanup()


CLUSTER = """
cluster {{
    name: "checkers"
    listen: "{address}:6222"
    routes: [{routes}]
    tls {{
        cert_file: "{path}/server.pem"
        key_file: "{path}/server.key"
        ca_file: "{path}/ca.pem"
        verify: true
    }}
}}
"""


class Member(Nats):
    """A server of a cluster. The first of them makes the keys for all: `Cluster`."""

    def __init__(self, cluster, address, inside):
        self.cluster, self.address, self.inside = cluster, address, inside
        self.path, self.port, self.users = cluster.path / address, 4222, cluster.users
        self.path.mkdir()
        for file in "ca.pem", "server.pem", "server.key":
            shutil.copy(cluster.path / file, self.path)
        self.process = None

    @property
    def url(self):
        return f"tls://{self.address}:{self.port}"

    def configuration(self):
        routes = ", ".join(f'"nats-route://{member.address}:6222"'
                           for member in self.cluster.members)
        return super().configuration() + CLUSTER.format(address=self.address, routes=routes, path=self.path)

    def start(self):
        with self.inside:
            return super().start()


class Cluster(Nats):
    """Servers at these addresses, in these namespaces, and the keys of their users."""

    def __init__(self, places):
        self.folder = tempfile.TemporaryDirectory(prefix="nats-")
        self.path = pathlib.Path(self.folder.name)
        self.users = []
        self._write_certificates(",".join(f"IP:{address}" for address in places))
        self.members = []
        for address, inside in places.items():
            self.members.append(Member(self, address, inside))

    def settings(self, seed, members=None):
        """Of a client that knows these members, in this order."""
        return {"PORT_CHECKER_NATS_URL": ",".join(one.url for one in members or self.members),
                "PORT_CHECKER_NATS_CA": self.path / "ca.pem",
                "PORT_CHECKER_NATS_CREDENTIALS": seed}

    def start(self):
        for member in self.members:
            member.start()
        return self

    def kill(self):
        for member in self.members:
            member.kill()

    def close(self):
        for member in self.members:
            if member.process and member.process.poll() is None:
                member.process.send_signal(signal.SIGTERM)
        for member in self.members:
            if member.process:
                member.process.wait(10)
        self.folder.cleanup()
