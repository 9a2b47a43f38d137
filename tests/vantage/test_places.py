# SPDX-License-Identifier: MIT
"""A front and three vantage points in four networks, with a cluster of three nats-servers: what one
place does, or does not do, is visible under its name, and does not change what the quorum says."""
import contextlib
import os
import signal
import threading
import time

import pytest

from harness import nats, targets
from harness.places import connected, states
from harness.waiting import eventually, soon
from laboratory import NETWORKS, TARGET
from scripted import Client, all_closed, all_open, all_open_after

WAIT = 3        # seconds: GATHER_WAIT_SECONDS
DOWN = 5        # seconds without a server
CLIENTS = 8

ALL_OPEN = {"gw": "open", "eu-1": "open", "us-1": "open", "ap-1": "open"}
ALL_CLOSED = dict.fromkeys(ALL_OPEN, "closed")


def ask(front, *ports):
    """The whole reply."""
    reply = front.check(list(ports), provider_ip=TARGET, details=True)
    assert reply.status == 200, reply
    return reply.json()


def said(front, port):
    """(accessible, {place: state}) of one port."""
    result = ask(front, port)["results"][str(port)]
    return result["accessible"], states(result)


def says(front, port, wanted):
    """Waits until these places say that: subscriptions need some time to reach all servers."""
    eventually(lambda: wanted.items() <= said(front, port)[1].items(), f"they say {wanted}")


def joins(front, port, name):
    """Waits until jobs reach that place."""
    eventually(lambda: said(front, port)[1][name] != "no_responders", f"{name} is there")


def kill(service):
    """As by `kill -9` of both processes, first of the one that serves."""
    os.kill(service.pid, signal.SIGKILL)
    service.discard()


def test_all_places_are_named(world, open_target, closed_target):
    front, *_ = world.open("eu-1", "us-1", "ap-1")
    says(front, open_target, ALL_OPEN)
    body = ask(front, open_target, closed_target)
    assert body["quorum"] == {"needed": 3, "places": 4}
    results = body["results"]
    assert states(results[str(open_target)]) == ALL_OPEN
    assert states(results[str(closed_target)]) == ALL_CLOSED
    assert results[str(open_target)]["accessible"]
    assert results[str(closed_target)]["error"] == "Connection refused"


def test_a_partition_of_one(world, networks, open_target, closed_target):
    """Its nats-server is cut off with it, so that nothing tells the front."""
    front, *_ = world.open("eu-1", "us-1", "ap-1")
    says(front, open_target, ALL_OPEN)
    networks.partition("us-1")
    assert said(front, open_target) == (True, {**ALL_OPEN, "us-1": "no_answer"})
    assert said(front, closed_target) == (False, {**ALL_CLOSED, "us-1": "no_answer"})
    assert soon(WAIT, lambda: said(front, open_target)) == (True, {**ALL_OPEN, "us-1": "absent"})
    networks.heal()
    says(front, open_target, ALL_OPEN)


def test_a_slow_place(world, scripted, open_target):
    """It answers after 2 s, which is waited for."""
    front, *_ = world.open("eu-1", "us-1")
    scripted("ap-1", all_open_after(2))
    says(front, open_target, ALL_OPEN)
    begun = time.monotonic()
    assert said(front, open_target) == (True, ALL_OPEN)
    assert time.monotonic() - begun >= 2


def test_a_place_that_lies(world, scripted, open_target, closed_target):
    """It finds every port open."""
    front, *_ = world.open("eu-1", "us-1")
    liar = scripted("ap-1", all_open)
    says(front, open_target, ALL_OPEN)
    asked = len(liar.jobs)
    assert said(front, closed_target) == (False, {**ALL_CLOSED, "ap-1": "open"})
    assert len(liar.jobs) == asked + 1


@pytest.mark.parametrize("noise, says_then", [
    ([b""], {"no_answer", "absent"}),
    ([b"[" * 9000], {"no_answer", "absent"}),
    ([b"x" * 900000] * 10, {"no_answer", "absent"}),
    ([{"v": 1, "place": "ap-1", "refused": "busy"}] * 5, {"refused: busy"}),
])
def test_a_place_answers_a_job_once(noise, says_then, world, scripted, open_target):
    """The server passes on the first answer to a job alone: a place can neither keep the front busy
    nor vote twice."""
    front, *_ = world.open("eu-1", "us-1")
    liar = scripted("ap-1", all_closed, noise=noise)
    says(front, open_target, {"eu-1": "open", "us-1": "open"})
    joins(front, open_target, "ap-1")
    is_open, places = said(front, open_target)
    assert is_open and places.pop("ap-1") in says_then
    assert set(places.values()) == {"open"}
    eventually(lambda: len(liar.denials) == len(liar.jobs) * len(noise), "the rest is denied")
    assert all("Publish" in denial for denial in liar.denials)


