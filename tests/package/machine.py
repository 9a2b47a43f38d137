# SPDX-License-Identifier: MIT
"""A minimal Debian, booted by systemd-nspawn in memory, with a network of its own that leads
nowhere. Its folder does not change: every machine begins anew."""
import os
import pathlib
import re
import signal
import subprocess
import time

ROOT = pathlib.Path(os.environ.get("MACHINE", "/nonexistent"))
PACKAGES = pathlib.Path(os.environ.get("PACKAGES", "/nonexistent"))
NEXT = pathlib.Path(os.environ.get("NEXT", "/nonexistent"))

BOOT_SECONDS = 120
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}

# The filter of older systemd-nspawn lacks these calls, which the sandbox needs.
LANDLOCK = "landlock_create_ruleset landlock_add_rule landlock_restrict_self"


def children(pid):
    text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(child) for child in text.split()]


def package(folder, name):
    """The file name of a binary package, as the machine sees it."""
    found, = [file for file in folder.glob(f"{name}_*.deb")]
    return f"/{'next' if folder == NEXT else 'packages'}/{found.name}"


class Machine:
    def __init__(self, more_calls=""):
        self.nspawn = subprocess.Popen(
            ["systemd-nspawn", f"--directory={ROOT}", "--volatile=overlay", "--boot",
             "--register=no", "--keep-unit", "--private-network", "--console=pipe",
             f"--system-call-filter={LANDLOCK} {more_calls}",
             f"--bind-ro={PACKAGES}:/packages", f"--bind-ro={NEXT}:/next"],
            env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
                 "UNIFIED_CGROUP_HIERARCHY": "1"},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + BOOT_SECONDS
        while self.try_state() != "running":
            assert self.nspawn.poll() is None, self.nspawn.stdout.read().decode()
            assert time.monotonic() < deadline, self.run("systemctl", "--failed").stdout
            time.sleep(0.1)

    def try_state(self):
        self.leader, *_ = children(self.nspawn.pid) or [None]
        if not self.leader:
            return None
        return self.run("systemctl", "is-system-running", check=False).stdout.strip()

    def stop(self):
        if self.leader:
            os.kill(self.leader, signal.SIGKILL)
        self.nspawn.wait(timeout=60)
        self.nspawn.stdout.close()

    def inside(self, *namespaces):
        return ["nsenter", f"--target={self.leader}", *namespaces]

    def run(self, *command, check=True, timeout=120):
        done = subprocess.run(
            [*self.inside("--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup"),
             *map(str, command)],
            env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=timeout)
        assert not check or done.returncode == 0, (command, done.stdout, done.stderr)
        return done

    def begin(self, namespace, *command, **settings):
        """A program of this machine, in another network. It ends with the process that is
        returned, which is not itself."""
        return subprocess.Popen(
            [*self.inside("--mount", "--uts", "--ipc", "--pid", "--cgroup"),
             f"--net={namespace.path}", "setpriv", "--pdeathsig=KILL", *map(str, command)],
            env={**ENVIRONMENT, **settings}, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def shell(self, script, **options):
        return self.run("sh", "-euc", script, **options)

    def install(self, folder, *names):
        return self.run("dpkg", "--install", *(package(folder, name) for name in names))

    # --- the service --------------------------------------------------------------------

    def show(self, unit, name):
        return self.run("systemctl", "show", "--value", "--property", name, unit).stdout.strip()

    def main_pid(self, unit="port-checker"):
        return int(self.show(unit, "MainPID"))

    def child_pids(self):
        """The serving processes, in this machine's numbers."""
        return self.run("cat", "/proc/{0}/task/{0}/children".format(self.main_pid()),
                        check=False).stdout.split()

    def log(self, unit="port-checker"):
        return self.run("journalctl", "--no-pager", "--output=cat", "--unit", unit).stdout

    def ready_lines(self):
        return [dict(re.findall(r"(\w+)=(\S+)", line)) for line in self.log().splitlines()
                if "event=ready" in line]

    def ask(self, url="http://127.0.0.1:7466/health", body=""):
        """The body of a reply with the status 200."""
        script = "import ssl, sys, urllib.request as u; " \
                 "asked = u.Request(sys.argv[1], sys.argv[2].encode() or None, " \
                 "{'Content-Type': 'application/json'}); " \
                 "print(u.urlopen(asked, timeout=10, " \
                 "context=ssl._create_unverified_context()).read().decode())"
        return subprocess.run(
            [*self.inside("--net"), "/usr/bin/python3", "-c", script, url, body],
            capture_output=True, text=True, timeout=30, check=True).stdout.strip()
