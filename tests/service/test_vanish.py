# SPDX-License-Identifier: MIT
"""Clients vanish in the middle of long checks, a thousand times: no descriptor, job or byte
remains."""
import pytest

from harness.http import check_body
from harness.waiting import SANITIZER, eventually

pytestmark = pytest.mark.heavy

JSON = ("Content-Type", "application/json")
PORTS = 1024
UNDER_WAY = 100  # probes in flight when they leave; 128 is the limit for one address
AT_ONCE = 20
LEAVE = ("close", "reset", "half_close")


def vanish(service, ports, rounds):
    """`rounds` clients ask about all ports and leave, `AT_ONCE` at a time."""
    body = check_body(ports)
    begun = 0
    while begun < rounds:
        clients = []
        for _ in range(AT_ONCE):
            client = service.connect()
            client.request("POST", "/check-ports", [JSON], body)
            clients.append(client)
        begun += AT_ONCE
        eventually(lambda: service.metric("checks_running") == AT_ONCE, "their checks run")
        eventually(lambda: service.metric("probes_in_flight") >= UNDER_WAY, "probes fly")
        for number, client in enumerate(clients):
            getattr(client, LEAVE[number % len(LEAVE)])()
        eventually(lambda: service.metric("checks_running") == 0, "all are cancelled")
        for client in clients:
            client.close()


@pytest.mark.parametrize("workers", [1, 4])
def test_clients_that_vanish_leave_nothing_behind(start, silent_ports, workers):
    service = start(PORT_CHECK_TIMEOUT=20, PORT_CHECKER_WORKERS=workers)
    ports = silent_ports(PORTS)
    rounds = 1000

    vanish(service, ports, 100)  # memory kept for later use is allocated by now
    descriptors, resident = service.at_rest()
    vanish(service, ports, rounds)
    eventually(lambda: service.at_rest()[0] == descriptors, "descriptors are back")
    if not SANITIZER:
        eventually(lambda: service.at_rest()[1] <= resident + (1 << 20),
                   f"memory is back at {resident} bytes, give or take 1 MiB")

    assert service.metric("checks_abandoned_total") == rounds + 100
    assert service.verdicts([service.port, 9]) == {service.port: "open", 9: "closed"}
