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
from harness.http import check_body
from harness.service import BINARY, replace
from harness.waiting import eventually

JSON = ("Content-Type", "application/json")

# --check-config starts no worker. In this address space, some start and some do not.
MANY_WORKERS = "PORT_CHECKER_WORKERS=200\n"
ADDRESS_SPACE = 250 * 1024 * 1024

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
            assert "the process before it does" in refused["message"]
    assert hammer.failures == [], "the sockets of the new workers must take no connection"

    assert len(service.events("reload")) == 3, "each time the new program was executed"
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
    service.wait_event("reload")
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
            f"#!/bin/sh\n[ $# = 1 ] && chmod 0 {binary}\nexit 0\n"))
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


def test_settings_that_change_after_their_check(copied):
    """The program that is executed finds other settings than the one that has checked them."""
    service, binary = copied()
    served_by = service.pid
    real = binary.with_name("real")
    shutil.copy(BINARY, real)
    replace(binary, lambda new: new.write_text(
        f"#!/bin/sh\necho PORT_CHECKER_MAX_PORTS=none > {service.env_file}\n"
        f"mv {real} {binary}\n"))
    service.signal(signal.SIGHUP)
    refused = service.wait_event("reload_refused")

    assert "PORT_CHECKER_MAX_PORTS" in refused["reason"]
    assert "the process before it does" in refused["message"]
    assert_later_reload_works(service, served_by)
