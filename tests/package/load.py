# SPDX-License-Identifier: MIT
"""load.py SECONDS PORT plain|tls: a steady load on a checker at 127.0.0.1; prints its results
as JSON. KEPT connections are kept open, and each asks RATE times a second; another client
connects anew for every request. As usual for clients, a kept connection is used again unless
the service has closed it meanwhile; if the service closes it just then, without a byte of a
reply, the request is sent again on a new one, and counted as resent. A request has failed if
it gets no reply or another verdict than open. Ends early at the end of its input."""
import http.client
import json
import select
import ssl
import sys
import threading
import time

KEPT = 20
RATE = 10
BODY = json.dumps({"provider_ip": "127.0.0.1", "ports": [7466]})
HEADERS = {"Content-Type": "application/json"}


class Client(threading.Thread):
    def __init__(self, port, context, is_kept, begin, end):
        super().__init__()
        self.port, self.context, self.is_kept = port, context, is_kept
        self.begin, self.end = begin, end
        self.asked, self.connected, self.resent, self.slowest = 0, 0, 0, 0.0
        self.failures = []
        self.connection = None

    def connect(self):
        self.connected += 1
        if self.context:
            return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=10,
                                               context=self.context)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)

    def is_closed(self):
        return bool(select.select([self.connection.sock], [], [], 0)[0])

    def send(self):
        self.connection = self.connection or self.connect()
        self.connection.request("POST", "/check-ports", BODY, HEADERS)
        return self.connection.getresponse()

    def ask(self):
        if self.connection and self.is_closed():
            self.drop()
        is_used = self.connection is not None
        try:
            reply = self.send()
        except (ConnectionError, ssl.SSLEOFError):
            if not is_used:
                raise
            self.drop()
            self.resent += 1
            reply = self.send()
        body = reply.read()
        if reply.status != 200 or not json.loads(body)["results"]["7466"]["accessible"]:
            raise ValueError(f"{reply.status} {body[:200]}")
        if not self.is_kept or reply.will_close:
            self.drop()

    def drop(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def run(self):
        turn = self.begin
        while turn < self.end and not over.is_set():
            time.sleep(max(0, turn - time.monotonic()))
            start = time.monotonic()
            self.asked += 1
            try:
                self.ask()
            except Exception as error:
                self.failures.append(f"{start - self.begin:.3f} {type(error).__name__} {error}")
                self.drop()
            self.slowest = max(self.slowest, time.monotonic() - start)
            turn += 1 / RATE
        self.drop()


over = threading.Event()


def main():
    seconds, port, form = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    context = ssl._create_unverified_context() if form == "tls" else None
    begin = time.monotonic()
    clients = [Client(port, context, number < KEPT, begin + number / KEPT / RATE,
                      begin + seconds) for number in range(KEPT + 1)]
    for client in clients:
        client.start()
    print("started", flush=True)
    select.select([sys.stdin], [], [], seconds)
    over.set()
    for client in clients:
        client.join()
    taken = time.monotonic() - begin
    print(json.dumps({
        "requests": sum(client.asked for client in clients),
        "connections": sum(client.connected for client in clients),
        "resent": sum(client.resent for client in clients),
        "seconds": round(taken, 1),
        "slowest_ms": round(1000 * max(client.slowest for client in clients)),
        "failures": [failure for client in clients for failure in client.failures],
    }))


main()
