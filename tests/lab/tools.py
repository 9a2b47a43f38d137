# SPDX-License-Identifier: MIT
"""The tools that are compared. Each gets one address and a list of ports, and
answers with an Answer."""
import asyncio
import contextlib
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field

from ports import CLOSED, FILTERED, OPEN, UNJUDGED, UNREACHABLE
from topology import CHECKER_CONTROL, HERE



@dataclass
class Answer:
    tool: str
    address: str
    ports: dict = field(default_factory=dict)  # port -> (state, milliseconds or None)
    seconds: float = 0.0                       # until the whole answer was there
    cpu: float = 0.0                           # seconds of processor time, where known
    trouble: str = ""                          # what it said instead of judging


async def run_child(space, words, preexec, children, patience):
    """Runs a program in a namespace, for at most `patience` seconds: (stdout, stderr, exit
    status, seconds, processor seconds). While it runs it is one of the set `children`."""
    loop = asyncio.get_running_loop()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.monotonic()
        with space:
            child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                     preexec_fn=preexec)
        children.add(child)
        watched = os.pidfd_open(child.pid)
        ended = loop.create_future()
        loop.add_reader(watched, lambda: ended.done() or ended.set_result(None))
        try:
            await asyncio.wait_for(ended, patience)
        except (asyncio.TimeoutError, asyncio.CancelledError):
            child.kill()
            raise
        finally:
            children.discard(child)
            loop.remove_reader(watched)
            os.close(watched)
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - start
        out.seek(0)
        err.seek(0)
        return (out.read().decode(errors="replace"), err.read().decode(errors="replace"),
                child.returncode, seconds, usage.ru_utime + usage.ru_stime)


# --- this service ---------------------------------------------------------------------

VERDICT = re.compile(r'event=verdict target="?([^" ]+)"? port=(\d+) .*?\bms=([\d.]+)')
JUDGED = re.compile(r"event=check .*\bopen=\d+")  # the last line of a check with verdicts