@pytest.mark.parametrize("replies_as", ["ap-1", "us-1"])
def test_a_place_that_answers_for_another(replies_as, world, scripted, open_target):
    """It says under another's name that a port is closed: it would take that vote. The front sees
    who has sent an answer, and the server lets none send as another."""
    front, *_ = world.open("eu-1")
    liar = scripted("ap-1", all_closed, claims="us-1", replies_as=replies_as)
    scripted("us-1", all_open_after(0.5))
    says(front, open_target, {"us-1": "open"})
    joins(front, open_target, "ap-1")
    asked = len(liar.jobs)
    is_open, places = said(front, open_target)
    assert len(liar.jobs) > asked
    assert is_open and places.pop("ap-1") in ("no_answer", "absent")
    assert places == {"gw": "open", "eu-1": "open", "us-1": "open"}
    assert bool(liar.denials) == (replies_as != "ap-1")


@pytest.mark.parametrize("key, line", [
    ("ap-1", "PUB _INBOX.gw.0.0.{id}.ap-1 2"),  # a job that it did not get
    ("ap-1", "PUB _INBOX.gw.0.0.{id}.us-1 2"),
    ("ap-1", "PUB vp.check.gw.us-1 2"),
    ("ap-1", "PUB vp.cancel.gw 2"),
    ("ap-1", "PUB vp.late.gw.us-1 2"),
    ("ap-1", "PUB _INBOX.gw.0.0.late.{id}.ap-1 2"),  # a question that it did not get
    ("ap-1", "PUB vp.hello.gw 2"),
    ("ap-1", "PUB vp.beat.us-1 2"),
    ("ap-1", "SUB vp.check.*.us-1 ap-1 9"),     # jobs of another
    ("ap-1", "SUB vp.check.*.ap-1 9"),          # those that other processes of its name get
    ("ap-1", "SUB vp.check.*.ap-1 us-1 9"),
    ("ap-1", "SUB vp.check.> ap-1 9"),
    ("ap-1", "SUB vp.late.*.us-1 9"),
    ("ap-1", "SUB vp.late.> 9"),
    ("ap-1", "SUB vp.beat.* 9"),
    ("ap-1", "SUB _INBOX.> 9"),
    ("ap-1", "SUB > 9"),
    ("gw", "PUB vp.check.other.us-1 2"),
    ("gw", "PUB vp.cancel.other 2"),
    ("gw", "PUB vp.late.other.us-1 2"),
    ("gw", "PUB vp.hello.other 2"),
    ("gw", "PUB vp.beat.us-1 2"),
    ("gw", "PUB _INBOX.gw.0.0.{id}.us-1 2"),
    ("gw", "SUB vp.check.> 9"),
    ("gw", "SUB vp.check.*.us-1 us-1 9"),
    ("gw", "SUB vp.late.*.us-1 9"),
    ("gw", "SUB vp.cancel.* 9"),
    ("gw", "SUB $SYS.> 9"),
    ("gw", "PUB $SYS.REQ.SERVER.PING 2"),
    ("ap-1", "SUB $SYS.> 9"),
    ("ap-1", "PUB $JS.API.INFO 2"),
    ("gw", "SUB _INBOX.other.> 9"),
    ("gw", "SUB > 9"),
])
def test_what_a_key_does_not_allow(key, line, own_network, tmp_path):
    """By contrib/nats alone, whatever the service does."""
    if not nats.program():
        pytest.skip("no nats-server")
    with contextlib.closing(nats.Nats()) as server:
        seed = server.key(key, "--front" if key == "gw" else "--place", key)
        client = Client(server.start(), seed)
        with contextlib.closing(client):
            client.send(line.format(id="0" * 32), b"{}" if line.startswith("PUB") else None)
            eventually(lambda: client.denials, "the server denies it")
    assert "Permissions Violation" in client.denials[0]


def test_a_filter_at_one_place_is_its_verdict(world, networks, open_target, later):
    """There it takes longer to say than the front waits for a place that shows no sign of work. Only
    one process of that place probes."""
    world.cluster.start()
    front = world.front(PORT_CHECK_TIMEOUT=5)
    places = [world.place(name, PORT_CHECK_TIMEOUT=5) for name in ("eu-1", "ap-1", "us-1", "us-1")]
    for service in front, *places:
        connected(service)
    twins = places[2:]
    says(front, open_target, ALL_OPEN)
    networks.drop(f"ip saddr {NETWORKS['us-1']}.0/24 ip daddr {TARGET}")
    def jobs():
        return sum(len(twin.events("job")) for twin in twins)
    before = eventually(jobs, "the first one is logged")
    begun = time.monotonic()
    assert said(front, open_target) == (True, {**ALL_OPEN, "us-1": "filtered"})
    assert time.monotonic() - begun >= WAIT
    eventually(lambda: jobs() > before, "it is logged")
    assert jobs() == before + 1


