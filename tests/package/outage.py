# SPDX-License-Identifier: MIT
"""outage.py PORT, with the number of a process as input: asks /health on new connections, one
after the other, for some seconds, and kills that process meanwhile. Prints the longest time
between two replies in milliseconds, and how many connections failed."""
import http.client
import json
import os
import signal
import sys
import threading
import time

SECONDS = 5
PAUSE_SECONDS = 0.001


def is_served(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def main():
    port, pid = int(sys.argv[1]), int(sys.stdin.read())
    begin = last = time.monotonic()
    longest, failed = 0.0, 0
    threading.Timer(1, os.kill, (pid, signal.SIGKILL)).start()
    while time.monotonic() < begin + SECONDS:
        if is_served(port):
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
        else:
            failed += 1
        time.sleep(PAUSE_SECONDS)
    assert last > begin + SECONDS - 1, "the service did not come back"
    print(json.dumps({"ms": round(1000 * longest), "failed": failed}))


main()
