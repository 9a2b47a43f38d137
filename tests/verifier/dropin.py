# SPDX-License-Identifier: MIT
"""contrib/golem-provider/port_verifier.py in a process of its own, as provider software runs it.

As a program: reads one JSON object from standard input, prints one. Any warning is an error."""
import asyncio
import contextlib
import dataclasses
import importlib.util
import json
import logging
import os
import pathlib
import resource
import subprocess
import sys

SOURCE = pathlib.Path(__file__).resolve().parents[2] / "contrib/golem-provider/port_verifier.py"
COMPLAINTS = ("Traceback", "Warning", "Exception ignored", "never retrieved")


def load():
    """A fresh copy of the module."""
    spec = importlib.util.spec_from_file_location("port_verifier", SOURCE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look it up
    spec.loader.exec_module(module)
    return module


class Outcome:
    """What one call returned."""

    def __init__(self, told, log):
        self.bound = told.get("bound")
        self.log = log
        self.results = {int(port): result for port, result in told.get("results", {}).items()}
        self.by_family = {int(family): {int(port): result for port, result in results.items()}
                          for family, results in told.get("by_family", {}).items()}

    @property
    def error(self):
        """Why no checker answered: the same for all ports."""
        if self.good or self.by_family:
            return None
        [error] = set(self.errors().values())
        return error

    @property
    def good(self):
        return [port for port, result in self.results.items() if result["accessible"]]

    def good_of(self, family):
        return [port for port, result in self.by_family[family].items() if result["accessible"]]

    def errors(self):
        return {port: result["error"] for port, result in self.results.items()}

    def __repr__(self):
        return f"<{self.results} log: {self.log}>"


def ask(servers, ports, method="verify_ports", inside=None, path="/nonexistent", within=120,
        descriptors=None, **settings):
    """Calls a method of PortVerifier; `settings` are attributes of the class, `path` is PATH,
    and `descriptors` is their limit."""
    wish = {"servers": servers, "ports": list(ports), "method": method,
            "descriptors": descriptors, "settings": {"address_service": None, **settings}}
    with inside or contextlib.nullcontext():
        ended = subprocess.run([sys.executable, "-W", "error", __file__], input=json.dumps(wish),
                               env={**os.environ, "PATH": str(path)}, capture_output=True,
                               text=True, timeout=within)
    assert ended.returncode == 0, ended.stderr
    assert not any(complaint in ended.stderr for complaint in COMPLAINTS), ended.stderr
    return Outcome(json.loads(ended.stdout), ended.stderr)


async def call(verifier, wish):
    ports = wish["ports"]
    if wish["method"] == "verify_local_binding":
        async for bound in verifier.verify_local_binding(ports):
            return {"bound": sorted(bound)}
    method = getattr(verifier, wish["method"])
    results = await method(ports if wish["method"] == "verify_ports" else set(ports))
    return {"results": {port: dataclasses.asdict(result) for port, result in results.items()},
            "by_family": {family: {port: dataclasses.asdict(result)
                                   for port, result in found.items()}
                          for family, found in verifier.by_family.items()}}


def main():
    logging.basicConfig(level=logging.DEBUG, format="%(levelname)s %(name)s %(message)s")
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    wish = json.load(sys.stdin)
    if wish["descriptors"]:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wish["descriptors"],) * 2)
    module = load()
    for name, value in wish["settings"].items():
        setattr(module.PortVerifier, name, value)
    told = asyncio.run(call(module.PortVerifier(wish["servers"]), wish))
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
