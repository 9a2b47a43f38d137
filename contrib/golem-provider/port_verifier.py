# SPDX-License-Identifier: MIT
"""Verifies which TCP ports of this machine the internet can reach.

This module has the names and result types of the module of the same name in the Golem provider
software, and takes its place there; README.md beside it says how. It needs Python 3.8 or later
and only the standard library, and is written for Linux, macOS and Windows.

It asks checkers over their HTTP API (docs/api.md). A checker that supports proofs gets a
token, from which the listeners of this module make the line that proves that they answered. A
checker that does not know these extensions is asked again without them. If port-verifier is
installed, verify_ports() runs it instead.
"""
import asyncio
import contextlib
import errno
import hashlib
import hmac
import http.client
import ipaddress
import json
import logging
import re
import secrets
import shutil
import socket
import ssl
import subprocess
import sys
import urllib.parse
from collections import namedtuple
from dataclasses import dataclass
from typing import AsyncIterator, Dict, List, Optional, Set

if sys.platform != "win32":
    import resource

logger = logging.getLogger(__name__)

FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
ANY_ADDRESS = {4: "0.0.0.0", 6: "::"}
# Of a machine or a local network, of carrier-grade NAT, and of DS-Lite.
INNER = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16",
         "100.64.0.0/10", "192.0.0.0/29", "fc00::/7", "fe80::/10", "::1/128")
REPLY_MAX = 1 << 20
CONNECT_TIMEOUT = 10.0
GREETING_TIMEOUT = 5.0  # a checker reads for 1.5 s
GREETINGS_MAX = 128  # connections that one port serves at a time
SPARE_DESCRIPTORS = 96  # left to the rest of this process by the listeners for IPv6

# port-verifier: the oldest version that is run, the version of its report that is read, and
# how long it may take for each checker in addition to its second look.
PROGRAM_VERSION = (0, 1, 0)
REPORT_VERSION = 2
PROGRAM_PATIENCE = 60.0


@dataclass
class ServerAttempt:
    """Whether one checker answered."""

    server: str
    success: bool
    error: Optional[str] = None


@dataclass
class PortVerificationResult:
    """The result for one port. `verified_by` is the first checker that reached it."""

    port: int
    accessible: bool
    error: Optional[str] = None
    verified_by: Optional[str] = None
    attempts: Optional[List[ServerAttempt]] = None


# What a checker says about one port. A failed proof is evidence against the port: another
# program answered. No verdict says nothing about the port.
PROVED, OPEN, NO_VERDICT, CLOSED, NOT_OURS = range(5)
Verdict = namedtuple("Verdict", "kind error")
Reply = namedtuple("Reply", "status body local peer")
Checker = namedtuple("Checker", "scheme host port prefix timeout")


class NoAnswer(Exception):
    """A checker gave no verdicts; the text says why."""


