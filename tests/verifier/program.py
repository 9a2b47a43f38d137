# SPDX-License-Identifier: MIT
"""port-verifier as a process: run to its end, or observed while it runs."""
import contextlib
import json
import pathlib
import signal
import subprocess
import tempfile

from harness.service import BUILD_DIR, environment, refuse_reports
from harness.waiting import PATIENCE, eventually

BINARY = BUILD_DIR / "port-verifier"

OK, NOT_OK, USAGE, UNKNOWN, SYSTEM = range(5)


class Ended:
    def __init__(self, status, out, err):
        refuse_reports(status, err)
        self.status = status
        self.out = out
        self.err = err

    @property
    def lines(self):
        return self.out.splitlines()

    @property
    def report(self):
        return json.loads(self.out)

    def family(self, number=4):
        """The report of one address family."""
        found = [entry for entry in self.report["families"] if entry["family"] == number]
        assert len(found) == 1, self.out
        return found[0]

    def __repr__(self):
        return f"<status {self.status}, out {self.out!r}, err {self.err!r}>"


def ports_of(family):
    return {port["port"]: port for port in family["ports"]}


def cause_of(family, port):
    """The entry of `causes` that speaks of this port."""
    for cause in family["causes"]:
        for part in cause["ports"].split(","):
            first, _, last = part.partition("-")
            if int(first) <= port <= int(last or first):
                return cause
    raise AssertionError(f"no cause speaks of {port}: {family['causes']}")


def verify(*arguments, inside=None, before=(), binary=BINARY, within=60, lan=None, patience="0",
           **settings):
    """Runs it to its end, in the namespace `inside`, with `before` in front of the command.

    Checkers on loopback prove nothing about the internet: without `inside`, --lan makes them
    count, unless `lan` is False. It does not look at unreachable ports again, which takes
    seconds, unless `arguments` say so or `patience` is None."""
    words = [*before, binary, *map(str, arguments)]
    is_verifying = binary == BINARY and not {"probe", "receipt"} & set(arguments)
    if (inside is None and is_verifying) if lan is None else lan:
        words.append("--lan")
    if is_verifying and patience is not None and "--patience" not in arguments:
        words += ["--patience", patience]
    with inside or contextlib.nullcontext():
        ended = subprocess.run(words, env=environment(settings), stdin=subprocess.DEVNULL,
                               capture_output=True, text=True, timeout=within * PATIENCE)
    return Ended(ended.returncode, ended.stdout, ended.stderr)


class Running:
    """A port-verifier in the background, in the namespace `inside`. Its output goes to
    files."""

    def __init__(self, *arguments, inside=None, **settings):
        if inside is None:
            arguments = [*arguments, "--lan"]  # checkers on loopback count
        self.folder = tempfile.TemporaryDirectory(prefix="verifier-")
        self.out_path = pathlib.Path(self.folder.name) / "out"
        self.err_path = pathlib.Path(self.folder.name) / "err"
        with open(self.out_path, "wb") as out, open(self.err_path, "wb") as err, \
                inside or contextlib.nullcontext():
            self.process = subprocess.Popen([BINARY, *map(str, arguments)],
                                            env=environment(settings),
                                            stdin=subprocess.DEVNULL, stdout=out, stderr=err)

    @property
    def reports(self):
        """The reports that it has printed with --json so far, whole lines only."""
        lines = self.out_path.read_text().split("\n")[:-1]
        return [json.loads(line) for line in lines]

    def wait_reports(self, count, within=20):
        return eventually(lambda: self.reports if len(self.reports) >= count else None,
                          f"{count} reports", within)

    def wait(self, within=30):
        self.process.wait(timeout=within * PATIENCE)
        return Ended(self.process.returncode, self.out_path.read_text(),
                     self.err_path.read_text())

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def discard(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.folder.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.discard()
