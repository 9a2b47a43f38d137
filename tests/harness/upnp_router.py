# SPDX-License-Identifier: MIT
"""A home with a router that speaks UPnP IGD as its test wants: SSDP, descriptions and SOAP. What it
holds to be right follows the specifications of the UPnP Forum."""
import contextlib
import dataclasses
import re
import socket
import struct
import threading
import time

from harness.netns import Namespace

GROUP = {4: "239.255.255.250", 6: "ff02::c"}
SSDP_PORT = 1900
IP_CONNECTION = "urn:schemas-upnp-org:service:WANIPConnection:1"
FIREWALL = "urn:schemas-upnp-org:service:WANIPv6FirewallControl:1"
COMMON = "urn:schemas-upnp-org:service:WANCommonInterfaceConfig:1"

DESCRIPTION = """<?xml version="1.0"?>
<root xmlns="urn:schemas-upnp-org:device-1-0"><specVersion><major>1</major><minor>0</minor>
</specVersion>%s<device><deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:1</deviceType>
<deviceList><device><deviceType>urn:schemas-upnp-org:device:WANDevice:1</deviceType>
<serviceList>%s</serviceList>
<deviceList><device><deviceType>urn:schemas-upnp-org:device:WANConnectionDevice:1</deviceType>
<serviceList>%s</serviceList></device></deviceList></device></deviceList></device></root>"""
SERVICE = """<service><serviceType>%s</serviceType><serviceId>x</serviceId><controlURL>%s</controlURL>
<eventSubURL>/e</eventSubURL><SCPDURL>/s</SCPDURL></service>"""
REPLY = """<?xml version="1.0"?>
<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>%s</s:Body></s:Envelope>"""
FAULT = """<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail>
<UPnPError xmlns="urn:schemas-upnp-org:control-1-0"><errorCode>%d</errorCode><errorDescription>x
</errorDescription></UPnPError></detail></s:Fault>"""


class Home:
    """router -- home, neighbour: a link with two machines behind a router, whose other side
    leads nowhere."""
    PREFIX = {4: "192.168.50.%d/24", 6: "2001:db8:50::%d/64"}

    def __init__(self):
        self.router, self.home, self.neighbour = (
            Namespace(name) for name in ("router", "home", "neighbour"))
        self.router.ip("link set lo up\nlink add br0 type bridge\nlink set br0 up\n")
        self._address(self.router, "br0", 1)
        for host, (namespace, name) in enumerate(
                [(self.home, "home"), (self.neighbour, "neighbour")], 2):
            self.router.ip(f"link add {name} type veth peer name eth0 netns {namespace.path}\n"
                           f"link set {name} master br0\nlink set {name} up\n")
            namespace.ip("link set lo up\nlink set eth0 up\n")
            self._address(namespace, "eth0", host)
            namespace.ip("route add default via 192.168.50.1\n")

    def _address(self, namespace, device, host):
        namespace.ip("".join(f"address add {self.PREFIX[family] % host} dev {device}"
                             f"{' nodad' if family == 6 else ''}\n" for family in (4, 6)))

    def close(self):
        for namespace in (self.router, self.home, self.neighbour):
            namespace.close()


@dataclasses.dataclass
class Manner:
    """What a router does differently from a good one."""
    location: str = None          # what it tells in SSDP, in place of its description
    ignore: int = 0               # so many searches are lost
    description: object = None    # bytes in place of its description, or a function of the connection
    control: str = "/control"     # its control URL
    base: str = ""                # URLBase
    is_connected: bool = True
    outer: str = "45.12.7.7"
    results: dict = dataclasses.field(default_factory=dict)  # action or outer port: error code
    table_max: int = 1000
    lease_max: int = 604800
    lease_refusal: int = 0        # error code for a lease other than 0
    permanent_refusal: int = 0    # error code for a lease of 0
    renews: bool = True           # else its own entry is in the way: 718
    tells_entries: bool = True    # GetSpecificPortMappingEntry
    delay: float = 0              # of each answer to an action
    services: tuple = (IP_CONNECTION, FIREWALL)