class PortVerifier:
    """Binds ports and asks checkers whether they can be reached.

    The attributes of the class are settings: assign to them before use."""

    families = (4, 6)  # the address families to check
    quorum = 1  # how many checkers must reach a port
    timeout = 30.0  # seconds for each checker
    public_ip = None  # the public address, where checkers cannot tell it
    program = "port-verifier"  # its name or path; None: never run it
    # Asked for the IPv4 address only if no checker has GET /ip; None: never.
    address_service = "https://api.ipify.org"

    def __init__(self, port_check_servers: List[str], discovery_port: int = 7466):
        self.port_check_servers = port_check_servers
        self.discovery_port = discovery_port
        # The results of the last check for each family that a checker answered for.
        self.by_family: Dict[int, Dict[int, PortVerificationResult]] = {}
        self._held: List[_Listeners] = []

    async def verify_local_binding(self, ports: List[int]) -> AsyncIterator[Set[int]]:
        """Yields once: the set of ports that could be bound. Listens until it is closed.

        The discovery port counts as bound if it is in use: the provider itself has it."""
        listeners = _Listeners()
        self._held.append(listeners)
        try:
            families = [4] if 4 in self.families else [6]
            if tuple(self.families) != tuple(families) and await self._has_ipv6():
                families.append(6)
            for family in families:
                await listeners.open(family, ports, is_first=family == families[0])
            found = listeners.bound(families[0])
            if self.discovery_port in listeners.in_use:
                logger.debug("port %d is in use, probably by this provider",
                             self.discovery_port)
                found.add(self.discovery_port)
            others = listeners.in_use - {self.discovery_port}
            if others:
                logger.warning("another program uses %s", _list_text(others))
            yield found
        finally:
            self._held.remove(listeners)
            await listeners.close()

    async def verify_external_access(
            self, ports: Set[int]) -> Dict[int, PortVerificationResult]:
        """Asks all checkers, one after the other.

        The results are about IPv4 if a checker answered over IPv4, else about IPv6. If none
        answered, no port is accessible, and the error of each says why."""
        ports = self._in_order(ports)
        self.by_family = {}
        checks = await asyncio.gather(*(self._check(family, ports)
                                        for family in self.families))
        for family, (attempts, answers) in zip(self.families, checks):
            if answers:
                self.by_family[family] = self._results(ports, attempts, answers)
        if self.by_family:
            return self.by_family[min(self.by_family)]
        return _unanswered(ports, [attempt for attempts, _ in checks for attempt in attempts])

    async def verify_ports(self, ports: List[int]) -> Dict[int, PortVerificationResult]:
        """Binds the ports, and asks the checkers while they are bound."""
        ports = list(dict.fromkeys(ports))
        if not ports:
            logger.warning("no ports to verify")
            return {}
        if self._is_inside():
            logger.warning("all checkers are on this network: they say nothing about the "
                           "internet")
        results = await self._run_program(ports)
        if results is None:
            results = await self._bind_and_ask(ports)
        good = [port for port in ports if results[port].accessible]
        if good:
            logger.info("reachable from outside: %s", _list_text(good))
        else:
            logger.warning("no port is reachable from outside")
        return results

    async def _bind_and_ask(self, ports):
        binding = self.verify_local_binding(ports)
        try:
            bound = await binding.__anext__()
            reasons = {port: reason for listeners in self._held
                       for port, reason in listeners.reasons.items()}
            results = await self.verify_external_access(bound) if bound else {}
        finally:
            await binding.aclose()
        for port in ports:
            if port not in results:
                why = reasons.get(port, "it could not be bound")
                results[port] = PortVerificationResult(port, False, f"Port {port}: {why}")
        return {port: results[port] for port in ports}

    # --- the checkers ---------------------------------------------------------------------

    def _in_order(self, ports):
        """The discovery port first: a checker judges the first ports first."""
        return sorted(set(ports), key=lambda port: (port != self.discovery_port, port))

    def _is_inside(self):
        """Whether all checkers are on this machine or at private addresses."""
        return all(_is_private(server) for server in self.port_check_servers)

    async def _has_ipv6(self):
        """Whether this machine has a route to a checker's IPv6 address. Sends nothing."""
        for server in self.port_check_servers:
            with contextlib.suppress(NoAnswer, OSError):
                for address in await _resolve(_parse(server), 6):
                    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
                        probe.connect(address)
                        return True
        return False

    async def _check(self, family, ports):
        """Asks every checker over one family: (attempts, {server: {port: verdict}})."""
        attempts, answers, told = [], {}, {}
        for server in self.port_check_servers:
            error = None
            try:
                answers[server] = await asyncio.wait_for(
                    self._ask(server, family, ports, told), self.timeout)
                logger.info("%s answered over IPv%d", server, family)
            except (asyncio.TimeoutError, socket.timeout):
                error = f"no answer within {self.timeout:g} seconds"
            except NoAnswer as failure:
                error = str(failure)
            except (OSError, http.client.HTTPException) as failure:
                error = getattr(failure, "strerror", None) or str(failure) or repr(failure)
            if error:
                # Many machines and checkers have no IPv6.
                level = logging.WARNING if family == 4 else logging.DEBUG
                logger.log(level, "%s gave no verdicts over IPv%d: %s", server, family, error)
            attempts.append(ServerAttempt(server, error is None, error))
        return attempts, answers

    async def _ask(self, server, family, ports, told):
        """{port: verdict} of one checker. `told` keeps the address between checkers."""
        if any(listeners.lacks(family, ports) for listeners in self._held):
            raise NoAnswer(f"this machine does not listen on IPv{family}")
        checker = _parse(server, self.timeout)
        addresses = await _resolve(checker, family)
        held = next((listeners for listeners in self._held
                     if listeners.bound(family) & set(ports)), _Listeners())
        ip = await self._address(checker, addresses, family, told)
        plain = {"provider_ip": ip, "ports": ports}
        full = {"provider_ip": ip, "ports": _ranges(ports), "details": True}
        if held.servers:
            full["token"] = held.token
        reply = await _request(checker, addresses, "/check-ports", full)
        if reply.status in (400, 422) or not set(ports) <= set(_entries(reply)):
            logger.debug("%s does not support the extensions", server)
            reply = await _request(checker, addresses, "/check-ports", plain)
        verdicts = {port: held.judge(family, port, entry)
                    for port, entry in _entries(reply).items() if port in ports}
        if ports and not verdicts:
            raise NoAnswer("the reply has no verdicts")

        # A connection whose proof was lost may have been cut off: ask once more.
        lost = [port for port, verdict in verdicts.items() if verdict.error == LOST]
        if lost:
            with contextlib.suppress(NoAnswer, OSError, http.client.HTTPException):
                reply = await _request(checker, addresses, "/check-ports",
                                       dict(full, ports=_ranges(lost)))
                verdicts.update((port, held.judge(family, port, entry))
                                for port, entry in _entries(reply).items() if port in lost)
        return verdicts

    async def _address(self, checker, addresses, family, told):
        """This machine's public address: as set, as a checker sees it, or as it is known here
        if there is no translation on the way."""
        if self.public_ip and ipaddress.ip_address(self.public_ip).version == family:
            return self.public_ip
        reply = await _request(checker, addresses, "/ip")
        if reply.status == 200 and isinstance(reply.body, dict):
            with contextlib.suppress(ValueError):
                ip = ipaddress.ip_address(str(reply.body.get("ip")))
                if ip.version == family:
                    told[family] = str(ip)
                    return told[family]
        if family in told:
            return told[family]
        local, peer = (ipaddress.ip_address(ip.partition("%")[0])
                       for ip in (reply.local, reply.peer))
        if not _is_inner(local) or _is_inner(peer):
            return str(local)
        if family == 4 and self.address_service:
            told[family] = await self._get_public_ip()
            return told[family]
        raise NoAnswer("it does not tell the address of this machine (GET /ip): "
                       "set PortVerifier.public_ip")

    async def _get_public_ip(self) -> str:
        """The address that the address service sees, a third party."""
        service = _parse(self.address_service, self.timeout)
        reply = await _request(service, await _resolve(service, 4),
                               "" if service.prefix else "/", is_json=False)
        try:
            return str(ipaddress.IPv4Address(reply.body.decode("ascii", "replace").strip()))
        except ValueError:
            raise NoAnswer(f"{self.address_service} told no address") from None

    def _results(self, ports, attempts, answers):
        results = {}
        for port in ports:
            given = [(server, verdicts[port]) for server, verdicts in answers.items()
                     if port in verdicts]
            # Where a checker saw another program answer, a connection without a proof says
            # nothing.
            is_ours = all(verdict.kind != NOT_OURS for _, verdict in given)
            reached = [server for server, verdict in given
                       if verdict.kind == PROVED or (verdict.kind == OPEN and is_ours)]
            if len(reached) >= self.quorum:
                results[port] = PortVerificationResult(port, True, None, reached[0], attempts)
                continue
            error = max((verdict for _, verdict in given if verdict.error),
                        key=lambda verdict: verdict.kind,
                        default=Verdict(NO_VERDICT, "No verdict")).error
            if reached:
                error = (f"Checkers that reached it: {len(reached)}, required: {self.quorum}; "
                         f"the others: {error}")
            results[port] = PortVerificationResult(port, False, error, None, attempts)
        return results

    # --- port-verifier --------------------------------------------------------------------

    async def _run_program(self, ports):
        """The results from port-verifier; None if it cannot be used."""
        path = shutil.which(self.program) if self.program else None
        if not path or not self.port_check_servers:
            return None
        status, out, _ = await _run([path, "--version"], 10)
        found = re.fullmatch(r"port-verifier (\d+)\.(\d+)\.(\d+)\S*", out.strip())
        if status != 0 or not found or tuple(map(int, found.groups())) < PROGRAM_VERSION:
            logger.info("%s is not version %s or later: it is not used", path,
                        ".".join(map(str, PROGRAM_VERSION)))
            return None

        listed = _list_text(ports).replace(" ", "")
        command = [path, "--json", "--ports", listed, "--quorum", str(self.quorum),
                   "--timeout", f"{self.timeout:g}s"]
        if self.discovery_port in ports:
            command += ["--required", str(self.discovery_port),
                        "--in-use", str(self.discovery_port)]
        if len(self.families) == 1:
            command.append(f"-{self.families[0]}")
        if self.public_ip:
            command += ["--ip", self.public_ip]
        if self._is_inside():
            command.append("--lan")
        status, out, said = await _run(
            [*command, "--", *self.port_check_servers],
            self.timeout * len(self.port_check_servers) + PROGRAM_PATIENCE)
        try:
            report = json.loads(out)
            if status not in (0, 1, 3) or report["version"] != REPORT_VERSION:
                raise ValueError(f"status {status}, report {report['version']}")
            return self._read_report(report, ports)
        except (ValueError, KeyError, TypeError, IndexError) as error:
            logger.warning("%s failed (%s): %s; its work is done here", path, error,
                           said.strip()[:300])
            return None

    def _read_report(self, report, ports):
        self.by_family, unanswered = {}, []
        for family in report["families"]:
            attempts = [ServerAttempt(checker["url"], checker["answered"],
                                      None if checker["answered"] else checker["message"])
                        for checker in family["checkers"]]
            if not family["known"]:
                unanswered += attempts
                continue
            for cause in family["causes"]:
                logger.warning("IPv%d: %s; %s", family["family"], cause["text"],
                               cause["remedy"])
            labels = {port: cause["label"] for cause in family["causes"]
                      for port in _expand(cause["ports"])}
            results = {entry["port"]: self._read_entry(entry, attempts, labels)
                       for entry in family["ports"]}
            self.by_family[family["family"]] = {port: results[port] for port in ports}
        if self.by_family:
            return self.by_family[min(self.by_family)]
        return _unanswered(ports, unanswered)

    def _read_entry(self, entry, attempts, labels):
        port = entry["port"]
        if entry["advertise"]:
            reached = [verdict["checker"] for verdict in entry["verdicts"]
                       if verdict["state"] == "open"]
            return PortVerificationResult(
                port, True, None, attempts[reached[0]].server if reached else None, attempts)
        if entry["listener"] == "in_use":
            error = f"Port {port}: {entry['held_by'] or 'another program'} uses it"
        else:
            error = labels.get(port, "No verdict")
        return PortVerificationResult(port, False, error, None, attempts)


