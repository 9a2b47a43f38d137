# SPDX-License-Identifier: MIT
"""The packages in a booted Debian: installed, started, reloaded, upgraded, removed, purged."""
import json
import re
import subprocess

import pytest

from harness import homes, nats
from harness.netns import Borrowed
from harness.waiting import eventually
from machine import NEXT, PACKAGES

CONTRIB = nats.CONFIGURATION.parents[1]
ALL = ("port-checker", "port-verifier", "port-verifier-upnp")
SETTINGS = "/etc/port-checker.env"
DROP_IN = "/usr/share/doc/port-checker/examples/privileged-port.conf"
OPEN = '{"provider_ip": "127.0.0.1", "ports": [443]}'


def files(debian):
    """What is outside of dpkg's records, logs and other changing things."""
    return set(debian.shell(
        "find / -xdev '(' -path /proc -o -path /sys -o -path /dev -o -path /tmp"
        " -o -path /var/log -o -path /var/lib/dpkg -o -path /var/lib/systemd"
        " -o -path /var/tmp ')' -prune -o -print; find /run -name '*port-*'"
    ).stdout.splitlines())


def append(debian, line):
    debian.shell(f"printf '%s\\n' '{line}' >>{SETTINGS}")


def add_drop_in(debian):
    folder = "/etc/systemd/system/port-checker.service.d"
    debian.shell(f"mkdir -p {folder}; cp {DROP_IN} {folder}; systemctl daemon-reload")


def make_key(debian, name):
    """A certificate and a key that only root can read; the names of both files."""
    debian.shell(
        "umask 077; mkdir -p /etc/ssl/checker; cd /etc/ssl/checker;"
        f" openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
        f" -keyout {name}.key -out {name}.pem -subj /CN={name} 2>/dev/null")
    return f"/etc/ssl/checker/{name}.pem", f"/etc/ssl/checker/{name}.key"


def shown_name(debian):
    """The name in the certificate that the service shows."""
    shown = debian.shell("openssl s_client -connect 127.0.0.1:7466 </dev/null 2>/dev/null"
                         " | openssl x509 -noout -subject")
    return shown.stdout.strip()


def test_an_installation_starts_a_confined_service(installed):
    assert installed.show("port-checker", "SubState") == "running"
    line, = installed.ready_lines()
    assert line["sandbox"] == "full" and line["port"] == "7466"
    assert installed.ask() == '{"status": "ok"}'
    assert installed.shell("systemctl is-enabled port-checker port-checker.socket",
                           check=False).stdout.split() == ["enabled", "disabled"]
    assert "warning" not in installed.log()
    # The unit is what this system knows.
    assert installed.run("systemd-analyze", "verify", "--man=no", "port-checker.service",
                         "port-checker.socket").stderr == ""


def test_callers_can_check_only_their_own_address(installed):
    assert re.search("^PORT_CHECKER_TARGETS=caller$",
                     installed.run("cat", SETTINGS).stdout, re.MULTILINE)
    # Also without the file.
    installed.shell(f"rm {SETTINGS}; systemctl restart port-checker")
    assert "PORT_CHECKER_TARGETS=caller" in \
        installed.run("cat", "/run/port-checker/settings").stdout


def test_its_exposure(installed):
    for threshold, drop_in in [(11, None), (15, DROP_IN)]:
        if drop_in:
            add_drop_in(installed)
        said = installed.run("systemd-analyze", "security", f"--threshold={threshold}",
                             "port-checker.service", check=False)
        assert said.returncode == 0, said.stdout[-2000:]


