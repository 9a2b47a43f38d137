# SPDX-License-Identifier: MIT
"""What this machine itself does with ports: packet filters, other programs, its place."""
import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import time

import pytest

import home as homes
import stub as stubs
from harness.netns import Namespace
from harness.waiting import eventually
from home import CHECKER, PROVIDER, PUBLIC, forward
from program import BINARY, OK, SYSTEM, Running, cause_of, ports_of, verify

CONTAINER = "10.88.0.2"
LEAD = """
table inet netavark {
  chain ports { tcp dport 50800-50801 dnat ip to %s; }
  chain pre { type nat hook prerouting priority dstnat; fib daddr type local jump ports; }
}
""" % CONTAINER
DROP = """
table inet f {
  chain in {
    type filter hook input priority 0; policy drop;
    iifname lo accept
    ct state established,related accept
    tcp dport 7466 accept
  }
}
"""


@pytest.fixture
def make_home(namespaces, later):
    return lambda **options: homes.Home(later, **options)


@pytest.fixture
def service(start):
    """service(home): a checker there."""
    return lambda home: start(inside=home.checker, PORT_CHECKER_HOST=CHECKER,
                              PORT_CHECKER_TARGETS="caller")


@pytest.fixture
def nobody(tmp_path):
    """Options of verify() for a user who may not see rules."""
    tmp_path.chmod(0o755)
    for folder in tmp_path.parents:
        if folder.stat().st_uid == os.getuid() and not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o111)
    binary = shutil.copy(BINARY, tmp_path / "port-verifier")
    binary.chmod(0o755)
    return {"binary": binary,
            "before": ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")}


def listener(later, place, port, address="0.0.0.0", family=socket.AF_INET, is_listening=True):
    with place:
        sock = later.enter_context(socket.socket(family))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((address, port))
    if is_listening:
        sock.listen(64)
    return sock


def container(home, later):
    """Another namespace behind the provider, in which 50800 and 50801 are listened on."""
    inner = later.enter_context(contextlib.closing(Namespace("container")))
    inner.ip("link set lo up\n")
    home.provider.ip("link add podman0 type veth peer name eth0 netns "
                     f"{inner.path}\nlink set podman0 up\naddr add 10.88.0.1/16 dev podman0\n")
    inner.ip(f"link set eth0 up\naddr add {CONTAINER}/16 dev eth0\n"
             "route add default via 10.88.0.1\n")
    for port in 50800, 50801:
        listener(later, inner, port)
    with home.provider:  # a new cable may lose its first packets
        socket.create_connection((CONTAINER, 50800), timeout=20).close()
    return inner


FORWARDED = forward("{ 7466, 50800-50805 }")
PORTS = "7466,50800-50802"


# --- ports that the packet filter leads elsewhere -------------------------------------------

def test_rented_ports_are_known_by_the_rules(make_home, service, later):
    home = make_home()
    home.rules(FORWARDED)
    container(home, later)
    home.provider.nft(LEAD)
    checker = service(home)
    ended = verify("--json", "--ports", PORTS, checker.url, inside=home.provider)
    family = ended.family()
    rented = ports_of(family)[50800]
    assert (rented["good"], rented["advertise"], rented["led_away_to"]) == (True, False, CONTAINER)
    assert rented["listener"] == "bound" and ports_of(family)[50802]["led_away_to"] is None
    assert family["advertise"] == [7466, 50802]
    assert cause_of(family, 50801)["remedy"].startswith(
        "if a machine that you rent out answers there, add ports 50800-50801 to --in-use")

    ended = verify("--json", "--ports", PORTS, "--in-use", "50800-50801", checker.url,
                   inside=home.provider)
    assert ended.family()["advertise"] == [7466, 50800, 50801, 50802]
    assert cause_of(ended.family(), 50800)["text"] == (
        f"ports 50800-50801 are reachable; the packet filter of this machine redirects them to {CONTAINER}")


def test_rented_ports_without_the_right_to_see_rules(make_home, service, later, nobody):
    home = make_home()
    home.rules(FORWARDED)
    container(home, later)
    home.provider.nft(LEAD)
    checker = service(home)
    family = verify("--json", "--ports", PORTS, checker.url, inside=home.provider,
                    **nobody).family()
    assert ports_of(family)[50800]["cause"] == "somebody_else"
    assert family["advertise"] == [7466, 50802]
    assert "add them to --in-use, or run port-verifier as root" in cause_of(family, 50800)["remedy"]

    family = verify("--json", "--ports", PORTS, "--in-use", "50800-50801", checker.url,
                    inside=home.provider, **nobody).family()
    assert family["advertise"] == [7466, 50800, 50801, 50802]
    assert cause_of(family, 50800)["text"] == (
        "ports 50800-50801 are reachable; port-verifier does not answer there, but --in-use "
        "states that another program does")


def test_a_rented_port_with_nothing_behind_it(make_home, service, later):
    home = make_home()
    home.rules(FORWARDED)
    inner = container(home, later)
    inner.nft("table inet f { chain i { type filter hook input priority 0; "
              "tcp dport 50801 reject with tcp reset; }\n}\n")
    home.provider.nft(LEAD)
    family = verify("--json", "--ports", PORTS, "--in-use", "50800-50801", service(home).url,
                    inside=home.provider).family()
    assert ports_of(family)[50801]["cause"] == "led_away"
    assert family["advertise"] == [7466, 50800, 50802]


def test_watching_does_not_withdraw_what_is_rented_out(make_home, service, later, tmp_path):
    home = make_home()
    home.rules(FORWARDED)
    container(home, later)
    path = tmp_path / "report.json"
    with home.provider:
        running = later.enter_context(Running(
            "--watch", "1s", "--confirm", "1s", "--json", "--output", path, "--ports", PORTS,
            service(home).url))
    def family():
        return json.loads(path.read_text())["families"][0] if path.exists() else None
    eventually(family, "the first report", 20)
    assert family()["advertise"] == [7466, 50800, 50801, 50802]
    home.provider.nft(LEAD)
    eventually(lambda: ports_of(family())[50800]["led_away_to"], "a rule seen", 30)
    since = family()["time"]
    eventually(lambda: family()["time"] != since, "one more round", 30)
    assert family()["advertise"] == [7466, 50800, 50801, 50802]
    running.end()


# --- the firewall of this machine ----------------------------------------------------------

def test_its_own_firewall_is_found_behind_a_router(make_home, service, nobody):
    home = make_home()
    home.rules(FORWARDED)
    home.provider.nft(DROP)
    checker = service(home)
    options = "--json", "--patience", "1s", "--ports", PORTS, checker.url
    ended = verify(*options, inside=home.provider)
    cause = cause_of(ended.family(), 50800)
    assert (cause["cause"], cause["ports"]) == ("host_firewall", "50800-50802")
    assert cause["text"] == (
        "the firewall of this machine blocks ports 50800-50802 (table inet f, chain in)")
    assert cause["remedy"].startswith(
        "allow TCP ports 50800-50802 from any address in the firewall of this machine")

    cause = cause_of(verify(*options, inside=home.provider, **nobody).family(), 50800)
    assert cause["cause"] == "not_forwarded"
    assert cause["remedy"].endswith("and allow them in the firewall of this machine")


@pytest.mark.parametrize("rules, is_blocked", [
    # who may come in: this network alone, as with `ufw allow from`
    ("ip saddr 192.168.0.0/16 accept; drop", True),
    ("ip saddr @bans drop", True),
    # what is for others: bans of others, packets that begin no connection
    ("ip saddr 198.51.100.7 drop; tcp flags & (fin|syn) == fin|syn drop; "
     "ct state new tcp flags & (fin|syn|rst|ack) != syn drop; fib saddr . iif oif missing drop",
     False),
])
def test_rules_for_other_senders_are_told_from_those_for_the_checker(
        make_home, service, rules, is_blocked):
    home = make_home()
    home.rules(forward("7466") if not is_blocked else FORWARDED)
    home.provider.nft("table inet f { set bans { type ipv4_addr; elements = { %s }; }\n"
                      "chain in { type filter hook input priority 0; iifname lo accept; "
                      "ct state established,related accept; tcp dport 7466 accept; %s; }\n}"
                      % (CHECKER, rules))
    ended = verify("--json", "--patience", "1s", "--ports", PORTS, service(home).url,
                   inside=home.provider)
    cause = cause_of(ended.family(), 50800)
    assert cause["cause"] == ("host_firewall" if is_blocked else "not_forwarded"), cause
    if not is_blocked:
        assert cause["remedy"].endswith("; the firewall of this machine already lets them in")


@pytest.mark.parametrize("how, cause", [
    ("icmpx type admin-prohibited", "unreachable"),
    ("icmp type host-prohibited", "unreachable"),
    ("icmp type port-unreachable", "refused"),
])
def test_what_this_machine_rejects_is_its_firewalls(make_home, start, nobody, how, cause):
    """As root the rules show it; for others it is the sender of the ICMP error."""
    home = make_home()
    home.router.nft("table inet f { chain in { type filter hook input priority 0; "
                    f"iifname wan tcp dport 50800-50802 reject with {how}; }}\n}}\n")
    checker = start(inside=home.checker, PORT_CHECKER_HOST=CHECKER, PORT_CHECKER_TARGETS="caller")
    options = "--json", "--patience", "1s", "--ports", PORTS, checker.url
    found = cause_of(verify(*options, inside=home.router).family(), 50800)
    assert found["cause"] == "host_firewall"
    found = cause_of(verify(*options, inside=home.router, **nobody).family(), 50800)
    assert found["cause"] == cause
    assert "the firewall of this machine rejects connections" in found["text"]
    assert found["remedy"].startswith(
        "allow TCP ports 50800-50802 from any address in the firewall of this machine")


def test_handshakes_of_strangers_are_not_the_checkers(make_home, service, later):
    home = make_home()
    home.rules(forward("7466"))
    home.provider.nft("table inet f { chain out { type filter hook output priority 0; "
                      "ip daddr 192.168.50.3 tcp flags & (syn | ack) == syn | ack drop; }\n}\n")
    checker = service(home)
    with home.provider:
        running = later.enter_context(Running("--json", "--patience", "5s", "--ports", PORTS,
                                              checker.url))
    def hanging():
        with home.other:
            stranger = later.enter_context(socket.socket())
        stranger.setblocking(False)
        stranger.connect_ex((PROVIDER, 50800))
        time.sleep(0.05)  # a SYN a turn, until one meets the listener
        with home.provider:
            shown = subprocess.run(["ss", "-tnH", "state", "syn-recv"], capture_output=True,
                                   text=True, check=True)
        return ":50800" in shown.stdout
    eventually(hanging, "a handshake that hangs", 20)
    ended = running.wait()
    port = ports_of(ended.family())[50800]
    assert (port["cause"], port["syn_seen"]) == ("not_forwarded", False)


# --- other programs -------------------------------------------------------------------------

# Connections to a port that tests verify block it for a minute after their end (TIME_WAIT).
FRESH = 50890


@pytest.fixture
def refused(stub):
    """Verifies ports that a checker finds closed: refused(place, ...) is their family."""
    closed = stubs.fixed({"accessible": False, "error": "Connection refused"})
    return lambda *arguments, **options: verify(
        "--json", "--patience", "0", *arguments, stub(closed).url, **options).family()


def test_a_port_that_is_bound_and_not_listened_on(refused, later):
    with socket.socket() as sock:
        sock.bind(("0.0.0.0", FRESH))
        family = refused("--ports", f"{FRESH}-{FRESH + 1}")
    assert ports_of(family)[FRESH]["held_by"] is None  # certainly not this program
    assert cause_of(family, FRESH)["text"] == (
        f"port {FRESH} is closed: another program has bound it on this machine, but does not listen")


def test_a_listener_on_an_inner_address(make_home, service, later):
    home = make_home()
    home.rules(FORWARDED)
    home.provider.ip("addr add 172.17.0.1/16 dev lo\n")
    listener(later, home.provider, 50800, "172.17.0.1")
    family = verify("--json", "--ports", PORTS, service(home).url, inside=home.provider).family()
    assert re.fullmatch(r"port 50800 is closed: python\S* listens on 172\.17\.0\.1 only, and "
                        rf"connections from outside go to {re.escape(PROVIDER)}",
                        cause_of(family, 50800)["text"])


def test_a_mapped_address_is_an_ipv4_address(refused, later, namespace):
    sock = later.enter_context(socket.socket(socket.AF_INET6))
    sock.bind(("::ffff:127.0.0.1", FRESH))
    sock.listen(8)
    family = refused("--ports", f"{FRESH}-{FRESH + 1}")
    assert ports_of(family)[FRESH]["held_by"].startswith("python")
    assert cause_of(family, FRESH)["text"].endswith("listens on the loopback interface only")


def test_a_hidden_proc_net(refused, later):
    """As in a unit with ProcSubset=pid."""
    sock = later.enter_context(socket.socket())
    sock.bind(("127.0.0.1", FRESH))
    sock.listen(8)
    hidden = ("unshare", "--mount", "sh", "-c",
              'mount -t proc -o subset=pid proc /proc && exec "$@"', "sh")
    family = refused("--ports", f"{FRESH}-{FRESH + 1}", before=hidden)
    assert cause_of(family, FRESH)["text"].endswith("listens on the loopback interface only")


def test_a_system_that_keeps_more_ports_than_usual(stub, namespace, start, nobody):
    net = namespace("kept")
    net.sysctl("net.ipv4.ip_local_port_range", "60000 60999")
    net.sysctl("net.ipv4.ip_unprivileged_port_start", 50801)
    family = verify("--json", "--ports", "50800-50801", start(inside=net).url, inside=net,
                    **nobody).family()
    assert ports_of(family)[50800]["listener"] == "no_permission"
    assert cause_of(family, 50800)["text"].endswith("this user may not bind ports below 50801")


# --- where this machine is ------------------------------------------------------------------

def move(home, address, gateway, interface="eth0"):
    """Gives the provider another address on its LAN, and its interface another name."""
    home.router.ip(f"addr add {gateway} dev lan\n")
    home.provider.ip(f"link set eth0 down\naddr flush dev eth0\nlink set eth0 name {interface}\n"
                     if interface != "eth0" else "addr flush dev eth0\n")
    home.provider.ip(f"link set {interface} up\naddr add {address} dev {interface}\n"
                     f"route add default via {gateway.partition('/')[0]}\n")


@pytest.mark.parametrize("address, gateway, interface, sign, text, remedy", [
    ("10.8.0.2/24", "10.8.0.1/24", "tun0", "tunnel", "through a VPN or another tunnel (tun0)",
     "this machine reaches the internet through a VPN or another tunnel (tun0), and a port forward"),
    ("172.17.0.2/16", "172.17.0.1/16", "eth0", "container",
     "172.17.0.2 looks like the address of a container or a virtual machine",
     "the address of this machine looks like that of a container or a virtual machine: publish"),
    ("192.0.0.2/29", "192.0.0.1/29", "eth0", "clat_address",
     "the internet provider uses carrier-grade NAT (DS-Lite or 464XLAT",
     "a port forward does not help behind the carrier NAT of DS-Lite or 464XLAT"),
])
def test_no_router_is_told_to_forward_there(make_home, service, address, gateway, interface, sign,
                                            text, remedy):
    home = make_home()
    home.rules()
    move(home, address, gateway, interface)
    family = verify("--json", "--patience", "1s", "--ports", PORTS, service(home).url,
                    inside=home.provider).family()
    assert sign in family["signs"] and family["ip"] == PUBLIC
    assert text in family["causes"][0]["text"]
    assert family["causes"][0]["remedy"].startswith(remedy)
    assert address.partition("/")[0] not in family["causes"][0]["remedy"]


def test_a_second_router_is_named_beside_a_carrier(make_home, service):
    home = make_home()
    home.rules()
    family = verify("--json", "--patience", "1s", "--ports", PORTS, service(home).url,
                    inside=home.provider).family()
    assert ("a private address (10.*, 172.16.* to 172.31.*, 192.168.*) is that of a second "
            "router in front of it") in family["causes"][0]["remedy"]
    assert "100.64.0.0/10 shows carrier-grade NAT" in family["causes"][0]["remedy"]


# --- the file -------------------------------------------------------------------------------

def good(stub):
    return stub(stubs.fixed({"accessible": True, "error": None})).url


def test_a_file_that_is_mounted_alone_is_overwritten(stub, tmp_path):
    real, mounted = tmp_path / "real.json", tmp_path / "app" / "report.json"
    mounted.parent.mkdir()
    mounted.write_text("")
    real.write_text("x" * 100_000)
    bound = ("unshare", "--mount", "sh", "-c",
             f'mount --bind {real} {mounted} && exec "$@"', "sh")
    ended = verify("--output", mounted, "--ports", "50800", good(stub), before=bound)
    assert ended.status == OK, ended
    assert json.loads(real.read_text())["status"] == "ok"  # and nothing of the longer old text
    assert list(mounted.parent.iterdir()) == [mounted]


def test_a_file_in_a_folder_of_others_is_overwritten(stub, tmp_path, nobody):
    folder = tmp_path / "root"
    folder.mkdir(mode=0o755)
    path = folder / "report.json"
    path.write_text("old")
    path.chmod(0o666)
    assert verify("--output", path, "--ports", "50800", good(stub), lan=True, **nobody).status == OK
    assert json.loads(path.read_text())["status"] == "ok"

    path.chmod(0o644)
    ended = verify("--output", path, "--ports", "50800", good(stub), lan=True, **nobody)
    assert (ended.status, ended.out) == (SYSTEM, "")
    assert "Permission denied" in ended.err