def _unanswered(ports, attempts):
    """The results if no checker answered; a checker counts once, with its first error."""
    first = {}
    for attempt in attempts:
        first.setdefault(attempt.server, attempt)
    reasons = "; ".join(f"{attempt.server}: {attempt.error or 'too few of its places answered'}"
                        for attempt in first.values())
    message = f"No port checker answered: {reasons or 'none is configured'}"
    logger.error(message)
    return {port: PortVerificationResult(port, False, message, None, list(first.values()))
            for port in ports}


# --- listeners ----------------------------------------------------------------------------

LOST = "The connection arrived here, but the proof did not reach the checker"
WRONG = "No verdict: the checker claims a proof that this machine did not send"
STATES = {
    "limited": "No verdict: the address stopped answering the checker (a rate limit, a "
               "protection against scans, or an outage)",
}


class _Greeter(asyncio.Protocol):
    """One accepted connection: sends the proof, then waits for the other side to close."""

    def __init__(self, listeners, family, port):
        self.listeners = listeners
        self.key = family, port
        self.timer = None

    def connection_made(self, transport):
        self.transport = transport
        open_here = self.listeners.open_connections.setdefault(self.key, set())
        if len(open_here) >= GREETINGS_MAX:
            transport.abort()
            return
        open_here.add(transport)
        self.listeners.greeted.add(self.key)
        transport.write(self.listeners.line(self.key[1]))
        self.timer = asyncio.get_running_loop().call_later(GREETING_TIMEOUT, transport.abort)

    def connection_lost(self, _):
        self.listeners.open_connections[self.key].discard(self.transport)
        if self.timer:
            self.timer.cancel()


