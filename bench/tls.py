# SPDX-License-Identifier: MIT
"""The TLS part of the benchmarks: the service and nginx, with the same keys, and clients that
accept TLS 1.3 with one cipher and one group only, regardless of what the servers prefer."""
import contextlib
import json
import pathlib
import subprocess
import time

import stage
from report import Figure
from stage import Child, Nginx, Trouble

CIPHER = "TLS_AES_128_GCM_SHA256"
KEYS = {"ecdsa": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "rsa": ["rsa:2048"]}
NGINX_PORTS = {"ecdsa": 19001, "rsa": 19002}
HANDSHAKES = {  # kind: key, what a client does, row, goal
    "ecdsa": ("ecdsa", "full", "full TLS handshakes, ECDSA P-256, 1 worker; nginx", 1.0),
    "resumed": ("ecdsa", "resumed", "resumed TLS handshakes, 1 worker; nginx", 1.15),
    "rsa": ("rsa", "full", "full TLS handshakes, RSA-2048, 1 worker; nginx", 0.4),
}
IDLE = 1000
IDLE_SECONDS = 5

# For OpenSSL, which wrk uses: offer no other cipher.
OPENSSL_CONF = f"""
openssl_conf = all
[all]
ssl_conf = ssl
[ssl]
system_default = client
[client]
MinProtocol = TLSv1.3
Ciphersuites = {CIPHER}
Groups = X25519
"""


class Load(Child):
    """A tls_load process that is ready to begin or, if idle, has opened all its connections."""

    def __init__(self, program, kind, port, number):
        super().__init__([program, kind, str(port), str(number)], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            self.read_line()
        except Trouble:
            self.__exit__()
            raise

    def read_line(self):
        line = self.process.stdout.readline()
        if not line:
            raise Trouble(self.process.stderr.read().strip() or "tls_load ended at once")
        return line

    def run(self):
        """The number of completed handshakes."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return json.loads(self.read_line())["handshakes"]


def make_keys(folder):
    """Name of the key -> certificate and key."""
    pairs = {}
    for name, kind in KEYS.items():
        pairs[name] = [f"{folder}/{name}.{suffix}" for suffix in ("pem", "key")]
        stage.run(stage.find_tool("openssl"), "req", "-x509", "-newkey", *kind, "-nodes",
                  "-days", "2", "-subj", "/CN=localhost", "-out", pairs[name][0],
                  "-keyout", pairs[name][1])
    return pairs


def service(bench, pair):
    return bench.service(PORT_CHECKER_WORKERS="1", PORT_CHECKER_TLS_CERT=pair[0],
                         PORT_CHECKER_TLS_KEY=pair[1])


def handshake_rate(program, what, pid, port, seconds):
    """Handshakes per second of the server's processor time."""
    with Load(program, what, port, seconds) as load:
        spent = -stage.processor_seconds(pid)
        count = load.run()
        return count / (spent + stage.processor_seconds(pid))


def loads(bench, program, pairs):
    """Requests on persistent connections, and handshakes."""
    conf = pathlib.Path(bench.folder) / "openssl.cnf"
    conf.write_text(OPENSSL_CONF)
    costs = [[], []]
    rates = {name: ([], []) for name in HANDSHAKES}
    with contextlib.ExitStack() as stack:
        servers = {}  # key: process and port of ours and of theirs
        for key, pair in pairs.items():
            ours = stack.enter_context(service(bench, pair))
            theirs = stack.enter_context(
                Nginx(bench.folder, NGINX_PORTS[key], pair, CIPHER))
            servers[key] = [(ours.pid, ours.port), (theirs.worker, theirs.port)]
            stage.wrk(theirs.port, "/cipher", 1, 1, openssl_conf=conf)
        for _ in bench.each_round("TLS"):
            for known, (pid, port) in zip(costs, servers["ecdsa"]):
                known.append(stage.request_cost(pid, port, "/health", 64, bench.seconds,
                                                openssl_conf=conf))
            for name, (key, what, _, _) in HANDSHAKES.items():
                for known, (pid, port) in zip(rates[name], servers[key]):
                    known.append(handshake_rate(program, what, pid, port, 1))
    bench.row("GET /health over TLS, 64 keep-alive connections, 1 worker; nginx",
              *(Figure(cost, "µs/request", 2) for cost in costs), at_most=0.95)
    for name, (_, _, row, goal) in HANDSHAKES.items():
        bench.row(row, *(Figure(rate, "handshakes/s") for rate in rates[name]),
                  at_least=goal)


def idle(bench, program, pair):
    """What IDLE connections add to the memory of a server that has just started."""
    grown = [[], []]
    for _ in bench.each_round("idle TLS connections"):
        with contextlib.ExitStack() as stack:
            ours = stack.enter_context(service(bench, pair))
            theirs = stack.enter_context(
                Nginx(bench.folder, NGINX_PORTS["ecdsa"], pair, CIPHER))
            servers = [(ours.pid, ours.port), (theirs.worker, theirs.port)]
            before = []
            for pid, port in servers:
                with Load(program, "idle", port, 1):
                    before.append(stage.resident_mib(pid))
            for _, port in servers:
                stack.enter_context(Load(program, "idle", port, IDLE))
            time.sleep(IDLE_SECONDS)
            for known, start, (pid, port) in zip(grown, before, servers):
                if stage.connections_to(port) != IDLE:
                    raise Trouble("idle TLS connections were not kept")
                known.append((stage.resident_mib(pid) - start) * 1024 / IDLE)
    bench.row("memory of an idle TLS connection; nginx",
              *(Figure(sizes, "kB", 1) for sizes in grown), at_most=0.75)


def measure(bench):
    program = stage.compile_program(bench.folder, "tls_load", "-lgnutls", "-pthread")
    pairs = make_keys(bench.folder)
    loads(bench, program, pairs)
    idle(bench, program, pairs["ecdsa"])
