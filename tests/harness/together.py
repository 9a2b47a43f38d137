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


def together(names, values):
    """Like pytest.mark.parametrize, for tests whose other argument is `world`; all cases run at the
    same time, each in a world of its own."""
    names = [name.strip() for name in names.split(",")]

    def decorate(test):
        alone = getattr(test, "alone", test)
        rows = values if len(names) > 1 else [[value] for value in values]
        cases = [{**dict(zip(names, row)), **case} for row in rows
                 for case in getattr(test, "cases", [{}])]

        def run_all(world):
            at_once(lambda case: alone(world, **case), cases)
        run_all.__name__, run_all.__doc__ = alone.__name__, alone.__doc__
        run_all.alone, run_all.cases = alone, cases
        return run_all
    return decorate
