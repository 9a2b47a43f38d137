# SPDX-License-Identifier: MIT
"""Every row of the table of causes, in real networks with that cause."""
import contextlib
import socket

import pytest

import home as homes
from home import CHECKER, CHECKER6, OTHER, PROVIDER, PUBLIC, forward
from program import NOT_OK, OK, UNKNOWN, cause_of, ports_of, verify

MAP = ("or, if the router allows UPnP, PCP or NAT-PMP, run port-verifier again with --map, or, on a "
       "rented server, allow them in the firewall (security group) of the hosting provider")


@pytest.fixture
def make_home(namespaces, later):
    return lambda **options: homes.Home(later, **options)


@pytest.fixture
def checked(start):
    """checked(home, ports, ...): the report that a provider there gets."""
    def check(home, ports, host=CHECKER, **options):
        service = start(inside=home.checker, PORT_CHECKER_HOST=host,
                        PORT_CHECKER_TARGETS="caller")
        return verify("--json", "--ports", ports, service.url, inside=home.provider, **options)
    return check


def all_are(family, cause, *ports):
    found = {number: port["cause"] for number, port in ports_of(family).items()}
    return {found[port] for port in ports} == {cause}


def test_a_part_of_the_range_is_forwarded(make_home, checked):
    home = make_home()
    home.rules(forward("{ 7466, 50800-50847 }"))
    ended = checked(home, "7466,50800-50900")
    assert ended.status == OK, ended
    family = ended.family()
    assert (family["ip"], family["local_ip"]) == (PUBLIC, PROVIDER)
    assert family["signs"] == ["address_differs", "private_address"]
    assert family["advertise"] == [7466, *range(50800, 50848)]
    assert all_are(family, "good", 7466, *range(50800, 50848))
    assert all(port["proved"] == port["good"] for port in family["ports"])
    cause = cause_of(family, 50900)
    assert (cause["cause"], cause["ports"]) == ("not_forwarded", "50848-50900")
    assert cause["label"] == "filtered: not forwarded"
    assert cause["text"] == ("no answer from ports 50848-50900, only from 7466,50800-50847: "
                             "the router does not forward them, or the firewall of a hosting "
                             "provider blocks them")
    assert cause["remedy"] == (
        f"in the router, forward TCP ports 50848-50900 to {PROVIDER} (same port numbers), {MAP}; "
        "the firewall of this machine already lets them in")


def test_a_forward_leads_to_another_port(make_home, checked):
    home = make_home()
    home.rules(forward("50801", f"{PROVIDER}:50811") + forward("{ 7466, 50800, 50811 }"))
    ended = checked(home, "7466,50800,50801,50811")
    family = ended.family()
    port = ports_of(family)[50801]
    assert (port["good"], port["cause"], port["leads_to"]) == (False, "other_port", 50811)
    assert cause_of(family, 50801)["text"] == (
        "the router forwards port 50801 to port 50811 of this machine")
    assert family["advertise"] == [7466, 50800, 50811]


@contextlib.contextmanager
def listening(place, port):
    with place.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("0.0.0.0", port))
        sock.listen(64)
        yield


def test_another_machine_answers(make_home, checked, later):
    home = make_home()
    home.rules(forward("50800", OTHER) + forward("{ 7466, 50801 }"))
    later.enter_context(listening(home.other, 50800))
    ended = checked(home, "7466,50800-50801")
    family = ended.family()
    port = ports_of(family)[50800]
    assert (port["good"], port["cause"], port["accepted"]) == (False, "somebody_else", 0)
    assert cause_of(family, 50800)["text"] == (
        "something else answers on port 50800: another machine, or a proxy that accepts "
        "every connection")
    assert family["advertise"] == [7466, 50801]


def test_another_machine_refuses(make_home, checked):
    home = make_home()
    home.rules(forward("50800", OTHER) + forward("{ 7466, 50801 }"))
    family = checked(home, "7466,50800-50801").family()
    assert all_are(family, "refused", 50800)
    assert cause_of(family, 50800)["text"] == (
        "port 50800 is closed, although this machine listens: the port forward leads to another "
        "machine, or a firewall rejects connections")


def test_a_firewall_rejects(make_home, checked):
    home = make_home()
    home.rules(forward("{ 7466, 50800-50801 }"),
               'iifname "wan" tcp dport 50800 reject with tcp reset; ')
    assert all_are(checked(home, "7466,50800-50801").family(), "refused", 50800)