@pytest.mark.parametrize("debian", ["bpf"], indirect=True)
def test_a_port_below_1024(installed):
    """With systemd's filter of addresses, for which it needs bpf()."""
    add_drop_in(installed)
    append(installed, "PORT_CHECKER_PORT=443")
    installed.run("systemctl", "restart", "port-checker")
    assert '"accessible": true' in installed.ask("http://127.0.0.1:443/check-ports", OPEN)
    assert installed.ready_lines()[-1]["sandbox"] == "full"
    if "BPF" in installed.run("journalctl", "--no-pager").stdout:
        return  # systemd says that this kernel has no filter of addresses

    # Any address has a route here, and none leads out.
    installed.shell("ip route add local default dev lo; ip route add 224.0.0.0/4 dev lo;"
                    " ip -6 route add local default dev lo;"
                    " ip -6 route add local fe80::/10 dev lo;"
                    " ip -6 route add multicast ff00::/8 dev lo")
    lines = re.findall("^IPAddress.*", installed.run("cat", DROP_IN).stdout, re.MULTILINE)

    def is_sent(address, *properties):
        return installed.run("systemd-run", "--wait", "--pipe", "--quiet", *properties, "bash",
                             "-c", f"echo >/dev/udp/{address}/9", check=False).returncode == 0
    addresses = ["127.0.0.1", "10.0.0.1", "198.51.100.1", "223.255.255.255", "224.0.0.1",
                 "239.255.255.255", "240.0.0.1", "::1", "64:ff9b::1", "2001:db8::1", "fd00::1",
                 "fe80::1%lo", "ff0e::1"]
    assert [address for address in addresses if not is_sent(address)] == []
    assert [address for address in addresses
            if not is_sent(address, *(f"--property={line}" for line in lines))] == [
        "224.0.0.1", "239.255.255.255", "240.0.0.1", "ff0e::1"]


def test_a_reload_takes_settings_and_key(installed):
    pid = installed.main_pid()
    cert, key = make_key(installed, "first")
    append(installed, f"PORT_CHECKER_TLS_CERT={cert}\nPORT_CHECKER_TLS_KEY={key}")
    installed.run("systemctl", "reload", "port-checker")
    assert shown_name(installed).endswith("first")
    assert installed.show("port-checker", "MainPID") == str(pid)

    # The same files with another content.
    other_cert, other_key = make_key(installed, "second")
    installed.shell(f"mv {other_cert} {cert}; mv {other_key} {key}")
    installed.run("systemctl", "reload", "port-checker")
    assert shown_name(installed).endswith("second")

    # Only the service's user can read the copies, and the key is not left behind.
    owner = installed.run("stat", "-c", "%U %a", "/run/port-checker/key.pem").stdout
    assert owner == "port-checker 400\n"
    installed.shell(f"sed -i /TLS/d {SETTINGS}; systemctl reload port-checker")
    assert installed.ask() == '{"status": "ok"}'
    assert installed.run("ls", "/run/port-checker").stdout == "settings\n"


def test_a_receipt_key_stays_with_root(installed):
    installed.run("port-checker", "--new-receipt-key", "/etc/receipt-key.pem")
    append(installed, "PORT_CHECKER_RECEIPT_KEY=/etc/receipt-key.pem\n"
                      "PORT_CHECKER_RECEIPT_ISSUER=https://checker.example")
    installed.run("systemctl", "reload", "port-checker")
    assert "Ed25519" in installed.ask("http://127.0.0.1:7466/.well-known/jwks.json")
    paths = "/etc/receipt-key.pem", "/run/port-checker/receipt-key.pem"
    assert installed.run("stat", "-c", "%U %a", *paths).stdout == "root 600\nport-checker 400\n"


def test_the_key_of_a_front_stays_with_root(installed, tmp_path):
    ca, _ = make_key(installed, "nats")
    subprocess.run([nats.MAKE_KEYS, "--front", "gw", tmp_path / "seed"], check=True,
                   stdout=subprocess.DEVNULL)
    seed = "/etc/gw.seed"
    installed.shell(f"umask 077; echo {(tmp_path / 'seed').read_text().strip()} >{seed}")
    append(installed, "PORT_CHECKER_NATS_URL=tls://127.0.0.1\nPORT_CHECKER_FRONT=gw\n"
                      f"PORT_CHECKER_NATS_CREDENTIALS={seed}\nPORT_CHECKER_NATS_CA={ca}")
    installed.run("systemctl", "reload", "port-checker")
    assert installed.ask() == '{"status": "ok"}'  # without the server
    assert installed.ready_lines()[-1]["sandbox"] == "full"
    paths = seed, "/run/port-checker/nats-key", "/run/port-checker/nats-ca.pem"
    assert installed.run("stat", "-c", "%U %a", *paths).stdout == \
        "root 600\nport-checker 400\nport-checker 400\n"
    installed.shell(f"sed -i /NATS/d {SETTINGS}; sed -i /FRONT/d {SETTINGS};"
                    " systemctl reload port-checker")
    assert installed.run("ls", "/run/port-checker").stdout == "settings\n"


