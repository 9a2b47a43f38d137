#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""listeners.py FIRST COUNT: opens ports FIRST .. FIRST+COUNT-1 of 127.0.0.1 until its standard
input ends. It closes what it accepts and prints the number at the end: 0 if all probes were
half-open."""
import select
import socket
import sys

BACKLOG = 4096


def open_port(port):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener


def accept_all(listener):
    count = 0
    while True:
        try:
            listener.accept()[0].close()
        except BlockingIOError:
            return count
        except ConnectionError:
            pass
        count += 1


def main():
    first, count = int(sys.argv[1]), int(sys.argv[2])
    listeners = [open_port(port) for port in range(first, first + count)]
    by_fd = {listener.fileno(): listener for listener in listeners}
    epoll = select.epoll()
    for fd in by_fd:
        epoll.register(fd, select.EPOLLIN)
    epoll.register(sys.stdin.fileno(), select.EPOLLIN | select.EPOLLHUP)
    print("ready", flush=True)

    accepted = 0
    while True:
        for fd, _ in epoll.poll():
            if fd == sys.stdin.fileno():
                print(accepted, flush=True)
                return
            accepted += accept_all(by_fd[fd])


main()
