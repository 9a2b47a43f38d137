# SPDX-License-Identifier: MIT
"""A router that speaks UPnP (IGD version 1) as the test tells it to, for what miniupnpd does not
do: leases that are always permanent, refusals, small tables, slow answers. It really forwards."""
import contextlib
import http.server
import re
import socket
import struct
import threading
import time

from harness.homes import HTTP_PORT, PUBLIC, ROUTER, SSDP_PORT

GROUP = "239.255.255.250"
SERVICE = "urn:schemas-upnp-org:service:WANIPConnection:1"
COMMON = "urn:schemas-upnp-org:service:WANCommonInterfaceConfig:1"
DEVICE = "urn:schemas-upnp-org:device:InternetGatewayDevice:1"
NOT_AUTHORIZED, NO_SUCH_ENTRY, HELD, PERMANENT_ONLY, FULL = 606, 714, 718, 725, 728

FOUND = f"""HTTP/1.1 200 OK
CACHE-CONTROL: max-age=120
ST: {{target}}
USN: uuid:00000000-0000-0000-0000-000000000002::{{target}}
EXT:
SERVER: tests UPnP/1.0
LOCATION: http://{ROUTER}:{HTTP_PORT}/root.xml

""".replace("\n", "\r\n")

ROOT = f"""<?xml version="1.0"?>
<root xmlns="urn:schemas-upnp-org:device-1-0">
<specVersion><major>1</major><minor>0</minor></specVersion>
<device><deviceType>{DEVICE}</deviceType><friendlyName>router</friendlyName>
<manufacturer>tests</manufacturer><modelName>tests</modelName>
<UDN>uuid:00000000-0000-0000-0000-000000000002</UDN>
<deviceList><device><deviceType>urn:schemas-upnp-org:device:WANDevice:1</deviceType>
<UDN>uuid:00000000-0000-0000-0000-000000000003</UDN>
<serviceList><service><serviceType>{COMMON}</serviceType>
<serviceId>urn:upnp-org:serviceId:WANCommonIFC1</serviceId>
<controlURL>/common</controlURL><eventSubURL>/event</eventSubURL><SCPDURL>/scpd.xml</SCPDURL>
</service></serviceList>
<deviceList><device>
<deviceType>urn:schemas-upnp-org:device:WANConnectionDevice:1</deviceType>
<UDN>uuid:00000000-0000-0000-0000-000000000004</UDN>
<serviceList><service><serviceType>{SERVICE}</serviceType>
<serviceId>urn:upnp-org:serviceId:WANIPConn1</serviceId>
<controlURL>/control</controlURL><eventSubURL>/event</eventSubURL><SCPDURL>/scpd.xml</SCPDURL>
</service></serviceList></device></deviceList></device></deviceList></device></root>
"""

REPLY = """<?xml version="1.0"?>
<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"
 s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>{body}</s:Body></s:Envelope>
"""

ERROR = """<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail>
<UPnPError xmlns="urn:schemas-upnp-org:control-1-0"><errorCode>{code}</errorCode>
<errorDescription>refused</errorDescription></UPnPError></detail></s:Fault>"""


class Refused(Exception):
    pass


