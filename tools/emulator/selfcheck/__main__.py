"""Run every check against an emulator of its own, a line for each; exit 1 if one failed. Arguments choose by name."""

import concurrent.futures
import sys
import time
import traceback

from emulator.selfcheck import (  # noqa: F401 (importing them registers the checks)
    access, cluster, delivery, existence, faulty, launches, life, parts, requests, rules, scaling, world)


def run(check, *args) -> tuple[bool, str]:
    started = time.monotonic()
    try:
        check(*args)
        good, more = True, ""
    except Exception as error:  # noqa: BLE001 (a check fails by any exception)
        where = traceback.extract_tb(error.__traceback__)[1:2]
        at = f" (line {where[0].lineno})" if where else ""
        good, more = False, f"\n       {type(error).__name__}: {error}{at}"
    words = check.__name__.replace("_", " ")
    return good, f"{'ok    ' if good else 'FAILED'} {words} ({time.monotonic() - started:.1f} s){more}"


def main() -> int:
    chosen = [c for c in world.CHECKS if not sys.argv[1:] or any(word in c.__name__ for word in sys.argv[1:])]
    started, results = time.monotonic(), []
    emulator = world.Emulator()
    try:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for done in concurrent.futures.as_completed([pool.submit(run, check) for check in chosen]):
                results.append(done.result())
                print(results[-1][1], flush=True)
        for last in (faulty.what_functions_ask_for_is_kept_when_calls_are_cleared, faulty.it_listens_on_loopback_only,
                      faulty.it_ends_quickly_and_leaves_no_child):
            results.append(run(last, emulator))
            print(results[-1][1], flush=True)
    finally:
        emulator.process.kill()
    bad = sum(not good for good, _ in results)
    print(f"{len(results) - bad} passed, {bad} failed ({time.monotonic() - started:.1f} s)")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
