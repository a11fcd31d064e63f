"""Why a launch fails, in the words of Auto Scaling's activities (StatusMessage).

A group with a launch template passes on what EC2 says; one with a mixed instances policy puts the market and EC2's code before it
(kubernetes/autoscaler#3241 has both forms of the same refusal). Sources of the words stand beside them.
"""

END = " Launching EC2 instance failed."
SPOT, ON_DEMAND = "spot", "on-demand"

# deed of a fault -> market -> (EC2's code, EC2's words)
REFUSALS = {
    "no-capacity": {
        # aws/aws-parallelcluster#1944, cortexlabs/cortex#1258
        SPOT: ("InsufficientInstanceCapacity", "There is no Spot capacity available that matches your request."),
        # ITISFoundation/osparc-simcore#3629
        ON_DEMAND: ("InsufficientInstanceCapacity", (
            "We currently do not have sufficient {type} capacity in the Availability Zone you requested ({zone}). Our system will be "
            "working on provisioning additional capacity. You can currently get {type} capacity by not specifying an Availability Zone "
            "in your request or choosing {others}.")),
    },
    "unfulfillable": {
        # repost.aws knowledge centre, Spot managed node groups of EKS
        SPOT: ("UnfulfillableCapacity", (
            "Unable to fulfill capacity due to your request configuration. Please adjust your request and try again.")),
    },
    "quota": {
        # aws-deepracer-community/deepracer-on-the-spot#55
        SPOT: ("MaxSpotInstanceCountExceeded", "Max spot instance count exceeded."),
        # health issues of EKS node groups, as public code records them
        ON_DEMAND: ("VcpuLimitExceeded", (
            "You have requested more vCPU capacity than your current vCPU limit of {limit} allows for the instance bucket that the "
            "specified instance type belongs to. Please visit http://aws.amazon.com/contact-us/ec2-request to request an adjustment "
            "to this limit.")),
    },
    "price": {
        # AWS CLI reference, autoscaling describe-scaling-activities; Auto Scaling user guide, "Troubleshoot: EC2 instance launch failures"
        SPOT: ("SpotMaxPriceTooLow", (
            "Your Spot request price of {price} is lower than the minimum required Spot request fulfillment price of {least}.")),
    },
    "not-offered": {
        # Auto Scaling user guide, same page; the code with a mixed policy is from memory.
        market: ("Unsupported", (
            "Your requested instance type ({type}) is not supported in your requested Availability Zone ({zone}). Please retry your "
            "request by not specifying an Availability Zone or choosing {others}."))
        for market in (SPOT, ON_DEMAND)
    },
}

# Of an instance that EC2 took and that ended before it was in service, as with a key of EBS that may not be used: Auto Scaling user guide,
# same page ("Client.InternalError"), and what CloudFormation repeats of it ("Instance became unhealthy while waiting ...").
DIED = ("Instance became unhealthy while waiting for instance to be in InService state. Termination Reason: "
        "Client.InternalError: Client error on launch")


def of_fault(fault, market: str, mixed: bool, **facts: str) -> str:
    """`facts`: type, zone and price of what is asked for. The fault may say `least`, `limit`, or all of it as `reason`."""
    if "reason" in fault.order:
        return fault["reason"]
    code, text = REFUSALS[fault["do"]][market]
    zone = facts["zone"]
    others = ", ".join(zone[:-1] + letter for letter in "abc" if letter != zone[-1])
    return of_ec2(text.format(others=others, least=fault.get("least", "0.0436"), limit=fault.get("limit", 0), **facts),
                  market, mixed, code)


def of_ec2(text: str, market: str, mixed: bool, code: str = "InvalidParameterValue") -> str:
    """EC2's words as the group repeats them."""
    text = text.rstrip(".") + "."
    return (f"Could not launch {'Spot' if market == SPOT else 'On-Demand'} Instances. {code} - {text}" if mixed else text) + END
