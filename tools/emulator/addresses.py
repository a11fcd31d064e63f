"""Private addresses of instances: of their subnet, as on AWS; MiniStack draws any. A test bed gives its nodes the same ones."""

import ipaddress

# The network's own, the router, the name server, one kept for later (VPC user guide, "Subnet CIDR blocks"); the last is the broadcast.
RESERVED = 4
_last: dict[str, int] = {}  # subnet -> the offset that was given last


def free(subnet_id: str) -> str | None:
    """The next one after the last that was given, so that one is not soon another machine's; none where the subnet is not known."""
    from ministack.services import ec2

    subnet = ec2._subnets.get(subnet_id)
    if subnet is None:
        return None
    network = ipaddress.ip_network(subnet["CidrBlock"])
    taken = {instance["PrivateIpAddress"] for instance in ec2._instances.values() if instance["State"]["Name"] != "terminated"}
    room = network.num_addresses - RESERVED - 1
    begin = _last.get(subnet_id, RESERVED - 1) - RESERVED + 1
    for step in range(room):
        offset = RESERVED + (begin + step) % room
        if str(network[offset]) not in taken:
            _last[subnet_id] = offset
            return str(network[offset])
    raise ValueError(f"There are not enough free addresses in subnet '{subnet_id}' to satisfy the requested number of instances. "
                     "(Service: Ec2, Status Code: 400)")