class _Listeners:
    """Listening sockets that send proofs, and why the other ports have none."""

    def __init__(self):
        self.token = secrets.token_hex(16)
        self.servers = {}  # by family and port
        self.in_use = set()
        self.reasons = {}
        self.left_out = set()  # families, for lack of descriptors
        self.greeted = set()  # (family, port) of accepted connections
        self.open_connections = {}

    def line(self, port):
        proof = hmac.new(self.token.encode(), str(port).encode(), hashlib.sha256).hexdigest()
        return f"golem-port-verifier 1 {port} {proof}\n".encode()

    def bound(self, family):
        return {port for of, port in self.servers if of == family}

    def lacks(self, family, ports):
        """Whether nothing listens there, so that a refusal says nothing about the ports."""
        return family in self.left_out and any(port in ports for _, port in self.servers)

    async def open(self, family, ports, is_first):
        """Binds what can be bound. Only the first family decides whether a port is in use."""
        if not is_first and not _has_descriptors(len(ports)):
            logger.warning("too few descriptors (ulimit -n) to listen on IPv%d too: it is not "
                           "checked", family)
            self.left_out.add(family)
            return
        loop = asyncio.get_running_loop()
        for port in ports:
            try:
                sock = _listener(family, port)
            except OSError as error:
                if is_first:
                    self._note(port, error)
                logger.debug("port %d, IPv%d: %s", port, family, error)
                continue
            self.servers[family, port] = await loop.create_server(
                lambda port=port: _Greeter(self, family, port), sock=sock, backlog=128)

    def _note(self, port, error):
        if error.errno in IN_USE:
            self.in_use.add(port)
            self.reasons[port] = "another program uses it"
        elif isinstance(error, PermissionError):
            self.reasons[port] = "no permission to bind it"
        else:
            self.reasons[port] = error.strerror or str(error)

    async def close(self):
        servers = list(self.servers.values())
        self.servers.clear()
        for server in servers:
            server.close()
        for transports in self.open_connections.values():
            for transport in list(transports):
                transport.abort()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(
                asyncio.gather(*(server.wait_closed() for server in servers)), 2)
        await asyncio.sleep(0)  # sockets of aborted connections close in the next turn

    def judge(self, family, port, entry):
        """The verdict in one entry of a reply."""
        error = entry.get("error")
        error = error if isinstance(error, str) and error.isprintable() else "Not reachable"
        state = entry.get("state")
        if state is None:  # the plain contract
            return Verdict(OPEN, None) if entry.get("accessible") else Verdict(CLOSED, error)
        if state in ("closed", "filtered", "unreachable"):
            return Verdict(CLOSED, error)
        if state != "open":
            return Verdict(NO_VERDICT, STATES.get(str(state), f"No verdict: state {state!r}"))
        proof = entry.get("proof")
        if proof is None or (family, port) not in self.servers:
            return Verdict(OPEN, None)
        if proof == "match":
            return (Verdict(PROVED, None) if (family, port) in self.greeted
                    else Verdict(NO_VERDICT, WRONG))
        if proof == "other_port":
            return Verdict(NOT_OURS, "A port forward leads to port "
                                     f"{entry.get('proof_port')} of this machine")
        if proof in ("mismatch", "silent", "reset"):
            if proof != "mismatch" and (family, port) in self.greeted:
                return Verdict(NO_VERDICT, LOST)
            return Verdict(NOT_OURS, "Another program or machine answered")
        return Verdict(NO_VERDICT, f"No verdict: proof {proof!r}")


