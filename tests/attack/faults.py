# SPDX-License-Identifier: MIT
"""The machine below the service runs out of something, or loses its network, beside healthy
clients."""
import concurrent.futures
import contextlib
import os
import pathlib
import resource
import socket
import subprocess
import tempfile
import time

from attack.healthy import NO_ANSWER, Sum, Target, Watcher, beside, is_refusal
from attack.record import Record, attack
from harness import network
from harness.http import Connection, check_body
from harness.service import BINARY, USUAL, Service, environment, kept
from harness.waiting import eventually

# The limits of a process of another user cannot be changed from here.
SAME_USER = {"PORT_CHECKER_USER": "root"} if os.geteuid() == 0 else {}


@contextlib.contextmanager
def limited(pid, kind, soft):
    """Lowers a limit of a running process."""
    before = resource.prlimit(pid, kind)
    resource.prlimit(pid, kind, (soft, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, kind, before)


@contextlib.contextmanager
def faulty(settings=None, **options):
    """A service and a target."""
    with kept(Service(settings, **options)) as service, Target() as target:
        yield service.wait_ready(), target


def verify_after(service, target):
    """Nothing of the fault is left."""
    def is_right():
        reply = service.post(target.body())
        if reply.status == 503:  # it tells for a moment that ports had to wait
            return False
        target.judge(reply.json()["results"])
        return service.get("/health").status == 200
    eventually(is_right, "after the fault, checks are right")


def summary(healthy, note=""):
    total = Sum(healthy)
    return Record(f"{total}; 0 crashes, 0 verdicts blamed on a target" + note, holds=True)


def summary_of_pause(healthy, watcher, p99_ms):
    """Of a fault that makes checks wait, but not requests that need nothing."""
    total = Sum(healthy)
    watcher.verify()
    return Record(f"{watcher}; checks: {len(total.seconds):,} right, {total.failed:,} a 503; "
                  "0 crashes, 0 verdicts blamed on a target",
                  holds=watcher.failed == 0 and watcher.p99_ms() < p99_ms)


# --- descriptors, memory, source ports ----------------------------------------------------

@attack("Faults", "no-descriptors",
        "/health under 300 ms, 0 verdicts blamed on a target; correct afterwards")
def no_descriptors(seconds=26, p99_ms=300):
    """No free descriptor for 26 s, in the middle of checks"""
    with faulty(SAME_USER) as (service, target):
        before = service.descriptors()
        with Watcher(service) as watcher, \
                beside(service, target, 3, does_reconnect=False) as kept_open, \
                beside(service, target, 2) as reconnecting:
            eventually(lambda: all(one.rounds for one in kept_open + reconnecting), "load")
            with limited(service.pid, resource.RLIMIT_NOFILE, 3):
                time.sleep(seconds)
            done = [one.rounds for one in kept_open]
            eventually(lambda: all(one.rounds > count for one, count in zip(kept_open, done)),
                       "checks go on", 30)
        verify_after(service, target)
        eventually(lambda: service.descriptors() <= before, "no descriptor is left")
        return summary_of_pause(kept_open + reconnecting, watcher, p99_ms)


def heavy_client(service, ends_at):
    """Checks of 1,000 ports; any clean refusal will do, and is counted."""
    refused = 0
    body = check_body(["20000-20999"], "127.0.0.1", details=True)
    while time.monotonic() < ends_at:
        try:
            reply = service.post(body)
        except NO_ANSWER:
            refused += 1
            continue
        if reply.status == 200:
            states = {one["state"] for one in reply.json()["results"].values()}
            assert states == {"closed"}, states
        else:
            assert is_refusal(reply), reply
            refused += 1
    return refused


@attack("Faults", "no-memory", "0 crashes, 0 verdicts blamed on a target; correct afterwards")
def no_memory(seconds=10, clients=40):
    """No free memory (RLIMIT_AS and RLIMIT_DATA equal to what is in use), beside 40 clients with
    checks of 1,000 ports"""
    with faulty(SAME_USER) as (service, target):
        verify_after(service, target)
        kinds = {resource.RLIMIT_AS: "VmSize", resource.RLIMIT_DATA: "VmData"}
        status = pathlib.Path(f"/proc/{service.pid}/status").read_text()
        with contextlib.ExitStack() as stack:
            for kind, name in kinds.items():
                size = int(status.split(name + ":")[1].split()[0]) * 1024
                stack.enter_context(limited(service.pid, kind, size))
            pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(clients))
            healthy = stack.enter_context(beside(service, target, 2))
            ends_at = time.monotonic() + seconds
            heavy = [pool.submit(heavy_client, service, ends_at) for _ in range(clients)]
            refused = sum(one.result() for one in heavy)
        verify_after(service, target)
        assert refused > 0, "memory was sufficient"
        return summary(healthy, f"; {refused:,} of the large checks refused")


