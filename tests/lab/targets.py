#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The listeners of the target namespace, driven by lines on standard input.

    fill        fills the accept queues of the ports that are "full" or "drained"
    drain       empties those that are "drained", and keeps them empty
Each line is answered by one line, "done". The end of input ends the program.
"""
import os
import selectors
import socket
import struct
import sys

from ports import KINDS

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, for no time
BACKLOG = 4096


def listen(port, backlog=BACKLOG, window=None):
    listener = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if window:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    listener.bind(("::", port))
    listener.listen(backlog)
    listener.setblocking(False)
    return listener


def accept_all(listener):
    while True:
        try:
            yield listener.accept()[0]
        except BlockingIOError:
            return
        except OSError:
            continue  # gone before it was accepted


class Targets:
    def __init__(self):
        self.selector = selectors.DefaultSelector()
        self.held = []  # connections that are kept, or wait in full queues
        self.full = []
        self.drained = []
        self.open()

    def open(self):
        for name in ("accepting", "proxied"):
            for port in self.ports(name):
                self.serve(listen(port), self.close_all)
        for port in self.ports("resets"):
            self.serve(listen(port), self.reset_all)
        for port in self.ports("tarpit"):
            self.serve(listen(port, window=256), self.hold_all)
        self.selector.register(0, selectors.EVENT_READ, self.command)

    def ports(self, name):
        return KINDS[name].ports(KINDS[name].count)

    def serve(self, listener, handler):
        self.selector.register(listener, selectors.EVENT_READ, handler)

    def close_all(self, listener):
        for accepted in accept_all(listener):
            accepted.close()

    def reset_all(self, listener):
        for accepted in accept_all(listener):
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            accepted.close()

    def hold_all(self, listener):
        for accepted in accept_all(listener):
            self.held.append(accepted)
        del self.held[:-2000]

    # --- full queues ------------------------------------------------------------------

    def fill(self):
        for listener in self.drained:
            if listener in self.selector.get_map():
                self.selector.unregister(listener)
        for old in (*self.full, *self.drained, *self.held):
            old.close()
        self.held.clear()
        self.full = [self.fill_one(port) for port in self.ports("full")]
        self.drained = [self.fill_one(port) for port in self.ports("drained")]

    def fill_one(self, port):
        """A queue of backlog 0 holds one connection; further SYNs are then dropped."""
        listener = listen(port, backlog=0)
        client = socket.create_connection(("127.0.0.1", port), timeout=5)
        self.held.append(client)
        return listener

    def drain(self):
        for listener in self.drained:
            listener.listen(BACKLOG)
            self.close_all(listener)
            self.serve(listener, self.close_all)

    # --- orders -----------------------------------------------------------------------

    def command(self, _):
        line = os.read(0, 4096)
        if not line:
            sys.exit(0)
        for order in line.decode().split():
            {"fill": self.fill, "drain": self.drain}[order]()
            print("done", flush=True)

    def run(self):
        print("ready", flush=True)
        while True:
            for key, _ in self.selector.select():
                key.data(key.fileobj)


if __name__ == "__main__":
    Targets().run()