# With an exclusive socket, Windows reports a port in use as "access denied".
IN_USE = {errno.EADDRINUSE, getattr(errno, "WSAEADDRINUSE", errno.EADDRINUSE)}
if sys.platform == "win32":
    IN_USE |= {errno.EACCES, getattr(errno, "WSAEACCES", errno.EACCES)}


def _listener(family, port):
    sock = socket.socket(FAMILIES[family], socket.SOCK_STREAM)
    try:
        if sys.platform == "win32":
            # There, SO_REUSEADDR would share a port that another program listens on.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == 6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setblocking(False)
        sock.bind((ANY_ADDRESS[family], port))
        sock.listen(128)
        return sock
    except BaseException:
        sock.close()
        raise


def _has_descriptors(count):
    """Whether this process may open twice as many sockets, and the rest of it still works."""
    if sys.platform == "win32":
        return True
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return limit == resource.RLIM_INFINITY or 2 * count + SPARE_DESCRIPTORS <= limit


# --- port lists ---------------------------------------------------------------------------

def _runs(ports):
    """[(first, last)] of ascending runs, in the order of `ports`."""
    runs = []
    for port in ports:
        if runs and port == runs[-1][1] + 1:
            runs[-1] = runs[-1][0], port
        else:
            runs.append((port, port))
    return runs


