# SPDX-License-Identifier: MIT
"""The service as a process: started with settings, found by its ready line, stopped."""
import contextlib
import json
import os
import pathlib
import pwd
import re
import resource
import shutil
import signal
import subprocess
import tempfile

from prometheus_client.parser import text_string_to_metric_families

from harness import network
from harness.http import Connection, authority_of, check_body
from harness.waiting import PATIENCE, eventually

BUILD_DIR = pathlib.Path(os.environ.get("BUILD_DIR", "build")).resolve()
BINARY = BUILD_DIR / "port-checker"

SANITIZER_REPORT = re.compile(r"Sanitizer|runtime error:")
SANITIZER_STATUS = 99

# What the programs see of our environment: none of the tester's own settings.
PASSED_ON = ("PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS")

FIELD = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|[^\s"]*)(?: |$)')

# Settings that suit most tests: silence is judged soon, and the budget is never short.
USUAL = {
    "PORT_CHECKER_HOST": "127.0.0.1",
    "PORT_CHECKER_PORT": "0",
    "PORT_CHECKER_WORKERS": "2",
    "PORT_CHECK_TIMEOUT": "0.5",
    "PORT_CHECKER_RATE": "0",
}


def is_mapped(user):
    """Whether that user exists in this user namespace."""
    uid = pwd.getpwnam(user).pw_uid
    ranges = [line.split() for line in open("/proc/self/uid_map", encoding="ascii")]
    return any(int(first) <= uid < int(first) + int(count) for first, _, count in ranges)


# Without it, the log of a service that was started as root begins with a warning.
OTHER_USER = "nobody" if is_mapped("nobody") else "root"
if os.geteuid() == 0:
    USUAL["PORT_CHECKER_USER"] = OTHER_USER


def environment(settings):
    passed_on = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return {**passed_on, **{name: str(value) for name, value in settings.items()}}


def run(*arguments, directory, wrapper=(), pass_fds=(), **settings):
    """Runs the program to its end in `directory` and returns the completed process."""
    ended = subprocess.run(
        [*wrapper, BINARY, *arguments],
        cwd=directory,
        env=environment(settings),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20 * PATIENCE,
        pass_fds=pass_fds,
    )
    refuse_reports(ended.returncode, ended.stderr)
    return ended


def refuse_reports(status, text):
    assert status != SANITIZER_STATUS and not SANITIZER_REPORT.search(text), text


def parse_line(line):
    """The fields of one log line in either format; None if it is not a log line."""
    if line.startswith("{"):
        return json.loads(line)
    fields = {}
    for name, value in FIELD.findall(line):
        fields[name] = json.loads(value) if value.startswith('"') else value
    return fields if "event" in fields else None


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as children:
        return [int(child) for child in children.read().split()]


class Service:
    """A running port-checker. `settings` are added to USUAL; None removes one."""

    def __init__(self, settings=None, env_file=None, arguments=(), descriptors=None,
                 directory=None, binary=BINARY, wrapper=(), pass_fds=()):
        settings = {**USUAL, **(settings or {})}
        self.folder = None if directory else tempfile.TemporaryDirectory(prefix="checker-")
        self.directory = pathlib.Path(directory or self.folder.name)
        self.env_file = self.directory / ".env"
        if env_file is not None:
            self.env_file.write_text(env_file)

        self.log = open(self.directory / "stderr", "w+b")
        self.process = subprocess.Popen(
            [*wrapper, binary, *arguments],
            cwd=self.directory,
            env=environment({k: v for k, v in settings.items() if v is not None}),
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            pass_fds=pass_fds,
            preexec_fn=(lambda: resource.setrlimit(resource.RLIMIT_NOFILE,
                                                   (descriptors, descriptors)))
            if descriptors else None,
        )
        self.pid = self.process.pid  # of the serving process, once it is ready
        self.context = None  # of TLS
        self.ready = {}

    # --- what it says -----------------------------------------------------------------

    def stderr(self):
        """Everything written so far; the file position that we share with the service stays 0."""
        size = os.fstat(self.log.fileno()).st_size
        return os.pread(self.log.fileno(), size, 0).decode(errors="replace")

    def events(self, name=None):
        """The log lines so far, without an incomplete last one."""
        lines = self.stderr().split("\n")[:-1]
        events = [fields for fields in map(parse_line, lines) if fields]
        return [fields for fields in events if name in (None, fields["event"])]

    def wait_draining(self):
        """The main process says that it drains before the serving one does."""
        self.wait_event("draining")
        eventually(lambda: self.get("/health").status == 503, "it drains")

    def wait_event(self, name, count=1, within=10.0):
        """Waits until this many lines have that event, and returns the last of them."""
        def last():
            found = self.events(name)
            return found[count - 1] if len(found) >= count else None
        return eventually(last, f"{count} x event={name} in the log", within)

    def wait_ready(self, count=1):
        def ready_or_ended():
            return len(self.events("ready")) >= count or self.process.poll() is not None
        eventually(ready_or_ended, "the ready line", within=15)
        assert self.process.poll() is None, f"it ended: {self.stderr()}"
        self.ready = self.events("ready")[count - 1]
        self.pid = int(self.ready["pid"])
        return self

    @property
    def port(self):
        return int(self.ready["port"])

    @property
    def address(self):
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.ready["address"])
        return (host or self.ready["address"], self.port)

    @property
    def url(self):
        scheme = "https" if self.context else "http"
        return f"{scheme}://{authority_of(self.address)}"

    # --- talking to it ----------------------------------------------------------------

    def connect(self, source=None, host=None, **options):
        address = (host, self.port) if host else self.address
        return Connection(address, source=source, context=self.context, **options)

    def exchange(self, method, path, headers=(), body=None, source=None, host=None, **more):
        """One request on a connection of its own."""
        with self.connect(source=source, host=host) as connection:
            return connection.exchange(method, path, headers, body, **more)

    def get(self, path, headers=(), **more):
        return self.exchange("GET", path, headers, **more)

    def post(self, body, headers=(("Content-Type", "application/json"),), **more):
        return self.exchange("POST", "/check-ports", headers, body, **more)

    def check(self, ports, provider_ip="127.0.0.1", headers=(), details=None, **more):
        extra = {} if details is None else {"details": details}
        body = check_body(ports, provider_ip, **extra)
        return self.post(body, [("Content-Type", "application/json"), *headers], **more)

    def verdicts(self, ports, provider_ip="127.0.0.1", **more):
        """{port: state} of a check, which must be answered with 200."""
        reply = self.check(ports, provider_ip, details=True, **more)
        assert reply.status == 200, reply
        results = reply.json()["results"]
        return {int(port): result["state"] for port, result in results.items()}

    def metrics(self, connection=None):
        """{series: value}; a series is its name, or (name, value of its only label)."""
        reply = connection.exchange("GET", "/metrics") if connection else self.get("/metrics")
        assert reply.status == 200, reply
        found = {}
        for family in text_string_to_metric_families(reply.body.decode()):
            for sample in family.samples:
                labels = tuple(sample.labels.values())
                found[(sample.name, *labels) if labels else sample.name] = sample.value
        return found

    def metric(self, name, *labels):
        name = "port_checker_" + name
        return self.metrics().get((name, *labels) if labels else name, 0)

    # --- what it holds ----------------------------------------------------------------

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def descriptors_of_parent(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def children(self):
        """The processes that the main process has started."""
        return children_of(self.process.pid)

    def at_rest(self):
        """(descriptors, bytes of memory) in use once all other clients have left. The connection
        used to ask is included."""
        with self.connect() as connection:
            def is_at_rest():
                metrics = self.metrics(connection)
                return (metrics["port_checker_http_connections_open"] == 1
                        and metrics["port_checker_checks_running"] == 0
                        and metrics["port_checker_probes_in_flight"] == 0
                        and metrics["port_checker_ports_deferred"] == 0)
            eventually(is_at_rest, "all have left, and their checks have ended", 15)
            return self.descriptors(), self.resident()

    def probing(self, ports):
        """The inodes of its IPv4 sockets in SYN-SENT to these ports. A single snapshot takes time,
        so its sockets need not have existed together; those in two snapshots did, between the
        two."""
        return {sock.inode for sock in network.tcp_sockets(self.pid)
                if sock.state == network.SYN_SENT and sock.remote_port in ports}

    def processor_seconds(self):
        """Processor time used, which does not depend on the load of the machine."""
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def is_asleep(self):
        """Whether all threads of the process that serves wait for something."""
        stats = pathlib.Path(f"/proc/{self.pid}/task").glob("*/stat")
        return {stat.read_text().rpartition(")")[2].split()[0] for stat in stats} == {"S"}

    def resident(self):
        """Resident memory in bytes."""
        with open(f"/proc/{self.pid}/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize()

    # --- its end ----------------------------------------------------------------------

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, within=30):
        return self.process.wait(timeout=within * PATIENCE)

    def stop(self):
        """Stops it as an operator does; it must end soon and with status 0."""
        if self.log.closed:
            return
        try:
            if self.process.poll() is None:
                self.signal(signal.SIGTERM)
            status = self.wait()
            text = self.stderr()
            refuse_reports(status, text)
            assert status == 0, f"exit status {status}: {text}"
        finally:
            self.discard()

    def discard(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.log.close()
        if self.folder:
            self.folder.cleanup()


running = []  # for the report of a failed test


@contextlib.contextmanager
def kept(service):
    """Ends the service, which must end cleanly, whether the test passed or failed."""
    running.append(service)
    try:
        yield service
        service.stop()
    finally:
        service.discard()
        running.remove(service)


@contextlib.contextmanager
def for_all_users(*programs):
    """Copies of programs that every user may execute: the checkout may be in root's home."""
    with tempfile.TemporaryDirectory(prefix="checker-") as folder:
        os.chmod(folder, 0o755)
        copies = [pathlib.Path(shutil.copy(program, folder)) for program in programs]
        for copy in copies:
            copy.chmod(0o755)
        yield copies


def replace(binary, make):
    """Exchanges a program for the file that make(path) writes, as a package manager does."""
    make(binary.with_name("new"))
    os.chmod(binary.with_name("new"), 0o755)
    os.replace(binary.with_name("new"), binary)