def test_a_front_that_connects_hears_of_places_at_once(world, scripted, open_target):
    """This place sends no heartbeat of its own accord."""
    world.cluster.start()
    place = scripted("ap-1", all_open)
    front = world.front(PORT_CHECKER_VANTAGES="")
    says(front, open_target, {"ap-1": "open"})
    front.process.send_signal(signal.SIGHUP)
    front.wait_ready(2)
    eventually(lambda: place.greeted == 2, "the new process says hello")
    says(front, open_target, {"ap-1": "open"})
    assert place.greeted == 2


def test_a_place_with_a_wrong_key(world, open_target):
    key = world.cluster.key("wrong", "--place", "ap-1", is_known=False)
    front, *_ = world.open("eu-1", "us-1")
    intruder = world.place("ap-1", key)
    assert "Authorization" in intruder.wait_event("nats")["message"]
    says(front, open_target, {"eu-1": "open", "us-1": "open"})
    is_open, places = said(front, open_target)
    assert is_open and places["ap-1"] in ("no_responders", "absent")
    assert not intruder.events("job")


def test_a_front_without_rights(world, open_target, closed_target):
    """It has the key of a place: it may not publish jobs. It serves with its own verdict."""
    _, *places = world.open("eu-1", "us-1", "ap-1")
    front = world.front("eu-1")
    connected(front)
    assert said(front, open_target)[0]
    assert set(said(front, open_target)[1].values()) == {"open", "no_answer"}
    assert not said(front, closed_target)[0]
    assert not any(place.events("job") for place in places)
    assert any("ermissions" in line["message"] for line in front.events("nats"))


def test_one_of_two_processes_is_killed(world, open_target):
    """While clients ask all the time: their checks in flight go to the other process once more."""
    front, *_ = world.open("eu-1", "us-1", "ap-1")
    victim = world.place("us-1", servers=world.servers_from("ap-1"))
    connected(victim)
    says(front, open_target, ALL_OPEN)
    replies, is_over = [], threading.Event()

    def client():
        with world.networks.spaces["gw"]:
            while not is_over.is_set():
                replies.append(said(front, open_target))
    clients = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in clients:
        thread.start()
    try:
        eventually(lambda: len(victim.events("job")) >= CLIENTS, "the victim has its share")
        kill(victim)
        asked = len(replies)
        eventually(lambda: len(replies) >= asked + 20 * CLIENTS, "checks go on")
    finally:
        is_over.set()
        for thread in clients:
            thread.join()
    assert all(reply == (True, ALL_OPEN) for reply in replies)


def test_the_server_of_the_front_is_killed(world, open_target):
    """The front goes to another server, and so does a place that was there."""
    front, *_ = world.open("eu-1", "us-1", "ap-1")
    killed, seen = [], []

    def kill():
        """The server that it has now, while the others run."""
        for server in killed:
            server.start()
        says(front, open_target, ALL_OPEN)
        killed[:] = [world.server_of(front)]
        seen[:] = connected(front)
        killed[0].kill()
    soon(1, lambda: connected(front, len(seen) + 1), kill)
    says(front, open_target, ALL_OPEN)


def test_all_servers_are_killed_for_five_seconds(world, open_target, closed_target):
    front, *places = world.open("eu-1", "us-1", "ap-1")
    says(front, open_target, ALL_OPEN)
    alone = {"gw": "open", **dict.fromkeys(("eu-1", "us-1", "ap-1"), "not_connected")}
    wanted = []

    def are_down():
        wanted[:] = [(service, len(connected(service)) + 1) for service in (front, *places)]
        world.cluster.kill()
        end = time.monotonic() + DOWN
        says(front, open_target, alone)
        while time.monotonic() < end:
            assert soon(WAIT, lambda: said(front, open_target)) == (True, alone)
            assert not soon(WAIT, lambda: said(front, closed_target))[0]
        world.cluster.start()

    def are_back():
        for service, count in wanted:
            connected(service, count)
    soon(5, are_back, are_down)  # a service tries four times a second
    says(front, open_target, ALL_OPEN)


def test_a_place_that_needs_all_the_time_is_heard(world, networks, later):
    """The target stops answering everyone: it takes the whole time of a check to say so."""
    ports = range(30000, 30060)
    with networks.spaces["target"]:
        for port in ports:
            later.enter_context(targets.listener(TARGET, port=port))
    networks.spaces["target"].nft(
        "table ip sparse {\nset seen {\ntype ipv4_addr\nflags dynamic\n}\nchain input {\n"
        "type filter hook input priority 0;\ntcp flags & (syn | ack) == syn "
        "add @seen { ip saddr limit rate over 1/hour burst 6 packets } drop\n}\n}\n")
    world.cluster.start()
    front = world.front(PORT_CHECK_TIMEOUT=5, PORT_CHECKER_VANTAGES="eu-1")
    connected(front)
    connected(world.place("eu-1", PORT_CHECK_TIMEOUT=5))
    results = ask(front, *ports)["results"].values()
    assert "limited" in {result["state"] for result in results}
    assert {states(result)["eu-1"] for result in results} <= {"open", "limited"}