def _ranges(ports):
    """As a checker takes them: [7466, "50800-50899"]."""
    return [first if first == last else f"{first}-{last}" for first, last in _runs(ports)]


def _list_text(ports):
    return ", ".join(map(str, _ranges(sorted(ports))))


def _expand(text):
    for part in text.split(","):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


# --- HTTP ---------------------------------------------------------------------------------

def _parse(server, timeout=PortVerifier.timeout):
    try:
        url = urllib.parse.urlsplit(server)
        port = url.port or (443 if url.scheme == "https" else 80)
    except ValueError as error:
        raise NoAnswer(f"not a URL: {error}") from None
    if url.scheme not in ("http", "https") or not url.hostname:
        raise NoAnswer("not a URL such as http://checker.example:7466")
    return Checker(url.scheme, url.hostname, port, url.path.rstrip("/"), timeout)


def _is_inner(ip):
    """Whether a translator stands between such an address and the internet."""
    return any(ip in ipaddress.ip_network(network) for network in INNER)


def _is_private(server):
    """Whether the URL names this machine or a private address."""
    try:
        host = _parse(server).host
        return host == "localhost" or not ipaddress.ip_address(host).is_global
    except (NoAnswer, ValueError):
        return False


async def _in_thread(function, *arguments):
    return await asyncio.get_running_loop().run_in_executor(None, function, *arguments)


async def _resolve(checker, family):
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            checker.host, checker.port, family=FAMILIES[family], type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError):
        raise NoAnswer(f"{checker.host} has no IPv{family} address") from None
    return [entry[4] for entry in found]


