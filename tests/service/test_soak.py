# SPDX-License-Identifier: MIT
"""Endless badly behaved clients against one service: they leave at any point and in any way, while
the service reloads now and then. Well-behaved clients among them are still served, and nothing
remains of the others. A seed, which a failure prints, determines what the clients do. SOAK_SEED
repeats it, as far as timing allows; SOAK_SECONDS makes the run longer."""
import concurrent.futures
import os
import random
import signal
import time

import pytest

from harness import targets
from harness.clients import Polite, Rude, Sentences
from harness.tls import make_pair, tls_settings, trusting
from harness.waiting import eventually

CLIENTS = 12
SECONDS = float(os.environ.get("SOAK_SECONDS", 4))
RELOAD_SECONDS = 1.5


@pytest.fixture
def start_over(start, tmp_path):
    def start_it(transport):
        if transport == "plain":
            return start()
        cert, key = make_pair(tmp_path, "own")
        service = start(**tls_settings(cert, key))
        service.context = trusting(cert)
        return service
    return start_it


# --- all of them --------------------------------------------------------------------------


class Crowd:
    """One thread per client; each acts as one client after another."""

    def __init__(self, service, seed, ports):
        self.service, self.seed, self.ports = service, seed, ports
        self.is_over = False
        self.served = 0

    def _behave(self, number):
        chance = random.Random(f"{self.seed} {number}")
        here, there, silent = self.ports
        sentences = Sentences(chance, [[here, there], [here, *silent], silent])
        rude = Rude(self.service, chance, sentences)
        polite = Polite(self.service, chance, here, there)
        while not self.is_over:
            (polite if number == 0 else rude)()
            self.served += 1

    def run(self, meanwhile):
        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as threads:
            futures = [threads.submit(self._behave, number) for number in range(CLIENTS)]
            try:
                meanwhile(futures)
            finally:
                self.is_over = True
            for future in futures:
                future.result()


@pytest.mark.parametrize("transport", ["plain", "tls"])
def test_clients_that_do_as_they_like(start_over, transport, silent_ports, closed_port,
                                      later):
    seed = os.environ.get("SOAK_SEED") or str(random.SystemRandom().randrange(1 << 32))
    service = start_over(transport)
    listener = later.enter_context(targets.listener(backlog=512))
    here, there = targets.port_of(listener), closed_port()
    crowd = Crowd(service, seed, (here, there, silent_ports(2)))
    reloads = 1

    def reload():
        nonlocal reloads
        reloads += 1
        service.signal(signal.SIGHUP)
        service.wait_ready(reloads)

    def meanwhile(futures):
        end = time.monotonic() + SECONDS
        next_reload = time.monotonic() + RELOAD_SECONDS
        while time.monotonic() < end and not any(future.done() for future in futures):
            targets.accepted(listener)
            if time.monotonic() > next_reload:
                reload()
                next_reload = time.monotonic() + RELOAD_SECONDS
            time.sleep(0.01)

    reload()
    descriptors, _ = service.at_rest()
    print(f"SOAK_SEED={seed}")
    crowd.run(meanwhile)
    print(f"{crowd.served} clients, {reloads} reloads")

    eventually(lambda: service.at_rest()[0] == descriptors,
               f"descriptors are {descriptors} again")
    targets.accepted(listener)
    assert service.verdicts([here, there]) == {here: "open", there: "closed"}
    service.stop()
