# SPDX-License-Identifier: MIT
"""A renewed certificate reaches clients without a restart, by the deploy hook of contrib/."""
import os
import signal
import subprocess

import pytest

from fronts import CONTRIB, NAME, ToName, make_certificate, settings_of
from harness.http import Connection
from harness.service import Service, kept
from harness.waiting import eventually

# What Debian's units do on a reload.
RELOAD = {"nginx": signal.SIGHUP, "haproxy": signal.SIGUSR2, "port-checker": signal.SIGHUP}

SYSTEMCTL = """#!/bin/sh
case $1 in
is-active) [ "$3" = {unit} ] ;;
reload) [ "$2" = {unit} ] && kill -{signal} {pid} ;;
esac
"""


def run_hook(folder, unit, process, lineage):
    """Runs the hook as certbot does; `systemctl` knows only that unit, which is `process`."""
    tools = folder / "tools"
    tools.mkdir()
    tool = tools / "systemctl"
    tool.write_text(SYSTEMCTL.format(unit=unit, signal=int(RELOAD[unit]), pid=process.pid))
    tool.chmod(0o755)
    subprocess.run([CONTRIB / "certbot/deploy-hook"], check=True, env={
        "PATH": f"{tools}:{os.environ['PATH']}", "RENEWED_LINEAGE": str(lineage),
        "RENEWED_DOMAINS": NAME, "HAPROXY_FOLDER": str(folder)})


def serial(port, ca):
    """The serial number of the certificate that a new client gets; None if it is not `ca`'s."""
    try:
        with Connection(("127.0.0.1", port), context=ToName(ca)) as connection:
            return int(connection.socket.getpeercert()["serialNumber"], 16)
    except OSError:
        return None


@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
def test_a_proxy_serves_a_renewed_certificate(make_front, tmp_path, kind):
    front = make_front(kind)
    assert serial(443, front.ca) == 1

    make_certificate(front.live, serial=2)
    assert serial(443, front.ca) is None, "nothing has read it yet"
    run_hook(tmp_path, kind, front.process, front.live)
    eventually(lambda: serial(443, front.ca) == 2, "the new certificate is served")
    if kind == "haproxy":
        assert front.pem.stat().st_mode & 0o777 == 0o600


def test_the_service_serves_a_renewed_certificate(tmp_path):
    live = make_certificate(tmp_path / NAME)
    settings = {**settings_of("nginx", "port-checker.env"),
                "PORT_CHECKER_TLS_CERT": live / "fullchain.pem",
                "PORT_CHECKER_TLS_KEY": live / "privkey.pem"}
    with kept(Service(settings)) as service:
        service.wait_ready()
        assert serial(7466, live / "fullchain.pem") == 1
        make_certificate(live, serial=2)
        run_hook(tmp_path, "port-checker", service.process, live)
        service.wait_event("ready", 2)
        assert serial(7466, live / "fullchain.pem") == 2