class _Wire:
    """The socket of one request, so that another thread can end the request."""

    def __init__(self):
        self.sock = None
        self.is_over = False

    def take(self, sock):
        self.sock = sock
        if self.is_over:
            sock.close()
            raise NoAnswer("cancelled")
        return sock

    def end(self):
        self.is_over = True
        with contextlib.suppress(OSError, AttributeError):
            self.sock.shutdown(socket.SHUT_RDWR)


async def _request(checker, addresses, path, body=None, is_json=True):
    """One request in a thread, since the standard library has no asynchronous client."""
    wire = _Wire()
    try:
        return await _in_thread(_exchange, wire, checker, addresses, path, body, is_json)
    finally:
        wire.end()


def _exchange(wire, checker, addresses, path, body, is_json):
    sock = _connect(wire, checker, addresses)
    connection = http.client.HTTPConnection(checker.host, checker.port)
    connection.sock = sock
    try:
        local, peer = sock.getsockname()[0], sock.getpeername()[0]
        host = f"[{checker.host}]" if ":" in checker.host else checker.host
        headers = {"Host": f"{host}:{checker.port}", "Connection": "close"}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        connection.request("POST" if data else "GET", checker.prefix + path, data, headers)
        with connection.getresponse() as response:
            text = response.read(REPLY_MAX + 1)
            is_whole = not response.length
    finally:
        connection.close()
        sock.close()
    if len(text) > REPLY_MAX:
        raise NoAnswer("the reply is too long")
    if not is_whole:
        raise NoAnswer("the reply is incomplete")
    value = text
    if is_json:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = None
    return Reply(response.status, value, local, peer)


def _connect(wire, checker, addresses):
    """The first address that accepts; TLS with the certificates that the system trusts."""
    for number, address in enumerate(addresses, 1):
        sock = wire.take(socket.socket(FAMILIES[6 if ":" in address[0] else 4],
                                       socket.SOCK_STREAM))
        try:
            sock.settimeout(min(CONNECT_TIMEOUT, checker.timeout))
            sock.connect(address)
            sock.settimeout(checker.timeout)  # at the latest: the caller calls end() then
            if checker.scheme == "https":
                sock = wire.take(ssl.create_default_context().wrap_socket(
                    sock, server_hostname=checker.host, do_handshake_on_connect=False))
                sock.do_handshake()
            return wire.take(sock)
        except OSError as error:
            sock.close()
            if number == len(addresses):
                if isinstance(error, socket.timeout):
                    raise NoAnswer("no connection: timed out") from None
                raise
    raise NoAnswer("no address")


def _entries(reply):
    """{port: entry} of a reply, or NoAnswer."""
    body = reply.body if isinstance(reply.body, dict) else {}
    if reply.status != 200:
        detail = body.get("detail")
        text = detail if isinstance(detail, str) else json.dumps(detail) if detail else ""
        text = "".join(filter(str.isprintable, text))[:300]
        raise NoAnswer(f"HTTP status {reply.status}" + (f": {text}" if text else ""))
    results = body.get("results")
    if not isinstance(results, dict):
        raise NoAnswer("the reply is not that of a port checker")
    return {int(port): entry for port, entry in results.items()
            if re.fullmatch("[0-9]{1,5}", port) and isinstance(entry, dict)}


# --- processes ----------------------------------------------------------------------------

NO_WINDOW = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # Windows


async def _run(command, timeout):
    """(status, output, errors) of a program, in a thread: not every event loop can run one.
    The status is None if it cannot be started or does not end in time."""
    started = []
    try:
        return await _in_thread(_run_here, command, timeout, started)
    except asyncio.CancelledError:
        for process in started:
            process.kill()
        raise


def _run_here(command, timeout, started):
    try:
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, encoding="utf-8", errors="replace",
                              creationflags=NO_WINDOW) as process:
            started.append(process)
            try:
                out, said = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                return None, "", f"it did not end within {timeout:g} seconds"
        return process.returncode, out, said
    except OSError as error:
        return None, "", str(error)