@attack("Faults", "no-source-ports",
        "/health under 300 ms, 0 verdicts blamed on a target; correct afterwards")
def no_source_ports(seconds=26, count=64, p99_ms=300):
    """All source ports in use for 26 s, in the middle of checks"""
    path = pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range")
    usual = path.read_text()
    first = 28000  # below the usual range: no connection in TIME-WAIT has one
    with contextlib.ExitStack() as stack:
        stack.callback(path.write_text, usual)
        target = stack.enter_context(Target())  # its own ports are outside the range
        path.write_text(f"{first} {first + count - 1}")
        service = stack.enter_context(kept(Service())).wait_ready()
        # A port that was bound is not shared with the connections of probes.
        healthy = stack.enter_context(
            beside(service, target, 3, does_reconnect=False, source="127.0.0.1"))
        watcher = stack.enter_context(Watcher(service, source="127.0.0.1"))
        eventually(lambda: all(one.rounds for one in healthy), "load")
        with contextlib.ExitStack() as taken:
            take_ports(taken, first, count, in_use=len(healthy) + 2)  # the watcher's, its own
            time.sleep(seconds)
        done = [one.rounds for one in healthy]
        eventually(lambda: all(one.rounds > number for one, number in zip(healthy, done)),
                   "checks go on", 30)
        verify_after(service, target)
    return summary_of_pause(healthy, watcher, p99_ms)


def take_ports(stack, first, count, in_use):
    """Binds all others; those of probes are free within a moment."""
    def bind(port):
        sock = socket.socket()
        try:
            sock.bind(("0.0.0.0", port))
        except OSError:
            sock.close()
            return False
        stack.callback(sock.close)
        return True
    left = list(range(first, first + count))

    def are_taken():
        left[:] = [port for port in left if not bind(port)]
        return len(left) == in_use
    eventually(are_taken, "all source ports are taken")


# --- the log ------------------------------------------------------------------------------

class Plain:
    """A service whose standard error is not a file of the harness."""

    context = None

    def __init__(self, stack, stderr, preexec=None):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = free.getsockname()
        settings = {**USUAL, "PORT_CHECKER_PORT": self.address[1]}
        self.process = subprocess.Popen(
            [BINARY, "--env-file", "/dev/null"], env=environment(settings), stderr=stderr,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, preexec_fn=preexec)
        stack.callback(self.end)
        eventually(self.answers, "it answers")

    def answers(self):
        with contextlib.suppress(OSError):
            with Connection(self.address) as connection:
                return connection.exchange("GET", "/health").status == 200
        return False

    def stop(self):
        self.process.terminate()
        status = self.process.wait(30)
        assert status == 0, f"exit status {status}"

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def run_with_log(seconds, clients, make_stderr, preexec=None):
    """Healthy clients, whose checks write lines."""
    with contextlib.ExitStack() as stack:
        service = Plain(stack, make_stderr(stack), preexec)
        target = stack.enter_context(Target())
        with beside(service, target, clients, pause=0) as healthy:
            time.sleep(seconds)
        assert service.process.poll() is None and service.answers()
        service.stop()
    record = summary(healthy)
    record.holds = Sum(healthy).failed == 0
    return record


