#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""sandbox_cost.py BINARY...: what two processes and the sandbox cost: the time from the start to the
ready line, the processor time of a check of one open port, and the memory of each process. Run it in
a network namespace of its own."""
import http.client
import json
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time

STARTS, CHECKS, ROUNDS = 30, 2000, 5
SETTINGS = {"PORT_CHECKER_HOST": "127.0.0.1", "PORT_CHECKER_PORT": "0", "PORT_CHECKER_RATE": "0",
            "PORT_CHECKER_WORKERS": "2", "PORT_CHECKER_USER": "nobody"}


class Started:
    def __init__(self, binary):
        self.folder = tempfile.TemporaryDirectory()
        path = pathlib.Path(self.folder.name) / "log"
        begun = time.perf_counter()
        with open(path, "wb") as log:
            self.process = subprocess.Popen([binary], cwd=self.folder.name, env=SETTINGS,
                                            stderr=log, stdin=subprocess.DEVNULL)
        while "event=ready" not in path.read_text():
            if self.process.poll() is not None:
                sys.exit(path.read_text())
            time.sleep(0.0002)
        self.seconds = time.perf_counter() - begun
        text = path.read_text()
        self.port = int(re.search(r"\bport=(\d+)", text).group(1))
        child = re.search(r"\bpid=(\d+)", text)  # absent before there were two processes
        self.pid = int(child.group(1)) if child else self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.folder.cleanup()

    def processor_seconds(self):
        threads = pathlib.Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def pss_kib(pid):
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"Pss:\s+(\d+)", text).group(1))


def measure(binary):
    starts = []
    for _ in range(STARTS):
        with Started(binary) as service:
            starts.append(service.seconds * 1e3)
    with Started(binary) as service, socket.socket() as target:
        target.bind(("127.0.0.1", 0))
        target.listen()
        body = json.dumps({"provider_ip": "127.0.0.1", "ports": [target.getsockname()[1]]})
        client = http.client.HTTPConnection("127.0.0.1", service.port)
        costs = []
        for _ in range(ROUNDS):
            spent = -service.processor_seconds()
            for _ in range(CHECKS):
                client.request("POST", "/check-ports", body,
                               {"Content-Type": "application/json"})
                client.getresponse().read()
            costs.append((spent + service.processor_seconds()) / CHECKS * 1e6)
        memory = [pss_kib(pid) for pid in dict.fromkeys((service.process.pid, service.pid))]
    print(f"{binary}: ready after {min(starts):.1f} ms (median {statistics.median(starts):.1f}), "
          f"a check {min(costs):.1f} us (median {statistics.median(costs):.1f}), PSS {memory} KiB")


for name in sys.argv[1:]:
    measure(name)