SYNPROXY = """
table ip proxy {
  chain raw {
    type filter hook prerouting priority raw;
    iifname "wan" tcp dport { 7466, 50800-50802 } tcp flags syn notrack
  }
  chain input {
    type filter hook input priority -1;
    iifname "wan" tcp dport { 7466, 50800-50802 } ct state invalid,untracked synproxy mss 1460 wscale 7 timestamp sack-perm
  }
}
"""


def test_a_proxy_accepts_everything(make_home, checked):
    home = make_home()
    home.rules()
    home.router.sysctl("net.netfilter.nf_conntrack_tcp_loose", 0)
    home.router.nft(SYNPROXY)
    ended = checked(home, "7466,50800-50802")
    assert ended.status == NOT_OK, ended
    family = ended.family()
    assert all_are(family, "somebody_else", 7466, 50800, 50801, 50802)
    assert all(port["state"] == "open" for port in family["ports"])
    assert family["advertise"] == []
    assert "look for a SYN proxy" in cause_of(family, 7466)["remedy"]


def test_nothing_is_forwarded(make_home, checked):
    home = make_home()
    home.rules()
    ended = checked(home, "7466,50800-50802")
    assert ended.status == NOT_OK, ended
    family = ended.family()
    assert all_are(family, "no_way_in", 7466, 50800, 50801, 50802)
    assert family["causes"] == [{
        "cause": "no_way_in", "ports": "7466,50800-50802",
        "label": "filtered: no incoming connections",
        "text": "no connections arrive here: a missing port forward, a firewall, a second router, or "
                f"carrier-grade NAT (the checker sees {PUBLIC} instead of {PROVIDER})",
        "remedy": f"in the router, forward TCP ports 7466,50800-50802 to {PROVIDER} (same port "
                  f"numbers), {MAP}; the firewall of this machine already lets them in; if the WAN "
                  f"address of the router is not {PUBLIC}: a private address (10.*, 172.16.* "
                  "to 172.31.*, 192.168.*) is that of a second router in front of it, which has "
                  "to be put into bridge mode or has to forward them to the first; an address in "
                  "100.64.0.0/10 shows carrier-grade NAT, as does a second router that is not "
                  "yours: ask the internet provider for a public address",
    }]


def test_a_carrier_translates_in_front_of_the_router(make_home, checked):
    home = make_home(has_carrier=True)
    home.rules(forward("{ 7466, 50800-50900 }"))
    ended = checked(home, "7466,50800-50802")
    assert ended.status == NOT_OK, ended
    family = ended.family()
    assert family["ip"] == PUBLIC
    assert all_are(family, "no_way_in", 7466, 50800, 50801, 50802)
    assert "carrier-grade NAT" in family["causes"][0]["text"]


def test_a_machine_that_hangs_on_a_carrier_itself(make_home, start):
    home = make_home(has_carrier=True)
    home.rules()
    service = start(inside=home.checker, PORT_CHECKER_HOST=CHECKER,
                    PORT_CHECKER_TARGETS="caller")
    family = verify("--json", "--ports", "7466", service.url, inside=home.router).family()
    assert family["causes"][0]["cause"] == "host_firewall"
    assert "and the internet provider uses carrier-grade NAT" in family["causes"][0]["text"]

    home.router.nft("delete table inet filter\n")
    family = verify("--json", "--ports", "7466", service.url, inside=home.router).family()
    assert family["signs"] == ["address_differs", "carrier_address"]
    assert family["causes"][0]["text"] == (
        "no connections arrive here: the internet provider uses carrier-grade NAT (the checker "
        f"sees {PUBLIC} instead of {homes.ROUTER_BEHIND}, and one of the two is in "
        "100.64.0.0/10)")
    assert family["causes"][0]["remedy"].startswith(
        "a port forward does not help behind carrier-grade NAT")


def test_replies_are_lost(make_home, checked):
    home = make_home()
    home.rules(forward("{ 7466, 50800-50801 }"),
               'oifname "wan" tcp sport 50800 tcp flags & (syn | ack) == syn | ack drop; ')
    family = checked(home, "7466,50800-50801").family()
    port = ports_of(family)[50800]
    assert (port["cause"], port["syn_seen"]) == ("way_back_blocked", True)
    assert cause_of(family, 50800)["text"] == (
        "connections to port 50800 arrive here, but the replies do not reach the checker")