class Router:
    """Inside `namespace`, at `address`. `table` is {outer port: entry}, `pinholes` {number: entry};
    `actions` lists what it was asked, `paths` what was fetched."""

    def __init__(self, namespace, address="192.168.50.1", **manner):
        self.family = 6 if ":" in address else 4
        self.address, self.manner = address, Manner(**manner)
        self.table, self.pinholes, self.actions, self.paths = {}, {}, [], []
        self.next_pinhole = 1
        self.searches = 0
        self.lock = threading.Lock()
        self.is_closing = False
        with namespace:
            domain = socket.AF_INET6 if self.family == 6 else socket.AF_INET
            index = next(number for number, name in socket.if_nameindex() if name != "lo"
                         and name in ("br0", "eth0", "lan"))
            self.ssdp = [self._ssdp(domain, index)]
            self.http = socket.create_server((address, 0), family=domain, backlog=64)
        self.port = self.http.getsockname()[1]
        self.threads = [threading.Thread(target=self._search_loop, daemon=True),
                        threading.Thread(target=self._http_loop, daemon=True)]
        for thread in self.threads:
            thread.start()

    @property
    def url(self):
        host = f"[{self.address}]" if self.family == 6 else self.address
        return f"http://{host}:{self.port}"

    def forget(self):
        """What it was asked before does not count."""
        self.actions, self.paths, self.searches = [], [], 0

    def close(self):
        self.is_closing = True
        for sock in [*self.ssdp, self.http]:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in self.threads:
            thread.join(10)

    # --- SSDP ---

    def _ssdp(self, domain, index):
        sock = socket.socket(domain, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("", SSDP_PORT))
        group = socket.inet_pton(domain, GROUP[self.family])
        if self.family == 6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP,
                            group + struct.pack("@I", index))
        else:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                            group + socket.inet_aton(self.address))
        sock.settimeout(0.2)
        return sock

    def _search_loop(self):
        sock = self.ssdp[0]
        while not self.is_closing:
            try:
                request, peer = sock.recvfrom(2048)
            except TimeoutError:
                continue
            except OSError:
                return
            if not request.startswith(b"M-SEARCH * HTTP/1.1\r\n"):
                continue
            self.searches += 1
            if self.searches <= self.manner.ignore:
                continue
            wanted = re.search(rb"\r\nST: *(\S+)\r\n", request)[1].decode()
            location = self.manner.location or f"{self.url}/description.xml"
            sock.sendto((f"HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=120\r\nST: {wanted}\r\n"
                         f"USN: uuid:1::{wanted}\r\nEXT:\r\nSERVER: tests\r\n"
                         f"LOCATION: {location}\r\n\r\n").encode(), peer)

    # --- HTTP ---

    def _http_loop(self):
        while not self.is_closing:
            try:
                connection, _ = self.http.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection, contextlib.suppress(OSError):
            connection.settimeout(30)
            head = b""
            while b"\r\n\r\n" not in head:
                got = connection.recv(4096)
                if not got:
                    return
                head += got
            head, body = head.split(b"\r\n\r\n", 1)
            length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
            while length and len(body) < int(length[1]):
                got = connection.recv(4096)
                if not got:
                    return
                body += got
            method, path, _ = head.split(b"\r\n")[0].decode().split(" ")
            self.paths.append(path)
            if method == "GET":
                self._describe(connection)
            else:
                time.sleep(self.manner.delay)
                self._act(connection, head.decode(), body.decode())

    def _describe(self, connection):
        description = self.manner.description
        if callable(description):
            description(connection)
            return
        services = "".join(SERVICE % (kind, self.manner.control)
                           for kind in self.manner.services)
        text = DESCRIPTION % (self.manner.base, SERVICE % (COMMON, "/common"), services)
        answer(connection, "200 OK", description or text.encode())

    def _act(self, connection, head, body):
        action = re.search(r'(?i)\r\nsoapaction: *"[^#"]*#(\w+)"', head)[1]
        service = re.search(r'(?i)\r\nsoapaction: *"([^#"]*)#', head)[1]
        arguments = dict(re.findall(r"<(\w+)>([^<]*)</\1>", body))
        with self.lock:
            self.actions.append((action, arguments))
            port = int(arguments.get("NewExternalPort") or arguments.get("InternalPort") or 0)
            given = self.manner.results.get(action) or self.manner.results.get(port)
            result = given or getattr(self, action)(arguments)
        if isinstance(result, bytes):
            answer(connection, "200 OK", result)
        elif isinstance(result, int):
            answer(connection, "500 Internal Server Error", (REPLY % (FAULT % result)).encode())
        else:
            members = "".join(f"<{name}>{value}</{name}>" for name, value in result.items())
            answer(connection, "200 OK", (REPLY % (
                f'<u:{action}Response xmlns:u="{service}">{members}</u:{action}Response>')).encode())

    # --- actions: an error code, or the members of the reply ---

    def GetStatusInfo(self, _):
        state = "Connected" if self.manner.is_connected else "Disconnected"
        return {"NewConnectionStatus": state, "NewLastConnectionError": "ERROR_NONE",
                "NewUptime": 100}

    def GetExternalIPAddress(self, _):
        return {"NewExternalIPAddress": self.manner.outer}

    def _lease(self, wished):
        if wished and self.manner.lease_refusal:
            return -self.manner.lease_refusal
        if not wished and self.manner.permanent_refusal:
            return -self.manner.permanent_refusal
        return min(wished, self.manner.lease_max)

    def AddPortMapping(self, arguments):
        outer = int(arguments["NewExternalPort"])
        lease = self._lease(int(arguments["NewLeaseDuration"]))
        if lease < 0:
            return -lease
        entry = {"client": arguments["NewInternalClient"],
                 "inner": int(arguments["NewInternalPort"]), "lease": lease,
                 "description": arguments["NewPortMappingDescription"]}
        held = self.table.get(outer)
        if held and (held["client"] != entry["client"] or not self.manner.renews):
            return 718
        if not held and len(self.table) >= self.manner.table_max:
            return 728
        self.table[outer] = entry
        return {}

    def GetSpecificPortMappingEntry(self, arguments):
        if not self.manner.tells_entries:
            return 401
        entry = self.table.get(int(arguments["NewExternalPort"]))
        if not entry:
            return 714
        return {"NewInternalPort": entry["inner"], "NewInternalClient": entry["client"],
                "NewEnabled": 1, "NewPortMappingDescription": entry["description"],
                "NewLeaseDuration": entry["lease"]}

    def DeletePortMapping(self, arguments):
        return {} if self.table.pop(int(arguments["NewExternalPort"]), None) else 714

    def AddPinhole(self, arguments):
        entry = {"client": arguments["InternalClient"], "port": int(arguments["InternalPort"]),
                 "protocol": arguments["Protocol"]}
        for number, other in self.pinholes.items():
            if {**other, "lease": None} == {**entry, "lease": None}:
                other["lease"] = int(arguments["LeaseTime"])
                return {"UniqueID": number}
        if len(self.pinholes) >= self.manner.table_max:
            return 701
        number, self.next_pinhole = self.next_pinhole, self.next_pinhole + 1
        self.pinholes[number] = {**entry, "lease": int(arguments["LeaseTime"])}
        return {"UniqueID": number}

    def UpdatePinhole(self, arguments):
        pinhole = self.pinholes.get(int(arguments["UniqueID"]))
        if not pinhole:
            return 704
        pinhole["lease"] = int(arguments["NewLeaseTime"])
        return {}

    def DeletePinhole(self, arguments):
        return {} if self.pinholes.pop(int(arguments["UniqueID"]), None) else 704


def answer(connection, status, body, *headers):
    lines = [f"HTTP/1.1 {status}", 'Content-Type: text/xml; charset="utf-8"',
             f"Content-Length: {len(body)}", "Connection: close", *headers]
    connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
