# SPDX-License-Identifier: MIT
"""Many cases at the same time, for those that take seconds in which nothing happens."""
import concurrent.futures


def at_once(check, cases):
    """Calls check(case) for all of them, each in a thread of its own; the report of a failure names
    every case that failed."""
    with concurrent.futures.ThreadPoolExecutor(len(cases)) as pool:
        done = [(case, pool.submit(check, case)) for case in cases]
    failed = [(case, one.exception()) for case, one in done if one.exception()]
    if failed:
        text = "\n".join(f"{case!r}: {error!r}" for case, error in failed)
        raise AssertionError(text) from failed[0][1]
