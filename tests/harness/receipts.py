# SPDX-License-Identifier: MIT
"""Keys and settings of a service that gives receipts."""
import base64
import json
import subprocess

from harness.service import BINARY, environment, refuse_reports
from harness.waiting import PATIENCE

ISSUER = "https://checker.example"


def new_key(folder, name="receipt-key.pem"):
    """A new key's file, made by the service itself."""
    path = folder / name
    ended = subprocess.run([BINARY, "--new-receipt-key", path], env=environment({}),
                           capture_output=True, text=True, timeout=20 * PATIENCE)
    refuse_reports(ended.returncode, ended.stderr)
    assert ended.returncode == 0, ended.stderr
    return path


def settings(folder, issuer=ISSUER):
    return {"PORT_CHECKER_RECEIPT_KEY": new_key(folder), "PORT_CHECKER_RECEIPT_ISSUER": issuer}


def part(receipt, number):
    """The header (0) or the claims (1), not verified."""
    text = receipt.split(".")[number]
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
