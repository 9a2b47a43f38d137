# SPDX-License-Identifier: MIT
"""What tests ask of a front and of vantage points."""
from harness.waiting import eventually


def connected(service, count=1):
    """Waits until it has connected to NATS this many times."""
    def lines():
        return [line for line in service.events("nats")
                if line["message"].startswith("connected")]
    return eventually(lambda: len(lines()) >= count and lines(), "it is connected")


def states(result):
    """{place: its state, or why it is missing} of one port."""
    return {name: place.get("reason", place["state"])
            for name, place in result.get("vantages", {}).items()}
