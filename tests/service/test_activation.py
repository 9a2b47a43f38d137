# SPDX-License-Identifier: MIT
"""Listening sockets of a service manager (socket activation)."""
import os
import pathlib
import re
import signal
import socket

import pytest

from harness import targets
from harness.hammer import Hammer
from harness.http import Connection
from harness.service import Service, kept, run
from harness.waiting import eventually

WORKERS = pytest.mark.parametrize("workers", [1, 4])


def listening(later, address="127.0.0.1", port=0, is_shared=False, family=socket.AF_INET):
    sock = later.enter_context(socket.socket(family))
    if is_shared:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind((address, port))
    sock.listen(100)
    return sock


def passing(sockets):
    """A command that executes its arguments with these sockets, as systemd passes them."""
    first = 100  # clear of the numbers that the shell moves them to
    moves = "".join(f"exec {3 + i}<&{first + i} {first + i}<&-; "
                    for i in range(len(sockets)))
    return ["bash", "-c", moves + f'LISTEN_PID=$$ LISTEN_FDS={len(sockets)} exec "$@"', "bash"]


@pytest.fixture
def activated(later, tmp_path):
    """activated(sockets, NAME=value, ...): a ready service that has been passed these sockets."""
    def begin(sockets, env_file=None, **settings):
        for i, sock in enumerate(sockets):
            os.dup2(sock.fileno(), 100 + i)  # inheritable
            later.callback(os.close, 100 + i)
        service = later.enter_context(kept(Service(
            settings, wrapper=passing(sockets), env_file=env_file, directory=tmp_path,
            pass_fds=range(100, 100 + len(sockets)))))
        return service.wait_ready()
    return begin


def assert_served(port, address="127.0.0.1", times=20):
    for _ in range(times):
        with Connection((address, port)) as connection:
            assert connection.exchange("GET", "/health").status == 200


def watched_by(pid):
    """For each epoll descriptor, the inodes of the sockets that it watches."""
    found = []
    for path in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        if os.readlink(path) == "anon_inode:[eventpoll]":
            text = pathlib.Path(f"/proc/{pid}/fdinfo/{path.name}").read_text()
            numbers = re.findall(r"^tfd: +(\d+)", text, re.MULTILINE)
            found.append([os.readlink(f"/proc/{pid}/fd/{number}") for number in numbers])
    return found


def connections_of_workers(service, listeners):
    """How many connections each worker holds."""
    inodes = {f"socket:[{os.fstat(sock.fileno()).st_ino}]" for sock in listeners}
    workers = [names for names in watched_by(service.pid) if inodes & set(names)]
    return [sum(name.startswith("socket:") and name not in inodes for name in names)
            for names in workers]


@WORKERS
def test_one_socket_is_shared_by_all_workers(later, activated, workers):
    sock = listening(later)
    port = targets.port_of(sock)
    service = activated([sock], PORT_CHECKER_PORT=port, PORT_CHECKER_WORKERS=workers)

    assert service.ready["sockets"] == "passed"
    assert service.port == port
    assert service.events("listener") == []
    assert_served(port)
    for count in (2, 3):
        service.signal(signal.SIGHUP)
        service.wait_ready(count)
        assert service.ready["sockets"] == "passed"
        assert_served(port)


def test_connections_to_a_shared_socket_spread(own_network, later, activated):
    sock = listening(later)
    service = activated([sock], PORT_CHECKER_PORT=targets.port_of(sock),
                        PORT_CHECKER_WORKERS=4, PORT_CHECKER_MAX_CONNECTIONS_PER_CALLER=400)
    for _ in range(200):
        later.enter_context(Connection(service.address))
    eventually(lambda: sum(connections_of_workers(service, [sock])) == 200, "accepted")

    spread = connections_of_workers(service, [sock])
    assert len(spread) == 4
    # A worker that a busy machine does not run at the moment takes few or none.
    assert max(spread) < 200, spread


