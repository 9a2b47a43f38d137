# SPDX-License-Identifier: MIT
"""A reload that fails after the new program has accepted the configuration: what served before
goes on serving, and a later reload works."""
import resource
import shutil
import signal
import socket

import pytest

from harness import targets
from harness.hammer import Hammer
from harness.http import Connection, check_body
from harness.service import BINARY, replace
from harness.waiting import eventually

JSON = ("Content-Type", "application/json")

# --check-config starts no worker. In this address space, some start and some do not.
MANY_WORKERS = "PORT_CHECKER_WORKERS=200\n"
ADDRESS_SPACE = 250 * 1024 * 1024

# A program that accepts any configuration; what follows is its start.
SCRIPT = '#!/bin/sh\n[ "$1" = --check-config ] && exit 0\n'
REHEARSAL_PASSED = 99

scarce_memory = pytest.mark.heavy  # a sanitizer reserves terabytes


def is_taken(port):
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return targets.port_of(sock)


def limit(service, what, value):
    """For the main process and the children that it will start."""
    resource.prlimit(service.process.pid, what, (value, value))


def reload_without_memory(service, text=""):
    """A reload whose child does not get the memory for its workers."""
    limits = resource.prlimit(service.process.pid, resource.RLIMIT_AS)
    refusals = len(service.events("reload_refused"))
    service.env_file.write_text(MANY_WORKERS + text)
    resource.prlimit(service.process.pid, resource.RLIMIT_AS, (ADDRESS_SPACE, limits[1]))
    service.signal(signal.SIGHUP)
    refused = service.wait_event("reload_refused", refusals + 1)
    resource.prlimit(service.process.pid, resource.RLIMIT_AS, limits)
    return refused


def assert_later_reload_works(service, served_by):
    assert service.get("/health").status == 200
    assert service.children() == [served_by]
    ready = len(service.events("ready"))
    service.env_file.write_text("PORT_CHECKER_MAX_PORTS=4\n")
    service.signal(signal.SIGHUP)
    service.wait_ready(ready + 1)
    assert service.pid != served_by
    assert service.check(["1-5"]).status == 422
    eventually(lambda: service.children() == [service.pid], "the predecessor has ended")


def test_kept_connections_lose_no_request(start):
    """An idle connection ends only after a reply that says so, or after a second."""
    service = start()
    with Hammer(service, threads=8, is_keeping=True) as hammer:
        for count in range(5):
            service.signal(signal.SIGHUP)
            service.wait_ready(count + 2)
            hammer.more(3)
    assert hammer.failures == []


@scarce_memory
def test_without_memory_for_the_new_child_the_old_one_serves(start):
    service = start(PORT_CHECKER_WORKERS=None, env_file="PORT_CHECKER_WORKERS=2\n")
    served_by, pid = service.pid, service.process.pid
    with Hammer(service) as hammer:
        for _ in range(3):
            refused = reload_without_memory(service)
            hammer.more(3)
            assert "Resource temporarily unavailable" in refused["reason"] \
                or "Cannot allocate memory" in refused["reason"]
            assert "cannot serve; nothing has changed" in refused["message"]
    assert hammer.failures == [], "the sockets of the new workers must take no connection"

    assert service.events("reload") == [], "the new program was never executed"
    assert service.process.poll() is None and service.process.pid == pid
    assert service.events("failed") == []
    assert_later_reload_works(service, served_by)


@scarce_memory
def test_a_running_check_outlives_a_reload_that_fails(start, silent_ports):
    service = start(PORT_CHECKER_WORKERS=None, PORT_CHECK_TIMEOUT=3,
                    env_file="PORT_CHECKER_WORKERS=2\n")
    served_by = service.pid
    with service.connect() as connection:
        connection.request("POST", "/check-ports", [JSON], check_body(silent_ports(3)))
        eventually(lambda: service.metric("checks_running") == 1, "the check runs")
        reload_without_memory(service)
        reply = connection.reply()

    assert reply.status == 200
    assert reply.json()["message"] == "Successfully verified 0 out of 3 ports"
    assert_later_reload_works(service, served_by)


@scarce_memory
def test_a_move_that_fails_leaves_the_service_where_it_is(start):
    service = start(PORT_CHECKER_WORKERS=None, PORT_CHECKER_PORT=None,
                    env_file="PORT_CHECKER_WORKERS=2\nPORT_CHECKER_PORT=0\n")
    served_by, old, new = service.pid, service.port, free_port()
    reload_without_memory(service, f"PORT_CHECKER_PORT={new}\n")

    assert service.get("/health").status == 200
    assert not is_taken(new)
    descriptors = service.descriptors_of_parent()
    reload_without_memory(service, f"PORT_CHECKER_PORT={new}\n")
    assert service.descriptors_of_parent() == descriptors
    assert service.children() == [served_by]

    service.env_file.write_text(f"PORT_CHECKER_PORT={new}\n")
    service.signal(signal.SIGHUP)
    assert service.wait_ready(2).port == new
    assert service.get("/health").status == 200
    assert not is_taken(old)


