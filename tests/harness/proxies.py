# SPDX-License-Identifier: MIT
"""Real nginx and HAProxy in front of a service, with their files in a folder of their own. Both
keep connections to the service open and share them among all clients, which is what a request
smuggler needs, and neither forwards requests for /ip: the service sees that path only if a
request got past the proxy. They connect from an address of their own, 127.0.0.2, so that
127.0.0.1 remains the operator's."""
import os
import socket
import subprocess

from harness.http import Connection
from harness.waiting import PATIENCE, eventually

# The beginning of every nginx.conf here, up to the inside of "http": files stay in {folder}.
NGINX_HEAD = """
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size 0;
"""

NGINX = NGINX_HEAD + """
    upstream checker {{ server 127.0.0.1:{upstream}; keepalive 1; }}
    server {{
        listen 127.0.0.1:{port};
        location ^~ /ip {{ return 403; }}
        location / {{
            proxy_pass http://checker;
            proxy_bind 127.0.0.2;
            proxy_http_version 1.1;
            proxy_request_buffering off;
            proxy_set_header Connection "";
            proxy_set_header X-Forwarded-For $remote_addr;
        }}
    }}
}}
"""

HAPROXY = """
global
    maxconn 200
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    option http-keep-alive
    option forwardfor
    http-reuse always
frontend front
    bind 127.0.0.1:{port}
    http-request deny if {{ path_beg /ip }}
    default_backend checker
backend checker
    server checker 127.0.0.1:{upstream} source 127.0.0.2
"""

KINDS = {
    "nginx": (NGINX, ["/usr/sbin/nginx", "-p", "{folder}", "-e", "{folder}/start.log",
                      "-c", "{file}"]),
    "haproxy": (HAPROXY, ["/usr/sbin/haproxy", "-db", "-f", "{file}"]),
}


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Program:
    """A server that is not ours, from its start until it is closed; `address` is where it
    listens, and `folder` gets what it prints."""

    UP_WITHIN = 10  # seconds

    def __init__(self, name, words, folder, address):
        self.address = address
        self.name = name
        self.log = open(folder / f"{name}.out", "w+b")
        self.process = subprocess.Popen(words, cwd=folder, stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log,
                                        env={**os.environ, "HOME": str(folder)})
        try:
            eventually(self._is_up, f"{name} is up", self.UP_WITHIN)
        except AssertionError as error:
            printed = self.printed()
            self.close()
            raise AssertionError(f"{error}; it printed: {printed}") from None

    def _is_up(self):
        assert self.process.poll() is None, "it ended"
        try:
            self.connect().close()
        except ConnectionRefusedError:
            return False
        return True

    def printed(self):
        size = os.fstat(self.log.fileno()).st_size
        return os.pread(self.log.fileno(), size, 0).decode(errors="replace")

    def connect(self, source=None, timeout=15.0, **more):
        return Connection(self.address, source=source, timeout=timeout, **more)

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(10 * PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


class Proxy(Program):
    def __init__(self, kind, folder, upstream, template=None):
        text, words = KINDS[kind]
        text = template or text
        address = ("127.0.0.1", free_port())
        file = folder / f"{kind}.conf"
        file.write_text(text.format(folder=folder, port=address[1], upstream=upstream))
        super().__init__(kind, [word.format(folder=folder, file=file) for word in words],
                         folder, address)