def test_an_invalid_setting_fails_the_reload_and_changes_nothing(installed):
    append(installed, "PORT_CHECKER_PORT=none")
    assert installed.run("systemctl", "reload", "port-checker", check=False).returncode != 0
    assert f'PORT_CHECKER_PORT="none" (from {SETTINGS})' in installed.log()
    assert installed.show("port-checker", "SubState") == "running"
    assert installed.ask() == '{"status": "ok"}'
    assert len(installed.ready_lines()) == 1


def test_an_upgrade_reloads_a_running_service(installed):
    pid = installed.main_pid()
    installed.install(NEXT, "port-checker")
    assert installed.main_pid() == pid
    before, after = installed.ready_lines()
    assert before["version"] != after["version"] and before["pid"] != after["pid"]
    assert installed.show("port-checker", "NRestarts") == "0"


def test_an_upgrade_leaves_a_stopped_service_alone(installed):
    installed.run("systemctl", "disable", "--now", "port-checker")
    installed.install(NEXT, "port-checker")
    assert installed.show("port-checker", "SubState") == "dead"


def test_an_upgrade_with_an_invalid_setting_keeps_the_old_program(installed):
    append(installed, "PORT_CHECKER_PORT=none")
    assert "still runs" in installed.install(NEXT, "port-checker").stderr
    assert installed.ask() == '{"status": "ok"}'


def test_the_socket_unit_starts_the_service_at_the_first_connection(installed):
    installed.shell("systemctl disable --now port-checker.service;"
                    " systemctl enable --now port-checker.socket")
    assert installed.show("port-checker", "SubState") == "dead"
    assert installed.ask() == '{"status": "ok"}'
    assert installed.show("port-checker", "SubState") == "running"
    # systemd keeps the socket through an upgrade.
    installed.install(NEXT, "port-checker")
    assert installed.show("port-checker.socket", "SubState") == "running"
    assert installed.ask() == '{"status": "ok"}'


def test_a_stopped_child_is_noticed(installed):
    pid = installed.main_pid()
    child, = installed.child_pids()
    installed.run("kill", "-STOP", child)
    eventually(lambda: installed.main_pid() not in (0, pid), "a new process", within=20)
    eventually(lambda: len(installed.ready_lines()) == 2, "ready again")
    assert "watchdog" in installed.log().lower()
    assert installed.ask() == '{"status": "ok"}'


def watch_here(debian):
    """Enables port-verifier with the checker of this machine, and waits for its report."""
    debian.shell("sed -i 's,^#\\(PORT_VERIFIER_ARGUMENTS=\\).*,\\1--watch 1h --lan --ports 50800"
                 " --ip 127.0.0.1 http://127.0.0.1:7466,' /etc/port-verifier.env;"
                 " systemctl enable --now port-verifier")
    eventually(lambda: "50800" in debian.run("cat", "/run/port-verifier/report.json",
                                             check=False).stdout, "a report", within=20)


def test_port_verifier_starts_nothing(debian):
    debian.install(PACKAGES, "port-verifier")
    assert debian.show("port-verifier", "SubState") == "dead"
    assert debian.shell("systemctl is-enabled port-verifier", check=False).stdout == "disabled\n"


def test_port_verifier_watches_when_it_is_enabled(debian):
    debian.install(PACKAGES, "port-checker", "port-verifier")
    # Without a checker, it fails once.
    debian.run("systemctl", "start", "port-verifier", check=False)
    eventually(lambda: debian.show("port-verifier", "SubState") == "failed", "the failure")

    watch_here(debian)
    assert debian.show("port-verifier", "SubState") == "running"
    debian.run("systemd-analyze", "security", "--threshold=15", "port-verifier.service")


@pytest.fixture
def home(debian, later):
    """The machine in a home, where port-verifier is installed; its checker on the internet."""
    made = homes.Home(later, provider=Borrowed("provider", debian.leader))
    debian.install(PACKAGES, *ALL)
    checker = debian.begin(made.internet, "port-checker", PORT_CHECKER_HOST="::",
                           PORT_CHECKER_TARGETS="caller", PORT_CHECKER_PORT="80")
    later.callback(checker.communicate)
    later.callback(checker.kill)
    while "event=ready" not in (line := checker.stderr.readline()):
        assert line, "the checker has ended"
    return made