class Igd:
    def __init__(self, home, is_permanent_only=False, refuses=(), entries=1000, delay=0,
                 outer_ip=PUBLIC):
        """`refuses` has the error code with which each AddPortMapping is answered, and `delay`
        the seconds before each answer."""
        self.home = home
        self.is_permanent_only, self.refuses = is_permanent_only, refuses
        self.entries, self.delay, self.outer_ip = entries, delay, outer_ip
        self.table = {}  # outer port: (address, inner port, lease)
        self.lock = threading.Lock()
        self.asked = []  # (action, arguments)
        with contextlib.ExitStack() as stack:
            self.ssdp = stack.enter_context(home.router.socket(socket.AF_INET, socket.SOCK_DGRAM))
            self.ssdp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.ssdp.bind(("", SSDP_PORT))
            self.ssdp.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, struct.pack(
                "4s4s", socket.inet_aton(GROUP), socket.inet_aton(ROUTER)))
            with home.router:
                self.http = stack.enter_context(http.server.ThreadingHTTPServer(
                    (ROUTER, HTTP_PORT), self._handler()))
            self.stack = stack.pop_all()
        self.threads = [threading.Thread(target=self.http.serve_forever, args=(0.01,)),
                        threading.Thread(target=self._answer_searches)]
        for thread in self.threads:
            thread.start()

    def close(self):
        self.http.shutdown()
        with contextlib.suppress(OSError):  # not connected: it wakes the thread all the same
            self.ssdp.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join()
        self.stack.close()

    def _answer_searches(self):
        with contextlib.suppress(OSError):
            while True:
                text, sender = self.ssdp.recvfrom(2048)
                target = re.search(rb"(?im)^ST:\s*(\S+)", text)
                wanted = target.group(1).decode() if target else ""
                if text.startswith(b"M-SEARCH") and wanted in (DEVICE, "upnp:rootdevice",
                                                               "ssdp:all", SERVICE):
                    self.ssdp.sendto(FOUND.format(target=wanted).encode(), sender)
                elif not text:
                    return

    def _handler(self):
        igd = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self._send(200, ROOT)

            def do_POST(self):
                text = self.rfile.read(int(self.headers["Content-Length"])).decode()
                action = self.headers["SOAPAction"].strip('"').rpartition("#")[2]
                arguments = dict(re.findall(r"<(New\w+)>([^<]*)</New\w+>", text))
                time.sleep(igd.delay)  # the answer itself is slow
                try:
                    with igd.lock:
                        igd.asked.append((action, arguments))
                        told = getattr(igd, f"on_{action}")(arguments)
                except (Refused, AttributeError) as error:
                    code = error.args[0] if isinstance(error, Refused) else 401
                    self._send(500, REPLY.format(body=ERROR.format(code=code)))
                    return
                inner = "".join(f"<{name}>{value}</{name}>" for name, value in told.items())
                self._send(200, REPLY.format(
                    body=f'<u:{action}Response xmlns:u="{SERVICE}">{inner}</u:{action}Response>'))

            def _send(self, status, text):
                self.send_response(status)
                self.send_header("Content-Type", 'text/xml; charset="utf-8"')
                self.send_header("Content-Length", str(len(text)))
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_):
                pass

        return Handler

    # --- its actions; `told` is what they return ----------------------------------------

    def on_GetStatusInfo(self, _):
        return {"NewConnectionStatus": "Connected", "NewLastConnectionError": "ERROR_NONE",
                "NewUptime": 1000}

    def on_GetExternalIPAddress(self, _):
        return {"NewExternalIPAddress": self.outer_ip}

    def on_AddPortMapping(self, told):
        outer, lease = int(told["NewExternalPort"]), int(told["NewLeaseDuration"])
        if self.refuses:
            raise Refused(self.refuses)
        if self.is_permanent_only and lease:
            raise Refused(PERMANENT_ONLY)
        if outer in self.table and self.table[outer][0] != told["NewInternalClient"]:
            raise Refused(HELD)
        if outer not in self.table and len(self.table) >= self.entries:
            raise Refused(FULL)
        self.table[outer] = (told["NewInternalClient"], int(told["NewInternalPort"]), lease)
        self._changed()
        return {}

    def on_DeletePortMapping(self, told):
        if self.table.pop(int(told["NewExternalPort"]), None) is None:
            raise Refused(NO_SUCH_ENTRY)
        self._changed()
        return {}

    def on_GetSpecificPortMappingEntry(self, told):
        if int(told["NewExternalPort"]) not in self.table:
            raise Refused(NO_SUCH_ENTRY)
        address, inner, lease = self.table[int(told["NewExternalPort"])]
        return {"NewInternalPort": inner, "NewInternalClient": address, "NewEnabled": 1,
                "NewPortMappingDescription": "", "NewLeaseDuration": lease}

    def _changed(self):
        self.home.set_forwards({outer: entry[:2] for outer, entry in self.table.items()})
