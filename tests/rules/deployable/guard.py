"""What a refused deletion leaves at work.

The custom resource refuses the deletion of a deployment whose clusters live. CloudFormation deletes side by side whatever
does not depend on each other, so only what the custom resource needs, directly or by way of others, waits for its answer.
"""

from collections.abc import Mapping

from cloudformation.names import Names
from cloudformation.order import closure, needs

GUARD = "ClusterTemplate"

# What may go although the guard refuses, and why that does no harm. None, so far: even what is retained (buckets, their
# policies, the service role, the boundary) waits, so that it stays a part of the stack.
MAY_GO: dict[str, str] = {}


def not_guarded(names: Names, holds: Mapping[str, bool], may_go: Mapping[str, str] = MAY_GO) -> list[str]:
    """What is wrong, in sentences."""
    needed = needs(names, holds)
    if GUARD not in needed:
        return [f"Resources.{GUARD}, which refuses the deletion of a deployment with clusters, does not exist"]
    waiting = closure(needed, GUARD)
    wrong = [f"Resources.{name} is not needed by {GUARD}, so a deletion that is refused takes it away"
             for name in sorted(needed) if name != GUARD and name not in waiting and name not in may_go]
    return wrong + [f"Resources.{name} may go, it is said, but {GUARD} needs it" for name in may_go if name in waiting]
