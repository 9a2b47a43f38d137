#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""plain_rule.py ADDRESS PORTS: what a simple checker does, for comparison: all ports at
once, each with three attempts of 5 s, 1 s apart; every error is blamed on the target.
Prints one JSON object: port -> [state, milliseconds]."""
import asyncio
import errno
import json
import socket
import sys
import time

TRIES, TIMEOUT, PAUSE = 3, 5.0, 1.0

STATES = {errno.ECONNREFUSED: "closed", errno.EHOSTUNREACH: "unreachable",
          errno.ENETUNREACH: "unreachable"}


async def connect(address, port):
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as tried:
        tried.setblocking(False)
        await asyncio.wait_for(loop.sock_connect(tried, (address, port)), TIMEOUT)


async def judge(address, port):
    start = time.monotonic()
    state = "filtered"
    for left in reversed(range(TRIES)):
        try:
            await connect(address, port)
            state = "open"
            break
        except asyncio.TimeoutError:
            state = "filtered"
        except OSError as error:
            state = STATES.get(error.errno, "filtered")
        if left:
            await asyncio.sleep(PAUSE)
    return [state, round(1000 * (time.monotonic() - start), 1)]


async def main():
    address, ports = sys.argv[1], [int(port) for port in sys.argv[2].split(",")]
    verdicts = await asyncio.gather(*(judge(address, port) for port in ports))
    print(json.dumps(dict(zip(ports, verdicts))))


if __name__ == "__main__":
    asyncio.run(main())