class Service:
    """The service of this project, started in the checker's namespace and controlled over HTTP
    from the control namespace. How long each port took is read from its own debug log
    (from the first SYN); the whole answer is timed by the client."""

    name = "port-checker"

    def __init__(self, topology, binary, settings=None, descriptors=None):
        self.topology = topology
        self.folder = tempfile.TemporaryDirectory(prefix="lab-")
        folder = pathlib.Path(self.folder.name)
        # A copy: in debug mode the service reloads itself when its program changes.
        self.binary = shutil.copy(binary, folder / "port-checker")
        self.log = open(folder / "log", "w+b")
        self.log_at = 0
        environment = {
            "PATH": os.environ["PATH"],
            "PORT_CHECKER_HOST": CHECKER_CONTROL,
            "PORT_CHECKER_TARGETS": "any",
            "PORT_CHECKER_RATE": "0",
            "PORT_CHECKER_MAX_PORTS": "4096",
            "PORT_CHECKER_MAX_CONNECTIONS_PER_CALLER": "4096",
            "PORT_CHECKER_DEBUG": "true",
            **(settings or {}),
        }
        with topology.checker:
            self.process = subprocess.Popen(
                [self.binary], env=environment, cwd=folder, stdin=subprocess.DEVNULL,
                stdout=self.log, stderr=self.log,
                preexec_fn=(lambda: resource.setrlimit(resource.RLIMIT_NOFILE,
                                                       (descriptors, descriptors)))
                if descriptors else None)
        self._wait_ready()

    def _wait_ready(self):
        deadline = time.monotonic() + 10
        while "event=ready" not in self.text():
            if self.process.poll() is not None or time.monotonic() > deadline:
                text = self.text()
                self.close()
                raise RuntimeError(f"the service did not start: {text}")
            time.sleep(0.02)

    def text(self, start=0):
        size = os.fstat(self.log.fileno()).st_size
        return os.pread(self.log.fileno(), size - start, start).decode(errors="replace")

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
        if not self.log.closed:
            self.log.close()
            self.folder.cleanup()

    def signal(self, number):
        self.process.send_signal(number)

    def cpu(self):
        """Seconds of processor time so far, all threads."""
        threads = pathlib.Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9

    async def ask(self, address, ports):
        answer = Answer(self.name, address)
        start = time.monotonic()
        try:
            status, body = await asyncio.wait_for(self._post(address, ports), 40)
        except (OSError, asyncio.TimeoutError, ValueError, EOFError) as error:
            status, body = 0, {"detail": f"{type(error).__name__}: {error}"}
        answer.seconds = time.monotonic() - start
        if status == 200:
            for port, result in body["results"].items():
                answer.ports[int(port)] = (result["state"], None)
        else:
            answer.trouble = f"{status} {body.get('detail')}"
            answer.ports = {port: (UNJUDGED, None) for port in ports}
        return answer

    async def _post(self, address, ports):
        loop = asyncio.get_running_loop()
        connection = self.topology.control.socket(socket.AF_INET, socket.SOCK_STREAM)
        connection.setblocking(False)
        try:
            await loop.sock_connect(connection, (CHECKER_CONTROL, 7466))
        except BaseException:
            connection.close()
            raise
        reader, writer = await asyncio.open_connection(sock=connection)
        try:
            body = json.dumps({"provider_ip": address, "ports": ports, "details": True})
            writer.write(("POST /check-ports HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n"
                          "Content-Type: application/json\r\n"
                          f"Content-Length: {len(body)}\r\n\r\n{body}").encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            return int(head.split()[1]), json.loads(await reader.read())
        finally:
            writer.close()

    async def batch(self, work, concurrency):
        """`work`: (address, ports) pairs; `concurrency` of them at a time."""
        before = self.cpu()
        answers = await gather(self.ask, work, concurrency)
        if answers:
            answers[0].cpu = self.cpu() - before
        judged = sum(not answer.trouble for answer in answers)
        self._add_times(answers, await self._new_lines(judged))
        return answers

    async def _new_lines(self, judged):
        """The part of the log since the last call, once it is complete for `judged` checks: their
        lines may come after their replies."""
        deadline = time.monotonic() + 10
        while True:
            text = self.text(self.log_at)
            text = text[:text.rfind("\n") + 1]
            if len(JUDGED.findall(text)) >= judged:
                self.log_at += len(text.encode())
                return text
            if time.monotonic() > deadline:
                raise RuntimeError(f"the log lacks lines of {judged} checks: {text[-2000:]}")
            await asyncio.sleep(0.005)

    @staticmethod
    def _add_times(answers, text):
        times = {(address, int(port)): float(ms)
                 for address, port, ms in VERDICT.findall(text)}
        for answer in answers:
            for port, (state, _) in answer.ports.items():
                if state != UNJUDGED:
                    answer.ports[port] = (state, times.get((answer.address, port)))


async def gather(ask, work, concurrency):
    free = asyncio.Semaphore(concurrency)

    async def one(address, ports):
        async with free:
            return await ask(address, ports)

    tasks = [asyncio.create_task(one(address, ports)) for address, ports in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


# --- the others: a program for each address ---------------------------------------------

class Program:
    patience = 240.0  # seconds for one run

    def __init__(self, topology, descriptors=None):
        self.topology, self.descriptors = topology, descriptors
        self.children = set()

    def close(self):
        pass  # run_child() ends what it has started

    def signal(self, number):
        for child in self.children:
            child.send_signal(number)

    async def batch(self, work, concurrency):
        return await gather(self.ask, work, concurrency)

    async def ask(self, address, ports):
        limit = (lambda: resource.setrlimit(
            resource.RLIMIT_NOFILE, (self.descriptors, self.descriptors))) \
            if self.descriptors else None
        answer = Answer(self.name, address, seconds=self.patience)
        err = ""
        try:
            out, err, status, answer.seconds, answer.cpu = await run_child(
                self.topology.checker, self.words(address, ports), limit, self.children,
                self.patience)
            if status != 0:
                raise ValueError(f"exit status {status}")
            answer.ports = self.read(out, ports)
        except asyncio.TimeoutError:
            answer.trouble = f"no answer within {self.patience:.0f} s"
        except (ValueError, KeyError, ElementTree.ParseError):
            answer.trouble = err.strip()[-200:] or "no answer that can be read"
        for port in ports:
            answer.ports.setdefault(port, (UNJUDGED, None))
        return answer


class PlainRule(Program):
    name = "plain rule"

    def words(self, address, ports):
        return [sys.executable, HERE / "plain_rule.py", address, ",".join(map(str, ports))]

    def read(self, out, _):
        return {int(port): tuple(verdict) for port, verdict in json.loads(out).items()}


class Nmap(Program):
    """Only whole answers are timed. Its "filtered" is split by the reason that it gives."""

    flags = ()

    def words(self, address, ports):
        family = ["-6"] if ":" in address else []
        return ["nmap", *family, "-n", "-Pn", "-sT", "--reason", *self.flags, "-oX", "-",
                "-p", ",".join(map(str, ports)), address]

    def read(self, out, ports):
        root = ElementTree.fromstring(out)
        verdicts = {}
        default = None
        for extra in root.iter("extraports"):
            for reason in extra.iter("extrareasons"):
                state = self.state(extra.get("state"), reason.get("reason"))
                for port in numbers(reason.get("ports", "")):
                    verdicts[port] = (state, None)
                default = state
        for port in root.iter("port"):
            status = port.find("state")
            verdicts[int(port.get("portid"))] = (
                self.state(status.get("state"), status.get("reason")), None)
        if default:
            for port in ports:
                verdicts.setdefault(port, (default, None))
        return verdicts

    @staticmethod
    def state(state, reason):
        if state == "filtered" and reason.startswith(("net-", "host-", "admin-", "proto-")):
            return UNREACHABLE
        return {"open": OPEN, "closed": CLOSED, "filtered": FILTERED}.get(state, UNJUDGED)


class NmapFast(Nmap):
    name = "nmap -T4"
    flags = ("-T4",)


class NmapCareful(Nmap):
    name = "nmap careful"
    flags = ("-T3", "--max-retries", "10", "--initial-rtt-timeout", "1s",
             "--min-rtt-timeout", "1s", "--max-scan-delay", "0")


class Masscan(Program):
    """Sends every SYN once, bypassing the kernel, with the machine's own address, and reports open
    and closed ports by their answers; a port without an answer counts as filtered.

    Its receive ring has room for 32 packets, and it sends a tenth of a second's SYNs at once:
    far above its default rate, or beside another instance, the answers of a close target overrun
    the ring. It waits for packets without a time limit, so something has to arrive now and
    then."""

    name = "masscan"
    patience = 60.0

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.mac = self.topology.router_mac().replace(":", "-")
        self.waker = self.topology.router.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sink = self.topology.checker.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sink.bind(("", 9))

    def close(self):
        self.waker.close()
        self.sink.close()

    async def ask(self, address, ports):
        waking = asyncio.create_task(self._wake(self.topology.way_to(address)["prefsrc"]))
        try:
            return await super().ask(address, ports)
        finally:
            waking.cancel()

    async def _wake(self, own):
        while True:
            await asyncio.sleep(0.1)
            with contextlib.suppress(OSError):
                self.waker.sendto(b"wake", (own, 9))

    def words(self, address, ports):
        return ["masscan", "--interface", self.topology.way_to(address)["dev"],
                "--router-mac", self.mac, "--rate", "100", "--wait", "2", "--show", "closed",
                "-oL", "-", "-p", ",".join(map(str, ports)), address]

    def read(self, out, ports):
        lines = [line.split() for line in out.splitlines()]
        if lines and lines[-1] != ["#", "end"]:
            raise ValueError("an answer without an end")
        answered = {int(fields[2]): (fields[0], None) for fields in lines if len(fields) == 5}
        return {port: answered.get(port, (FILTERED, None)) for port in ports}


def numbers(text):
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)
