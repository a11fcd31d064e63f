"""Which resource needs which: who is made first, who goes first, and where that is impossible."""

import heapq
from collections.abc import Mapping

from cloudformation.names import Names


def needs(names: Names, holds: Mapping[str, bool] | None) -> dict[str, set[str]]:
    """Of each resource that exists, those that have to be there before it, and go after it."""
    there = names.living(holds)
    return {name: {r.name for r in names.of_resource(name, holds) if r.name in there and not r.to_condition} for name in there}


def closure(needed: Mapping[str, set[str]], name: str) -> set[str]:
    """All that a resource needs, directly or by way of others; itself only where it needs itself."""
    found, waiting = set(), list(needed.get(name, ()))
    while waiting:
        following = waiting.pop()
        if following not in found:
            found.add(following)
            waiting.extend(needed.get(following, ()))
    return found


def circles(needed: Mapping[str, set[str]]) -> list[str]:
    """The resources that need themselves, in the end."""
    return sorted(name for name in needed if name in closure(needed, name))


def in_order(needed: Mapping[str, set[str]]) -> list[str]:
    """Each after all that it needs, otherwise by name. There must be no circle."""
    left = {name: len(those) for name, those in needed.items()}
    users: dict[str, list[str]] = {name: [] for name in needed}
    for name, those in needed.items():
        for other in those:
            users[other].append(name)
    ready, ordered = [name for name, count in left.items() if count == 0], []
    heapq.heapify(ready)
    while ready:
        name = heapq.heappop(ready)
        ordered.append(name)
        for user in users[name]:
            left[user] -= 1
            if left[user] == 0:
                heapq.heappush(ready, user)
    return ordered
