"""What a group's next instance is: its launch template, market and type."""

import math

from emulator.scaling.words import ON_DEMAND, SPOT


def source(group: dict) -> dict:
    """The launch template that the group names, in either place."""
    return group.get("LaunchTemplate") or _mixed(group).get("LaunchTemplateSpecification") or {}


def is_mixed(group: dict) -> bool:
    return bool(group.get("MixedInstancesPolicy"))


def _mixed(group: dict) -> dict:
    return (group.get("MixedInstancesPolicy") or {}).get("LaunchTemplate") or {}


def type_of(group: dict, template: dict) -> str:
    """The first override's, where there is one: every type is there, so EC2 never has to take the second."""
    overrides = _mixed(group).get("Overrides") or [{}]
    return overrides[0].get("InstanceType") or template.get("InstanceType") or "m1.small"


def of(group: dict, template: dict, on_demand: int, number: int) -> str:
    """The market of an instance, where the group has `number` others and `on_demand` of them are on demand."""
    if not is_mixed(group):
        return SPOT if (template.get("InstanceMarketOptions") or {}).get("MarketType") == SPOT else ON_DEMAND
    distribution = group["MixedInstancesPolicy"].get("InstancesDistribution") or {}
    base = int(distribution.get("OnDemandBaseCapacity", 0))
    share = float(distribution.get("OnDemandPercentageAboveBaseCapacity", 100)) / 100
    wanted = min(number + 1, base) + math.ceil(max(0, number + 1 - base) * share)
    return ON_DEMAND if on_demand < wanted else SPOT


def price(group: dict, template: dict) -> str:
    """The most that is paid for spot, as it was written; the on-demand price is not known here."""
    options = ((template.get("InstanceMarketOptions") or {}).get("SpotOptions") or {})
    distribution = (group.get("MixedInstancesPolicy") or {}).get("InstancesDistribution") or {}
    return str(distribution.get("SpotMaxPrice") or options.get("MaxPrice") or "0.001")
