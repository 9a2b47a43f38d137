# SPDX-License-Identifier: MIT
"""The environment of the benchmarks: a network of its own, the processes under test, the load, and
readings of processor time and memory."""
import http.client
import json
import os
import pathlib
import re
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
HOST = "127.0.0.1"
READY_SECONDS = 10
SILENT_NET = "127.1.0.0/16"  # its SYNs are dropped on arrival


class Trouble(Exception):
    """Something could not be measured."""


# --- where it happens -------------------------------------------------------------------

def enter_own_network():
    """Restarts this program in a network where only loopback exists."""
    apart = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if os.geteuid() != 0:
        apart.append("--map-root-user")
    if os.environ.get("PORT_BENCH_IS_ALONE"):
        del os.environ["PORT_BENCH_IS_ALONE"]
        run("ip", "link", "set", "lo", "up")
        run("nft", "add table inet bench; add chain inet bench input "
                   "{ type filter hook input priority 0; }; add rule inet bench input "
                   f"ip daddr {SILENT_NET} tcp flags & (syn | ack) == syn drop")
        return
    environment = dict(os.environ, PORT_BENCH_IS_ALONE="yes")
    os.execvpe(apart[0], [*apart, sys.executable, *sys.argv], environment)


def run(*command, **environment):
    done = subprocess.run(command, capture_output=True, text=True, check=False,
                          env={**os.environ, **environment})
    if done.returncode != 0:
        raise Trouble(f"{command[0]}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def find_tool(name):
    path = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if not path:
        raise Trouble(f"{name} is missing; ./dev bench installs it")
    return path


def compile_program(folder, name, *libraries):
    program = f"{folder}/{name}"
    run("cc", "-std=gnu17", "-D_GNU_SOURCE", "-O2", f"-I{HERE.parent / 'src'}",
        "-o", program, str(HERE / f"{name}.c"), *map(str, libraries))
    return program


def raise_descriptor_limit():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


# --- figures of a process ---------------------------------------------------------------

def processor_seconds(pid):
    """User and system time of all threads, by the scheduler's own clock."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def resident_mib(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) / 1024


def peak_mib(pid):
    """The peak resident memory. (The figure of wait4() would include the parent's memory before the
    exec.)"""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) / 1024


# --- processes --------------------------------------------------------------------------

def own_environment():
    """The environment without the settings of the person who runs the benchmarks."""
    return {k: v for k, v in os.environ.items() if not k.startswith("PORT_")}


class Child:
    """A process that ends with its `with` block."""

    def __init__(self, command, **options):
        self.process = subprocess.Popen(command, **options)
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def until(self, is_ready, what):
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            value = is_ready()
            if value:
                return value
            if self.process.poll() is not None:
                raise Trouble(f"{what} ended at once, status {self.process.returncode}")
            time.sleep(0.01)
        raise Trouble(f"{what} did not become ready in {READY_SECONDS} s")


class Service(Child):
    """port-checker with its usual settings, except for those given; its log goes to a file, as
    under a service manager."""

    LIMITS = {
        "PORT_CHECKER_RATE": "0",
        "PORT_CHECKER_MAX_CONNECTIONS": "8192",
        "PORT_CHECKER_MAX_CONNECTIONS_PER_CALLER": "8192",
    }

    def __init__(self, binary, folder, **settings):
        folder = pathlib.Path(folder)
        self.log = folder / f"service-{len(list(folder.iterdir()))}.log"
        environment = own_environment()
        environment.update(self.LIMITS, PORT_CHECKER_HOST=HOST, PORT_CHECKER_PORT="0")
        environment.update(settings)
        with open(self.log, "wb") as log:
            super().__init__([binary], cwd=folder, env=environment, stderr=log,
                             stdin=subprocess.DEVNULL)
        try:
            self.port, self.pid = self.until(self._ready, "the service")
        except Trouble as trouble:
            self.__exit__()
            text = self.log.read_text(errors="replace").strip()
            raise Trouble(f"{trouble}: {text}") from None

    def _ready(self):
        """The port, and the serving process; the main process only waits for signals."""
        with open(self.log, encoding="utf-8", errors="replace") as log:
            found = re.search(r"event=ready .*\bport=(\d+) .*\bpid=(\d+)", log.read(65536))
        return (int(found.group(1)), int(found.group(2))) if found else None

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection(HOST, self.port, timeout=30)
        headers = {"Content-Type": "application/json"} if body is not None else {}
        connection.request(method, path, body and json.dumps(body), headers)
        reply = connection.getresponse()
        text = reply.read().decode()
        connection.close()
        if reply.status != 200:
            raise Trouble(f"{method} {path} was answered with {reply.status}: {text[:200]}")
        return text

    def check(self, ports, target=HOST):
        return json.loads(self.ask("POST", "/check-ports",
                                   {"provider_ip": target, "ports": ports}))

    def check_times(self, count):
        """The durations in ms of this many checks, which must be all, from the log."""
        def told():
            times = re.findall(r"event=check .*\bms=([\d.]+)\n", self.log.read_text())
            return times if len(times) >= count else None
        return [float(text) for text in self.until(told, "the log of a check")]

    def metrics(self):
        """Name with labels -> value."""
        rows = {}
        for line in self.ask("GET", "/metrics").splitlines():
            if line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                rows[name.removeprefix("port_checker_")] = float(value)
        return rows


class Verifier(Child):
    """port-verifier with a report as JSON."""

    def __init__(self, binary, *arguments, **options):
        super().__init__([binary, "--json", *arguments], env=own_environment(),
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, **options)

    def report(self):
        return json.loads(self.process.stdout.readline() or "{}")


class Nginx(Child):
    """One worker of nginx that answers every request like GET /health; with a certificate and key
    it speaks TLS, and answers /cipher with 200 to clients that use that cipher."""

    CONFIG = """
daemon off;
user root;
worker_processes 1;
pid {folder}/nginx-{port}.pid;
error_log {folder}/nginx-error.log;
events {{ worker_connections 2048; use epoll; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 60s;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen {host}:{port} {ssl};
        default_type application/json;
        {tls}
        location / {{ return 200 '{{"status": "ok"}}'; }}
    }}
}}
"""
    TLS = """
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_certificate {pair[0]};
        ssl_certificate_key {pair[1]};
        ssl_session_tickets on;
        ssl_session_cache off;
        location = /cipher {{ if ($ssl_cipher != {cipher}) {{ return 400; }} return 200; }}
