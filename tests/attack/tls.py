# SPDX-License-Identifier: MIT
"""A certificate for services that are attacked over TLS."""
import pathlib

from harness.tls import make_pair, tls_settings, trusting


def make_certificate(folder):
    """Settings for TLS with a certificate of its own, and the context that trusts it."""
    cert, key = make_pair(pathlib.Path(folder), "own")
    return tls_settings(cert, key), trusting(cert)
