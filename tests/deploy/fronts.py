# SPDX-License-Identifier: MIT
"""The real nginx, HAProxy and Caddy with the files of contrib/ as they are, on ports 80 and 443
of a network namespace of the tests' own. Only folders are replaced: those of certificates."""
import pathlib
import ssl
import subprocess

from dotenv import dotenv_values

from harness.http import Connection, check_body
from harness.proxies import Program
from harness.service import Service

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONTRIB = ROOT / "contrib"
NAME = "checker.example"
HOST = ("Host", NAME)
JSON = ("Content-Type", "application/json")
LIVE = f"/etc/letsencrypt/live/{NAME}"
HAPROXY_PEM = f"/etc/haproxy/{NAME}.pem"

NGINX_MAIN = """
daemon off;
user root;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include conf.d/*.conf;
}}
"""
HAPROXY_MAIN = "global\n    maxconn 200\n"
CADDY_MAIN = """
{{
    admin off
    local_certs
    skip_install_trust
    storage file_system {folder}
}}
"""


def make_certificate(folder, serial=1):
    """What certbot leaves in /etc/letsencrypt/live/checker.example, self-signed."""
    folder.mkdir(exist_ok=True)
    key, chain = folder / "privkey.pem", folder / "fullchain.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={NAME}",
                    "-set_serial", str(serial), "-addext", f"subjectAltName=DNS:{NAME}",
                    "-keyout", key, "-out", chain], check=True, capture_output=True)
    return folder


def settings_of(kind, name):
    return dotenv_values(CONTRIB / kind / name, interpolate=False)


def start_service(kind, file="port-checker.env", **settings):
    return Service({**settings_of(kind, file), "PORT_CHECK_TIMEOUT": "10", **settings})


class ToName:
    """A context of TLS that asks for the checker by its name, and verifies it."""

    def __init__(self, ca):
        self.context = ssl.create_default_context(cafile=str(ca))

    def wrap_socket(self, sock):
        return self.context.wrap_socket(sock, server_hostname=NAME)


class Front(Program):
    """One of the proxies with files from contrib/, in a folder of its own. `edits` replace
    one text by another each, to make a proxy that does something wrong."""

    UP_WITHIN = 30  # Caddy makes its certificate, and tries again after a pause

    def __init__(self, kind, folder, files, edits=()):
        self.kind = kind
        self.edits = edits
        self.folder = folder
        self.live = make_certificate(folder / NAME)
        self.pem = folder / f"{NAME}.pem"
        super().__init__(kind, getattr(self, f"_{kind}")(files), folder, ("127.0.0.1", 80))

    def _is_up(self):
        """HAProxy may listen before it can be told to reload."""
        return super()._is_up() and (
            self.kind == "nginx"
            or self.kind == "haproxy" and "Loading success" in self.printed()
            or self.kind == "caddy" and self._has_certificate())

    def _has_certificate(self):
        try:
            Connection(("127.0.0.1", 443), context=ToName(self.ca)).close()
        except (FileNotFoundError, ssl.SSLError):
            return False
        return True

    def _read(self, file):
        text = (CONTRIB / self.kind / file).read_text()
        for old, new in self.edits:
            text = text.replace(old, new)
        return text.replace(LIVE, str(self.live)).replace(HAPROXY_PEM, str(self.pem))

    def _nginx(self, files):
        for folder in "conf.d", "snippets":
            (self.folder / folder).mkdir()
        snippet = "port-checker-proxy.conf"
        (self.folder / "snippets" / snippet).write_text(self._read(snippet))
        for file in files:
            (self.folder / "conf.d" / file).write_text(self._read(file))
        main = self.folder / "nginx.conf"
        main.write_text(NGINX_MAIN.format(folder=self.folder))
        return ["/usr/sbin/nginx", "-p", self.folder, "-e", self.folder / "start.log",
                "-c", main]

    def _haproxy(self, files):
        self.pem.write_text((self.live / "fullchain.pem").read_text()
                            + (self.live / "privkey.pem").read_text())
        return self._one_file("haproxy.cfg", HAPROXY_MAIN, files,
                              ["/usr/sbin/haproxy", "-W", "-db", "-f"])

    def _caddy(self, files):
        return self._one_file("Caddyfile", CADDY_MAIN.format(folder=self.folder), files,
                              ["/usr/bin/caddy", "run", "--adapter", "caddyfile",
                               "--config"])

    def _one_file(self, name, head, files, words):
        main = self.folder / name
        main.write_text(head + "\n".join(self._read(file) for file in files))
        return [*words, main]

    @property
    def ca(self):
        return (self.folder / "pki/authorities/local/root.crt" if self.kind == "caddy"
                else self.live / "fullchain.pem")


class Client:
    """A caller at `source` that talks to the checker through a front, on one connection."""

    def __init__(self, front, source, scheme="http"):
        port = 443 if scheme == "https" else 80
        address = ("::1" if ":" in source else "127.0.0.1", port)
        context = ToName(front.ca) if scheme == "https" else None
        self.source = source
        self.connection = Connection(address, source, context=context)

    def exchange(self, method, path, headers=(), body=None):
        return self.connection.exchange(method, path, [HOST, *headers], body)

    def ip(self, headers=()):
        reply = self.exchange("GET", "/ip", headers)
        assert reply.status == 200, reply
        return reply.json()["ip"]

    def check(self, ports, provider_ip=None, headers=(), **more):
        return self.exchange("POST", "/check-ports", [JSON, *headers],
                             check_body(ports, provider_ip or self.source, **more))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()