"""

    def __init__(self, folder, port, pair=None, cipher=None):
        self.port = port
        config = pathlib.Path(folder) / f"nginx-{port}.conf"
        tls = self.TLS.format(pair=pair, cipher=cipher) if pair else ""
        config.write_text(self.CONFIG.format(folder=folder, host=HOST, port=port, tls=tls,
                                             ssl="ssl" if pair else ""))
        super().__init__([find_tool("nginx"), "-p", str(folder), "-c", str(config)],
                         stderr=subprocess.DEVNULL)
        try:
            self.worker = self.until(self._worker, "nginx")
            self.until(lambda: is_answered(port), "nginx")
        except Trouble:
            self.__exit__()
            raise

    def _worker(self):
        path = pathlib.Path(f"/proc/{self.pid}/task/{self.pid}/children")
        children = path.read_text().split()
        return int(children[0]) if children else None


class Listeners(Child):
    def __init__(self, first, count):
        super().__init__([sys.executable, str(HERE / "listeners.py"), str(first), str(count)],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            self.__exit__()
            raise Trouble("the listeners did not start")

    def accepted(self):
        """Stops the workers."""
        self.process.stdin.close()
        return int(self.process.stdout.readline())


def is_answered(port):
    try:
        socket.create_connection((HOST, port), 1).close()
        return True
    except OSError:
        return False


def connections_to(port):
    """Established connections, as their server counts them."""
    return len(run("ss", "-Htn", "state", "established", f"sport = :{port}").splitlines())


# --- load -------------------------------------------------------------------------------

def wrk(port, path, connections, seconds, *check, openssl_conf=None):
    """Requests completed and the time that they took; over TLS if a file says how."""
    return wrk_latency(port, path, connections, seconds, *check, openssl_conf=openssl_conf)[:2]


def wrk_latency(port, path, connections, seconds, *check, openssl_conf=None):
    """The same, and the median and the 99th percentile of the requests in ms."""
    scheme = "https" if openssl_conf else "http"
    environment = {"OPENSSL_CONF": str(openssl_conf)} if openssl_conf else {}
    command = [find_tool("wrk"), "-t1", f"-c{connections}", f"-d{seconds:g}s",
               "--timeout", "30s", "-s", str(HERE / "check.lua"),
               f"{scheme}://{HOST}:{port}{path}", "--", *map(str, check)]
    text = run(*command, **environment)
    result = json.loads(text.strip().splitlines()[-1])
    if result["not_200"] or result["broken"]:
        raise Trouble(f"wrk on {path}: {result['not_200']} answers were not 200, "
                      f"{result['broken']} broke")
    if result["requests"] == 0:
        raise Trouble(f"wrk on {path}: no answer in {seconds:g} s")
    return (result["requests"], result["microseconds"] / 1e6, result["p50"] / 1e3,
            result["p99"] / 1e3)


def request_cost(pid, port, path, connections, seconds, *check, openssl_conf=None):
    """Processor time per request in microseconds."""
    spent = -processor_seconds(pid)
    requests, _ = wrk(port, path, connections, seconds, *check, openssl_conf=openssl_conf)
    spent += processor_seconds(pid)
    return spent * 1e6 / requests


class Crowd:
    """Many connections to one server; each sends one request and stays open."""

    BATCH = 200

    def __init__(self, port):
        self.port = port
        self.sockets = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for one in self.sockets:
            one.close()

    def join(self, requests):
        """A new connection for each request, several at a time."""
        for start in range(0, len(requests), self.BATCH):
            epoll = select.epoll()
            waiting = {}
            for request in requests[start:start + self.BATCH]:
                one = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
                one.connect_ex((HOST, self.port))
                epoll.register(one.fileno(), select.EPOLLOUT)
                waiting[one.fileno()] = (one, request)
                self.sockets.append(one)
            self._send(epoll, waiting)
            epoll.close()

    @staticmethod
    def _send(epoll, waiting):
        while waiting:
            events = epoll.poll(10)
            if not events:
                raise Trouble(f"{len(waiting)} connections were not made within 10 s")
            for fd, _ in events:
                one, request = waiting.pop(fd)
                epoll.unregister(fd)
                if one.send(request) != len(request):
                    raise Trouble("a request did not fit into its socket")

    def read_replies(self):
        for one in self.sockets:
            one.setblocking(True)
            one.settimeout(10)
            if not one.recv(4096).startswith(b"HTTP/1.1 200"):
                raise Trouble("a connection of many was not answered with 200")


def get_request(path):
    return f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()


def check_request(target, ports):
    body = json.dumps({"provider_ip": target, "ports": ports})
    return (f"POST /check-ports HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}").encode()


def silent_address(index):
    return f"127.1.{index // 250}.{index % 250 + 1}"


def stop_on_signals():
    def leave(number, _):
        raise SystemExit(128 + number)
    signal.signal(signal.SIGTERM, leave)
