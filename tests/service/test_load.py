# SPDX-License-Identifier: MIT
"""The attacks of `./dev attack` by load, small and short. What the healthy client waits for grows
by far less than it does where it has to queue behind an attacker: a check of a silent port takes
4 s, a slow client 10 s. The full limits are only for a machine that does nothing else."""
import pytest

from attack import load, page, soak

pytestmark = [pytest.mark.heavy, pytest.mark.usefixtures("own_network")]

SECONDS = 2
FEW = {"PORT_CHECKER_MAX_CONNECTIONS": 128}

ATTACKS = {
    "slow heads": lambda: load.slow_heads(1000, SECONDS, **FEW),
    "slow bodies": lambda: load.slow_bodies(1000, SECONDS, **FEW),
    "slow readers": lambda: load.slow_readers(1000, SECONDS, **FEW),
    "many connections": lambda: load.connections(3000, 3200, SECONDS),
    "too many connections": lambda: load.too_many_connections(3000, 256, SECONDS),
    "churn": lambda: load.churn(12000, SECONDS),
    "waiting checks": lambda: load.waiting_checks(3000, SECONDS),
    "TLS handshakes": lambda: load.tls_handshakes(1, SECONDS),
    "hello and reset": lambda: load.hello_and_reset(SECONDS),
    "half handshakes": lambda: load.half_handshakes(SECONDS),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_healthy_client_beside(name):
    beside = ATTACKS[name]()
    print(beside.size, f"ratio {beside.ratio():.1f}", beside.record().figure)
    assert beside.wrong == 0
    assert beside.ratio() < 30


def test_what_a_short_soak_holds_returns():
    """One round with all its events, the last reload apart."""
    text, bad = soak.soak(8, round_seconds=8, warm_seconds=2)
    print(text)
    assert bad == []


def test_the_page_keeps_the_soak(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "PATH", tmp_path / "page.md")
    page.write_page("# Reliability\n\n## Load\n\nfirst\n")
    page.write_section("Soak", "an hour\n")
    page.write_page("# Reliability\n\n## Load\n\nsecond\n")
    page.write_section("Soak", "two hours\n")
    page.write_page("# Reliability\n\n## Load\n\nthird\n")
    assert page.PATH.read_text() == ("# Reliability\n\n## Load\n\nthird\n"
                                     "\n## Soak\n\ntwo hours\n")
