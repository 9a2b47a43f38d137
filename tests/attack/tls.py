# SPDX-License-Identifier: MIT
"""A certificate for services that are attacked over TLS."""
import pathlib
import ssl
import subprocess


def make_certificate(folder):
    """Settings for TLS with a certificate of its own, and the context that trusts it."""
    cert, key = pathlib.Path(folder, "cert.pem"), pathlib.Path(folder, "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=test",
                    "-keyout", key, "-out", cert], check=True, capture_output=True)
    context = ssl.create_default_context(cafile=str(cert))
    context.check_hostname = False
    return {"PORT_CHECKER_TLS_CERT": cert, "PORT_CHECKER_TLS_KEY": key}, context
