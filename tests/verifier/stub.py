# SPDX-License-Identifier: MIT
"""Checkers whose answers the test chooses."""
import errno
import http.server
import json
import os
import socket
import ssl
import subprocess
import threading

from harness.http import authority_of


class Request:
    def __init__(self, method, path, body, client):
        self.method = method
        self.path = path
        self.body = body
        self.client = client  # (address, port) of the connection

    @property
    def json(self):
        return json.loads(self.body)


class Answer:
    """A reply. `body` is bytes, or a value that is written as JSON. A `length` that is not
    that of the body makes the reply incomplete."""

    def __init__(self, status=200, body=b"", headers=(), kind="application/json", length=None):
        self.status = status
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.headers = dict(headers)
        self.kind = kind
        self.length = len(self.body) if length is None else length


NOT_FOUND = Answer(404, {"detail": "Not Found"})


class Stub:
    """`answer` is called with every request, in one thread for each connection."""

    def __init__(self, answer, address="127.0.0.1", context=None):
        self.answer = answer
        self.requests = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                length = int(self.headers.get("Content-Length") or 0)
                request = Request(self.command, self.path, self.rfile.read(length),
                                  self.client_address[:2])
                outer.requests.append(request)
                answer = outer.answer(request)
                if isinstance(answer, bytes):  # no HTTP
                    self.wfile.write(answer)
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.kind)
                self.send_header("Content-Length", str(answer.length))
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body)
                self.close_connection = answer.length != len(answer.body)

            do_GET = do_POST = handle_any

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
            daemon_threads = True

            def handle_error(self, *_):
                pass  # a client that left

        self.server = Server((address, 0), Handler)
        self.scheme = "http"
        if context:
            self.scheme = "https"
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    @property
    def port(self):
        return self.server.server_address[1]

    @property
    def url(self):
        return f"{self.scheme}://{authority_of(self.server.server_address)}"

    def posts(self):
        return [request for request in self.requests if request.method == "POST"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def result_of(ip, port):
    """The result for one port in the plain contract, from a real connection."""
    with socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET) as sock:
        sock.settimeout(2)
        number = sock.connect_ex((ip, port))
    number = errno.ETIMEDOUT if number == errno.EAGAIN else number
    return {"accessible": number == 0, "error": os.strerror(number) if number else None}


def results(request, entry=result_of):
    body = request.json
    found = {str(port): entry(body["provider_ip"], port) for port in body["ports"]}
    good = sum(result["accessible"] for result in found.values())
    return Answer(200, {"success": good > 0, "results": found,
                        "message": f"Successfully verified {good} out of {len(found)} ports"})


def plain(request):
    """Serves only /check-ports, and ignores members that it does not know."""
    return results(request) if request.path == "/check-ports" else NOT_FOUND


def strict(request):
    """The same, but it refuses members that it does not know."""
    if request.path == "/check-ports":
        for name in request.json:
            if name not in ("provider_ip", "ports"):
                fault = {"loc": ["body", name], "msg": "extra fields not permitted",
                         "type": "value_error.extra"}
                return Answer(422, {"detail": [fault]})
    return plain(request)


def telling(check):
    """A checker with /ip; `check` answers the rest."""
    def answer(request):
        if request.path != "/ip":
            return check(request)
        ip = request.client[0]
        return Answer(200, {"ip": ip, "family": 6 if ":" in ip else 4})
    return answer


def fixed(entry):
    """Gives the same result for every port: `entry` is a result, or makes one from a port."""
    def check(request):
        make = entry if callable(entry) else lambda port: entry
        return results(request, lambda ip, port: make(port))
    return telling(check)


MAKER = """
[ca]
default_ca = maker
[maker]
database = index
serial = serial
new_certs_dir = .
default_md = sha256
policy = policy
[policy]
commonName = supplied
[extensions]
subjectAltName = %s
"""


def server_context(folder, name="IP:127.0.0.1", first_year=2020, last_year=2049):
    """A self-signed certificate: (context, its file)."""
    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    (folder / "maker").write_text(MAKER % name)
    (folder / "index").touch()
    (folder / "serial").write_text("01")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", key, "-subj", "/CN=stub", "-out", "request")
    openssl("ca", "-batch", "-config", "maker", "-extensions", "extensions", "-selfsign",
            "-keyfile", key, "-in", "request", "-out", certificate, "-notext", "-startdate",
            f"{first_year}0101000000Z", "-enddate", f"{last_year}0101000000Z")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, certificate