@scarce_memory
def test_the_end_comes_while_a_reload_fails(start):
    service = start(PORT_CHECKER_WORKERS=None, env_file="PORT_CHECKER_WORKERS=2\n")
    service.env_file.write_text(MANY_WORKERS)
    limit(service, resource.RLIMIT_AS, ADDRESS_SPACE)
    service.signal(signal.SIGHUP)
    service.wait_event("reload_check")
    service.signal(signal.SIGTERM)

    assert service.wait() == 0


def test_without_descriptors_for_the_new_program_the_old_one_serves(start):
    service = start(PORT_CHECKER_WORKERS=None, env_file="PORT_CHECKER_WORKERS=2\n")
    served_by = service.pid
    service.env_file.write_text(MANY_WORKERS)
    limit(service, resource.RLIMIT_NOFILE, 120)
    service.signal(signal.SIGHUP)

    assert "Too many open files" in service.wait_event("reload_refused")["reason"]
    assert_later_reload_works(service, served_by)


def test_a_program_that_cannot_be_executed_after_its_check(copied):
    service, binary = copied()
    served_by = service.pid
    for count in (1, 2):
        replace(binary, lambda new: new.write_text(
            f"{SCRIPT}chmod 0 {binary}\nexit {REHEARSAL_PASSED}\n"))
        service.signal(signal.SIGHUP)
        refused = service.wait_event("reload_refused", count)
        assert "could not be executed" in refused["message"]
        assert "Permission denied" in refused["reason"]
        assert service.get("/health").status == 200

    replace(binary, lambda new: shutil.copyfile(BINARY, new))
    service.signal(signal.SIGHUP)
    service.wait_ready(2)
    assert service.pid != served_by
    assert service.get("/health").status == 200


def real_beside(binary):
    """A copy of the real program; a script in the place of `binary` may move it back."""
    real = binary.with_name("real")
    shutil.copy(BINARY, real)
    return real


@pytest.mark.parametrize("spoil", ["echo PORT_CHECKER_MAX_PORTS=none > {env}",
                                   "echo PORT_CHECKER_TLS_CERT=nowhere > {env}"])
def test_settings_that_change_after_the_rehearsal(copied, spoil):
    """The program that is executed finds other settings than the one that has rehearsed."""
    service, binary = copied()
    served_by, real = service.pid, real_beside(binary)
    replace(binary, lambda new: new.write_text(
        f"{SCRIPT}{spoil.format(env=service.env_file)}\nmv {real} {binary}\n"
        f"exit {REHEARSAL_PASSED}\n"))
    service.signal(signal.SIGHUP)
    refused = service.wait_event("reload_refused")

    assert spoil.split()[1].split("=")[0] in refused["reason"]
    assert "the process before it does" in refused["message"]
    assert_later_reload_works(service, served_by)


@scarce_memory
def test_a_child_that_fails_after_the_rehearsal(copied):
    service, binary = copied(PORT_CHECKER_WORKERS=None)
    served_by, real = service.pid, real_beside(binary)
    replace(binary, lambda new: new.write_text(
        f"{SCRIPT}echo PORT_CHECKER_WORKERS=200 > {service.env_file}\n"
        f"prlimit --pid $PPID --as={ADDRESS_SPACE}:\nmv {real} {binary}\n"
        f"exit {REHEARSAL_PASSED}\n"))
    limits = resource.prlimit(service.process.pid, resource.RLIMIT_AS)
    with Hammer(service) as hammer:
        service.signal(signal.SIGHUP)
        refused = service.wait_event("reload_refused")
        hammer.more(3)
    assert hammer.failures == [], "the sockets of the new workers must take no connection"

    assert "the process before it does" in refused["message"]
    assert len(service.events("reload")) == 1, "the new program was executed"
    resource.prlimit(service.process.pid, resource.RLIMIT_AS, limits)
    assert_later_reload_works(service, served_by)


@pytest.mark.parametrize("text, reason", [
    ("exec sleep 60", "no answer within 10 seconds"),
    ("sleep 1; kill -SEGV $$", "signal 11"),
    ("sleep 1; echo no >&2; exit 1", "no"),
    ("exit 0", "exit status 0"),
])
def test_a_program_that_accepts_the_configuration_and_does_not_start(copied, text, reason):
    """It never becomes the main process, so that no connection is refused meanwhile."""
    service, binary = copied()
    served_by, pid = service.pid, service.process.pid
    replace(binary, lambda new: new.write_text(f"{SCRIPT}{text}\n"))
    with Hammer(service) as hammer:
        service.signal(signal.SIGHUP)
        refused = service.wait_event("reload_refused", within=20)
        hammer.more(3)
    assert hammer.failures == []

    assert refused["reason"] == reason
    assert "cannot serve; nothing has changed" in refused["message"]
    assert service.process.poll() is None and service.process.pid == pid
    replace(binary, lambda new: shutil.copyfile(BINARY, new))
    assert_later_reload_works(service, served_by)


def test_the_service_ends_while_a_new_program_hangs(copied):
    service, binary = copied()
    address = service.address
    replace(binary, lambda new: new.write_text(f"{SCRIPT}: > {binary}.rehearses\nexec sleep 60\n"))
    service.signal(signal.SIGHUP)
    eventually(binary.with_name(f"{binary.name}.rehearses").exists, "the rehearsal hangs")
    service.signal(signal.SIGTERM)

    assert service.wait() == 0
    with pytest.raises(ConnectionRefusedError):
        Connection(address)