def full_disk(stack):
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="full-"))
    network.command("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder)
    stack.callback(network.command, "umount", folder)
    log = stack.enter_context(open(f"{folder}/log", "ab"))
    with contextlib.suppress(OSError), open(f"{folder}/rest", "wb", buffering=0) as rest:
        while True:
            rest.write(bytes(4096))
    return log


@attack("Faults", "disk-full", "0 crashes, 0 requests unanswered")
def disk_full(seconds=5, clients=4):
    """The disk that holds the log is full"""
    return run_with_log(seconds, clients, full_disk)


@attack("Faults", "stderr-closed", "0 crashes, 0 requests unanswered")
def stderr_closed(seconds=5, clients=4):
    """The service starts with standard error closed"""
    return run_with_log(seconds, clients, lambda _: None, lambda: os.close(2))


def unread_pipe(stack):
    reader, writer = os.pipe()
    stack.callback(os.close, reader)
    stack.callback(os.close, writer)
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(4096))
    os.set_blocking(writer, True)
    return writer


@attack("Faults", "stderr-blocked", "0 crashes, 0 requests unanswered")
def stderr_blocked(seconds=5, clients=4):
    """Standard error is a full pipe that is never read"""
    return run_with_log(seconds, clients, unread_pipe)


# --- the network --------------------------------------------------------------------------

def ask_tarpit(service, number, ports, ends_at):
    """How many checks were answered; the verdict is that nothing answers."""
    count = 0
    while time.monotonic() < ends_at:
        reply = service.check(ports, f"127.0.1.{number}", source=f"127.0.2.{number + 1}")
        if reply.status == 200:
            assert not reply.json()["success"], reply
            count += 1
        else:
            assert is_refusal(reply), reply
    return count


@attack("Faults", "tarpits", "0 crashes, 0 healthy requests refused, their p99 under 300 ms")
def tarpits(seconds=15, clients=60, ports=100, p99_ms=300):
    """60 checks at a time of 100 ports each that never answer, each with its own caller and
    address"""
    silent = f"20000-{20000 + ports - 1}"
    rules = network.Filter()
    rules.rule([silent], "drop")
    try:
        with faulty({"PORT_CHECK_TIMEOUT": 2}) as (service, target), \
                concurrent.futures.ThreadPoolExecutor(clients) as pool:
            ends_at = time.monotonic() + seconds
            asked = [pool.submit(ask_tarpit, service, number, [silent], ends_at)
                     for number in range(clients)]
            with beside(service, target, 2) as healthy:
                answered = sum(one.result() for one in asked)
            verify_after(service, target)
    finally:
        rules.close()
    total = Sum(healthy)
    return Record(f"{total}; {answered} checks of {ports} silent ports; 0 verdicts blamed on a "
                  "target", holds=total.failed == 0 and total.p99_ms() < p99_ms)


@attack("Faults", "network-gone", "0 crashes, 0 verdicts blamed on a target, other checks continue")
def network_gone(rounds=6, seconds=3):
    """The link to half of the targets goes down and up again, in the middle of checks"""
    machine = network.Machine()
    far = machine.NETS[0][1]
    try:
        with kept(Service({"PORT_CHECK_TIMEOUT": 2})) as service, Target() as here:
            there = machine.call(Target, far)
            service.wait_ready()
            with beside(service, here, 2) as healthy, beside(service, there, 3) as cut_off:
                for _ in range(rounds):
                    time.sleep(seconds / 2)
                    network.command("ip", "link", "set", machine.NEAR, "down")
                    time.sleep(seconds)
                    network.command("ip", "link", "set", machine.NEAR, "up")
            there.close()
            verify_after(service, here)
    finally:
        machine.close()
    total, lost = Sum(healthy), Sum(cut_off)
    return Record(f"{total}; beyond the link {len(lost.seconds):,} rounds right, {lost.failed:,} "
                  "refused; 0 verdicts blamed on a target", holds=total.failed == 0)
