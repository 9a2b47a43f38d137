#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""vantage_cost.py: what asking other places costs: a check of one open port by a service alone, and by
a front with one, two and three places behind a nats-server with TLS, one at a time and eight at
once. Run it in a network namespace of its own."""
import http.client
import json
import pathlib
import socket
import statistics
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests"))
from harness import nats  # noqa: E402
from harness.service import Service  # noqa: E402
from harness.waiting import eventually  # noqa: E402

CHECKS = 1000
HEADERS = {"Content-Type": "application/json"}


def listener():
    sock = socket.create_server(("127.0.0.1", 0), backlog=1024)
    return sock, sock.getsockname()[1]


def ask(service, port, count, times, is_detailed):
    connection = http.client.HTTPConnection(*service.address)
    body = json.dumps({"provider_ip": "127.0.0.1", "ports": [port], "details": is_detailed})
    for _ in range(count):
        begun = time.perf_counter()
        connection.request("POST", "/check-ports", body, HEADERS)
        reply = json.loads(connection.getresponse().read())
        times.append(time.perf_counter() - begun)
        places = reply["results"][str(port)].get("vantages", {})
        assert all(place["state"] == "open" for place in places.values()), reply
    connection.close()


def measure(service, port, clients):
    times = []
    threads = [threading.Thread(target=ask, args=(service, port, CHECKS // clients, times, True))
               for _ in range(clients)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - begun
    assert len(times) == CHECKS // clients * clients, "a check went wrong"
    times.sort()
    return (f"{1000 * statistics.median(times):6.2f} {1000 * times[len(times) * 99 // 100]:6.2f} ms"
            f" {len(times) / took:6.0f}/s")


def show(what, services, port):
    front, before = services[-1], [service.processor_seconds() for service in services]
    one, eight = measure(front, port, 1), measure(front, port, 8)
    spent = [1e6 * (service.processor_seconds() - was) / (2 * CHECKS)
             for service, was in zip(services, before)]
    print(f"{what:16} one at a time: {one}; eight: {eight}; processor: "
          + ", ".join(f"{value:.0f}" for value in spent) + " us a check", flush=True)


def main():
    sock, port = listener()
    with sock:
        alone = Service().wait_ready()
        show("alone", [alone], port)
        alone.stop()
        server, services = nats.Nats(), []
        names = ["eu-1", "us-1", "ap-1"]
        keys = {name: server.key(name, "--place", name) for name in names}
        keys["gw"] = server.key("gw", "--front", "gw")
        server.start()
        for count in range(1, 4):
            name = names[count - 1]
            services.append(Service({**server.settings(keys[name]), "PORT_CHECKER_VANTAGE": name,
                                     "PORT_CHECKER_VANTAGE_TARGETS": "any"}).wait_ready())
            front = Service({**server.settings(keys["gw"]), "PORT_CHECKER_FRONT": "gw",
                             "PORT_CHECKER_VANTAGES": ",".join(names[:count])}).wait_ready()
            eventually(lambda: front.events("nats"), "it is connected")
            show(f"{count} other places", [*services, front], port)
            front.stop()
        for service in services:
            service.stop()
        server.close()


main()
