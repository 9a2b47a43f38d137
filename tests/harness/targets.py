# SPDX-License-Identifier: MIT
"""Ports to probe: open, closed, with a full queue; and a set of many open ones."""
import socket


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def listener(address="127.0.0.1", port=0, backlog=16):
    """A listening socket whose accept() does not block when no connection has arrived."""
    sock = socket.socket(family_of(address), socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((address, port))
    sock.listen(backlog)
    sock.setblocking(False)
    return sock


def closed(address="127.0.0.1", port=0):
    """A socket that is bound but does not listen: connections are refused."""
    sock = socket.socket(family_of(address), socket.SOCK_STREAM)
    sock.bind((address, port))
    return sock


def port_of(sock):
    return sock.getsockname()[1]


def accepted(sock):
    """How many connections the application behind this listener would have seen."""
    count = 0
    while True:
        try:
            sock.accept()[0].close()
        except BlockingIOError:
            return count
        count += 1
