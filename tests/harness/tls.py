# SPDX-License-Identifier: MIT
"""TLS for services and their clients."""
import contextlib
import ssl
import subprocess


def make_pair(directory, name):
    """A self-signed certificate for 127.0.0.1 and its key."""
    cert, key = directory / f"{name}.pem", directory / f"{name}.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=test",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert],
                   check=True, capture_output=True)
    return cert, key


def tls_settings(cert, key):
    return {"PORT_CHECKER_TLS_CERT": str(cert), "PORT_CHECKER_TLS_KEY": str(key)}


def trusting(cert):
    """The context of a client that accepts only this certificate."""
    context = ssl.create_default_context(cafile=str(cert))
    context.check_hostname = False
    return context


def first_flight(context):
    """The first message of a TLS client."""
    said = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), said).do_handshake()
    return said.read()