def test_the_unit_keeps_ports_mapped(debian, home, tmp_path):
    """Its sandbox leaves port-verifier, and the program for UPnP, what they need."""
    debian.shell("echo PORT_VERIFIER_ARGUMENTS=--watch 1h --map --ports 50800 --state"
                 f" /var/lib/port-verifier/state -4 http://{homes.CHECKER}"
                 " >>/etc/port-verifier.env")

    def report():
        said = debian.run("cat", "/run/port-verifier/report.json", check=False).stdout
        return said and json.loads(said)["families"][0]

    # The removal of a package stops the unit, too.
    for protocol, ends in [(homes.UPNP, ("systemctl", "stop", "port-verifier")),
                           (homes.PCP, ("dpkg", "--remove", "port-verifier-upnp",
                                        "port-verifier"))]:
        folder = tmp_path / protocol
        folder.mkdir()
        router = homes.Daemon(home, folder, protocols=(protocol,))
        try:
            debian.run("systemctl", "start", "port-verifier")
            family = eventually(report, "a report", within=30)
            assert family["router"]["mapping"]["protocol"] == protocol
            assert family["advertise"] == [50800]
            assert router.forwards() == {50800: (homes.PROVIDER, 50800)}
            debian.run(*ends)
            assert router.is_empty()
        finally:
            router.stop()
    assert debian.run("stat", "-Lc", "%a", "/var/lib/port-verifier/state").stdout \
        == "600\n"
    debian.run("dpkg", "--purge", "port-verifier-upnp", "port-verifier")
    assert debian.shell("ls -d /var/lib/port-verifier /var/lib/private/port-verifier",
                        check=False).stdout == ""


def test_the_examples_are_those_of_the_tree(debian):
    """Unpacked and executable as there: the pages say where to copy them."""
    debian.install(PACKAGES, "port-checker", "port-verifier")

    def installed_in(package):
        folder = f"/usr/share/doc/{package}/examples"
        return dict(line.split() for line in debian.shell(
            f"cd {folder}; find . -type f -printf '%P %m\\n'").stdout.splitlines())

    def ours(*folders):
        return {str(path.relative_to(CONTRIB)): f"{path.stat().st_mode & 0o755:o}"
                for folder in folders for path in (CONTRIB / folder).iterdir()
                if path.is_file()}
    folders = {path.name for path in CONTRIB.iterdir()}
    assert installed_in("port-verifier") == ours("golem-provider")
    assert installed_in("port-checker") == {**ours(*folders - {"golem-provider"}),
                                            "privileged-port.conf": "644"}


def test_manual_pages_and_completions_are_installed(debian):
    debian.install(PACKAGES, *ALL)
    debian.run("test", "-s", "/usr/share/man/man1/port-verifier-upnp.1.gz")
    for name, section in [("port-checker", 8), ("port-verifier", 1)]:
        for file in (f"/usr/share/bash-completion/completions/{name}.bash",
                     f"/usr/share/zsh/vendor-completions/_{name}",
                     f"/usr/share/fish/vendor_completions.d/{name}.fish",
                     f"/usr/share/man/man{section}/{name}.{section}.gz"):
            debian.run("test", "-s", file)


def test_a_purge_leaves_nothing(debian):
    before = files(debian)
    debian.install(PACKAGES, *ALL)
    debian.install(NEXT, *ALL)
    debian.shell("systemctl stop port-checker;"
                 " systemctl enable --now port-checker.socket")
    assert debian.ask() == '{"status": "ok"}'
    watch_here(debian)
    debian.run("dpkg", "--remove", *ALL)
    for unit in ("port-checker.service", "port-checker.socket", "port-verifier.service"):
        assert debian.show(unit, "SubState") == "dead", unit
    assert debian.run("test", "-e", SETTINGS, check=False).returncode == 0
    assert debian.run("ss", "-Hltn").stdout == ""

    debian.run("dpkg", "--purge", *ALL)
    # The user remains, as Debian recommends: files elsewhere may be its own.
    records = {f"/etc/{name}-" for name in ("passwd", "group", "shadow", "gshadow")}
    assert files(debian) - before <= records | {"/etc/.pwd.lock"}
    assert debian.shell("systemctl --failed --plain --no-legend").stdout == ""
