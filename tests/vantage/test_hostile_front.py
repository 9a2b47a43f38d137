# SPDX-License-Identifier: MIT
"""What a vantage point does for a front that was broken into: it probes public addresses within its
budgets, and nothing else."""

import pytest

from harness.places import connected
from harness.waiting import eventually
from laboratory import NETWORKS, TARGET

OWN = NETWORKS["eu-1"] + ".2"

NEVER = ["0.0.0.0", "0.1.2.3", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "ff02::1", "fe80::1",
         "::ffff:224.0.0.1", "64:ff9b::e000:1", "10.50.3.255", "::ffff:10.50.3.255",
         "64:ff9b::a32:3ff"]
NOT_PUBLIC = [OWN, TARGET, "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1",
              "169.254.169.254", "192.0.2.1", "198.18.0.1", "::1", "fd00::1", "fec0::1",
              "2001:db8::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1",
              "64:ff9b::7f00:1", "64:ff9b::a32:202", "64:ff9b:1::a00:1", "2002:7f00:1::1",
              "2002:a32:202::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "100::1"]


def reason(front, job):
    """Why the job is refused."""
    id = front.ask(job)
    answers = eventually(lambda: front.answers.get(id), f"{job} is answered")
    assert len(answers) == 1
    return answers[0].get("refused")


@pytest.fixture
def place(world):
    """eu-1, as it is on the internet."""
    world.cluster.start()
    place = world.place("eu-1", PORT_CHECKER_VANTAGE_TARGETS="public", PORT_CHECKER_RATE="8/h",
                        PORT_CHECKER_MAX_PORTS="8")
    connected(place)
    return place


def test_targets(world, place, scripted_front):
    front = scripted_front()
    for target in NEVER + NOT_PUBLIC:
        assert reason(front, front.job(target=target, caller=target)) == "target", target
        assert reason(front, front.job(target=target)) == "target", target
    assert reason(front, front.job()) is None


def test_a_public_address_of_its_own(world, place, scripted_front, networks):
    networks.spaces["eu-1"].ip("address add 8.7.6.5/32 dev up0\n")
    networks.spaces["eu-1"].ip("address add 2600::5/128 dev up0\n")
    front = scripted_front()
    for target in "8.7.6.5", "::ffff:8.7.6.5", "64:ff9b::807:605", "2600::5":
        assert reason(front, front.job(target=target, caller=target)) == "target", target


def test_what_no_setting_allows(world, scripted_front):
    world.cluster.start()
    connected(world.place("eu-1", PORT_CHECKER_VANTAGE_TARGETS="any"))
    front = scripted_front()
    for target in NEVER:
        assert reason(front, front.job(target=target, caller=target)) == "target", target


REFUSED = [
    ({"v": 2}, "version"), ({"v": None}, "form"), ({"more": 1}, "form"), ({"ports": ""}, "form"),
    ({"ports": "1,1"}, "form"), ({"ports": "0"}, "form"), ({"ports": "65536"}, "form"),
    ({"ports": "9-1"}, "form"), ({"ports": "1-9"}, "ports"), ({"ports": "1-65535"}, "ports"),
    ({"exp": 0}, "expired"), ({"exp": 1 << 52}, "exp"), ({"budget_ms": 25001}, "form"),
    ({"id": "X" * 32}, "form"), ({"token": "zz"}, "form"),
    ({"caller": "9.9.9.9%eth0"}, "form"), ({"target": "fe80::1%up0"}, "form"),
    ({"target": "9.9.9.9 "}, "form"), ({"target": "9.9.9"}, "form"), ({"target": "0x9090909"}, "form"),
]


def test_jobs_that_it_refuses(world, place, scripted_front):
    front = scripted_front()
    for members, word in REFUSED:
        assert reason(front, front.job(**members)) == word, members


def test_a_job_is_probed_once(world, place, scripted_front):
    front = scripted_front()
    job = front.job(budget_ms=500)
    for _ in range(20):
        front.ask(job)
    assert reason(front, front.job(target="127.0.0.1")) == "target"
    eventually(lambda: front.answers.get(job["id"]), "it is answered")
    assert len(front.answers[job["id"]]) == 1


def test_a_job_is_probed_once_whatever_comes_between(world, place, scripted_front):
    """More other jobs than a process gets in the seconds that a job is good for."""
    front = scripted_front()
    job = front.job(budget_ms=500)
    reason(front, job)
    for _ in range(30):
        for _ in range(199):
            front.ask(front.job(target="127.0.0.1"))
        assert reason(front, front.job(target="127.0.0.1")) == "target"
    front.ask(job)
    ended = front.job(target="9.9.9.8", caller="9.9.9.8", budget_ms=500)
    reason(front, ended)  # as late as the second answer would be
    assert len(front.answers[job["id"]]) == 1


def test_only_the_front_that_asked_is_told_of_a_job(world, networks, scripted_front):
    world.keys["other"] = world.cluster.key("other", "--front", "other")
    world.cluster.start()
    connected(world.place("eu-1", PORT_CHECK_TIMEOUT=5))
    networks.drop(f"ip daddr {TARGET}")
    other, front = scripted_front("other"), scripted_front()
    id = front.ask(front.job(target=TARGET, caller=TARGET))
    for asking in other, front:
        asking.inquire(id)
    eventually(lambda: id in front.told, "it is at work")
    assert reason(other, other.job(target="0.0.0.0")) == "target"
    assert not other.told and front.told == [id]
    eventually(lambda: front.answers.get(id), "it is answered")
    front.inquire(id)
    assert reason(front, front.job(target="0.0.0.0")) == "target"
    assert front.told == [id]


def cancelled(networks, place):
    with networks.spaces["eu-1"]:
        return place.metric("vantage_jobs_total", "cancelled")


def test_a_cancellation_that_overtakes_its_job(networks, place, scripted_front):
    front = scripted_front()
    job = front.job(budget_ms=500)
    front.cancel(job["id"])
    assert reason(front, front.job(target="127.0.0.1")) == "target"  # all of it has arrived
    front.ask(job)
    eventually(lambda: cancelled(networks, place) == 1, "it is cancelled")
    assert reason(front, front.job(target="127.0.0.1")) == "target"
    assert job["id"] not in front.answers


def test_a_front_cannot_cancel_the_jobs_of_another(world, networks, scripted_front):
    world.keys["other"] = world.cluster.key("other", "--front", "other")
    world.cluster.start()
    place = world.place("eu-1")
    connected(place)
    other, front = scripted_front("other"), scripted_front()
    job = front.job(target=TARGET, caller=TARGET, id="f" * 32)
    other.cancel(job["id"])
    assert reason(other, other.job(target="0.0.0.0")) == "target"
    front.ask(job)
    eventually(lambda: job["id"] in front.answers, "it is answered")
    assert cancelled(networks, place) == 0


def test_a_target_has_one_budget_for_all_ways_to_name_it(world, place, scripted_front):
    front = scripted_front()
    job = {"ports": "1-8", "budget_ms": 500, "caller": "9.9.9.8"}
    reason(front, front.job(**job))
    assert reason(front, front.job(target="::ffff:9.9.9.9", **{**job, "caller": "9.9.9.7"})) \
        == "budget"
    assert reason(front, front.job(target="64:ff9b::909:909", **job)) == "budget"


def test_a_front_in_the_name_of_another(world, place, scripted_front):
    world.keys["other"] = world.cluster.key("other", "--front", "other")
    world.cluster.kill()
    world.cluster.start()
    connected(place, 2)
    front = scripted_front("other")
    front.ask(front.job(), as_front="gw")
    eventually(lambda: front.denials, "the server refuses")
    assert not front.answers


def test_a_front_has_a_budget_for_all_targets(world, scripted_front):
    """That of 256 targets (POINT_FRONT_SHARE)."""
    world.cluster.start()
    connected(world.place("eu-1", PORT_CHECKER_VANTAGE_TARGETS="public", PORT_CHECKER_RATE="1/h",
                          PORT_CHECKER_MAX_PORTS="1"))
    front = scripted_front()
    ids = []
    for number in range(260):
        target = f"9.1.{number // 256}.{number % 256}"
        ids.append(front.ask(front.job(target=target, caller=target, budget_ms=500)))
    eventually(lambda: len(front.answers) == len(ids), "all jobs are answered")
    refused = [front.answers[id][0].get("refused") for id in ids]
    assert refused.count("budget") == 4