def test_several_sockets_of_one_address(later, activated):
    """ReusePort=yes: each worker has its own."""
    first = listening(later, is_shared=True)
    port = targets.port_of(first)
    sockets = [first] + [listening(later, port=port, is_shared=True) for _ in range(2)]
    service = activated(sockets, PORT_CHECKER_PORT=port, PORT_CHECKER_WORKERS=3,
                        PORT_CHECKER_MAX_CONNECTIONS_PER_CALLER=400)
    for sock in sockets:
        sock.close()
    assert_served(port)
    service.signal(signal.SIGHUP)
    service.wait_ready(2)
    assert_served(port)


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_several_addresses(later, activated, workers):
    sockets = [listening(later), listening(later, "127.0.0.2"),
               listening(later, "::1", family=socket.AF_INET6)]
    service = activated(sockets, PORT_CHECKER_PORT=targets.port_of(sockets[1]),
                        PORT_CHECKER_HOST="127.0.0.2", PORT_CHECKER_WORKERS=workers)
    assert service.events("listener") == []
    for count in (2, 3):
        for sock, address in zip(sockets, ("127.0.0.1", "127.0.0.2", "::1")):
            assert_served(targets.port_of(sock), address)
        service.signal(signal.SIGHUP)
        service.wait_ready(count)


def test_a_socket_wins_over_the_settings_with_a_warning(later, activated):
    sock = listening(later)
    service = activated([sock], PORT_CHECKER_HOST="0.0.0.0", PORT_CHECKER_PORT=1)

    warning, = service.events("listener")
    assert warning["level"] == "warning"
    assert f"127.0.0.1 port {targets.port_of(sock)}" in warning["message"]
    assert "0.0.0.0 port 1 (PORT_CHECKER_HOST, PORT_CHECKER_PORT)" in warning["message"]
    assert_served(targets.port_of(sock))


def test_a_socket_that_takes_all_addresses_needs_no_warning(later, activated):
    """ListenStream=7466 listens on [::]; the default of the service is 0.0.0.0."""
    sock = listening(later, "::", family=socket.AF_INET6)
    service = activated([sock], PORT_CHECKER_HOST="0.0.0.0",
                        PORT_CHECKER_PORT=targets.port_of(sock))

    assert service.events("listener") == []
    assert_served(targets.port_of(sock))


def test_a_reload_neither_moves_nor_adds_sockets(later, activated):
    sock = listening(later)
    # A worker that has no processor for a moment has not noticed which clients have left.
    service = activated([sock], PORT_CHECKER_PORT=None, PORT_CHECKER_WORKERS=None,
                        PORT_CHECKER_MAX_CONNECTIONS_PER_CALLER=1000,
                        env_file=f"PORT_CHECKER_PORT={targets.port_of(sock)}\n")
    with Hammer(service) as hammer:
        for count, workers in ((2, 8), (3, 1), (4, 2)):
            service.env_file.write_text(
                f"PORT_CHECKER_PORT=1\nPORT_CHECKER_WORKERS={workers}\n")
            service.signal(signal.SIGHUP)
            service.wait_ready(count)
            hammer.more(5)
            assert service.port == targets.port_of(sock)
    assert hammer.failures == []
    before = service.descriptors_of_parent()
    service.signal(signal.SIGHUP)
    service.wait_ready(5)
    assert service.descriptors_of_parent() == before


def test_connections_before_the_start_are_served(later, activated):
    """systemd starts the service when the first connection arrives."""
    sock = listening(later)
    early = later.enter_context(Connection(("127.0.0.1", targets.port_of(sock))))
    early.request("GET", "/health")
    activated([sock], PORT_CHECKER_PORT=targets.port_of(sock))

    assert early.reply().status == 200


def connected():
    with targets.listener() as sock:
        client = socket.create_connection(sock.getsockname())
        served = sock.accept()[0]
    client.close()
    return served


@pytest.mark.parametrize("make", [
    lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
    lambda: socket.socket(socket.AF_UNIX),
    socket.socket,
    connected,
    lambda: open(os.devnull, "rb"),
], ids=["datagram", "unix", "bound to nothing", "connected", "file"])
def test_what_is_not_a_listening_socket_is_refused(tmp_path, later, make):
    sock = later.enter_context(make())
    if isinstance(sock, socket.socket) and sock.family == socket.AF_UNIX:
        sock.bind(str(tmp_path / "socket"))
        sock.listen()
    os.dup2(sock.fileno(), 100)
    later.callback(os.close, 100)
    ended = run(directory=tmp_path, wrapper=passing([sock]), pass_fds=[100],
                PORT_CHECKER_HOST="127.0.0.1", PORT_CHECKER_PORT="0")

    assert ended.returncode == 2
    line, = ended.stderr.splitlines()
    assert "event=failed" in line and "LISTEN_FDS: descriptor 3" in line
    assert "not a listening TCP socket" in line and "Accept=no" in line