def test_the_network_reports_no_path(make_home, checked):
    home = make_home()
    home.rules(forward("{ 7466, 50800-50801 }"),
               'iifname "wan" tcp dport 50800 reject with icmp type host-unreachable; ')
    family = checked(home, "7466,50800-50801").family()
    assert all_are(family, "unreachable", 50800)
    assert cause_of(family, 50800)["text"] == (
        f"{PUBLIC} itself rejects connections to port 50800 (No route to host): a firewall of "
        "the router or of this machine behind it, or a port forward to a machine that does not "
        "answer the router")


def test_no_checker_answers(make_home):
    home = make_home()
    home.rules()
    home.checker.nft("table inet f { chain i { type filter hook input priority 0; "
                     "tcp dport 7466 reject with icmpx admin-prohibited; }\n}\n")
    ended = verify("--json", f"http://{CHECKER}:7466", inside=home.provider)
    assert ended.status == UNKNOWN, ended
    assert {port["cause"] for port in ended.family()["ports"]} == {"unknown"}
    assert ended.family()["checkers"][0]["error"] == "no_connection"


def test_ipv6_with_a_firewall(make_home, checked):
    home = make_home()
    home.rules(filters='meta nfproto ipv6 iifname "wan" ct state new tcp dport != 7466 drop; ')
    ended = checked(home, "7466,50800-50802", host=CHECKER6)
    assert ended.status == NOT_OK, ended
    family = ended.family(6)
    assert family["ip"] == family["local_ip"] == homes.PROVIDER6 and family["signs"] == []
    assert all_are(family, "good", 7466)
    cause = cause_of(family, 50801)
    assert (cause["cause"], cause["ports"]) == ("not_forwarded", "50800-50802")
    assert cause["label"] == "filtered: blocked by a firewall"
    assert cause["text"] == (
        "no answer from ports 50800-50802, only from 7466: a firewall blocks them")
    assert cause["remedy"] == (
        "allow TCP ports 50800-50802 from any address in the firewall of every router in front of "
        f"{homes.PROVIDER6} and, on a rented server, in that of the hosting provider; the firewall "
        "of this machine already lets them in")


def test_ipv6_without_a_way_in(make_home, checked):
    home = make_home()
    home.rules(filters='meta nfproto ipv6 iifname "wan" ct state new drop; ')
    family = checked(home, "7466,50800", host=CHECKER6).family(6)
    assert family["causes"][0]["text"] == (
        "no connections arrive here: a firewall on the path to this machine blocks them")


def test_one_name_two_families(make_home, start, tmp_path):
    home = make_home()
    home.rules(forward("{ 7466, 50800 }"))
    service = start(inside=home.checker, PORT_CHECKER_HOST="::", PORT_CHECKER_TARGETS="caller")
    hosts = tmp_path / "hosts"
    hosts.write_text(f"{CHECKER} checker.test\n{CHECKER6} checker.test\n")
    named = ("unshare", "--mount", "sh", "-c",
             f'mount --bind {hosts} /etc/hosts && exec "$@"', "sh")
    ended = verify("--json", "--ports", "7466,50800", f"http://checker.test:{service.port}",
                   inside=home.provider, before=named)
    assert ended.status == OK, ended
    assert [family["family"] for family in ended.report["families"]] == [4, 6]
    assert ended.family(4)["ip"] == PUBLIC and ended.family(6)["ip"] == homes.PROVIDER6
    assert all(family["advertise"] == [7466, 50800] for family in ended.report["families"])

    # A machine without IPv6: it is not missed.
    home.provider.sysctl("net.ipv6.conf.all.disable_ipv6", 1)
    ended = verify("--json", "--ports", "7466,50800", f"http://checker.test:{service.port}",
                   inside=home.provider, before=named)
    assert ended.status == OK, ended
    assert [family["family"] for family in ended.report["families"]] == [4]


def test_the_stable_address_is_used_not_a_temporary_one(make_home, start):
    home = make_home()
    home.rules()
    home.provider.sysctl("net.ipv6.conf.eth0.use_tempaddr", 2)  # prefers temporary ones
    stable = "2001:db8:50::abcd"
    home.provider.ip(f"addr del {homes.PROVIDER6}/64 dev eth0\n"
                     f"addr add {stable}/64 dev eth0 nodad mngtmpaddr\n")
    assert "temporary" in home.provider.run("ip", "-6", "addr", "show", "dev", "eth0")
    service = start(inside=home.checker, PORT_CHECKER_HOST=CHECKER6,
                    PORT_CHECKER_TARGETS="caller")
    ended = verify("--json", "--ports", "7466", service.url, inside=home.provider)
    assert ended.family(6)["ip"] == stable, ended
