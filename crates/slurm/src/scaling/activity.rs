//! Why Auto Scaling could not launch: what the words of a scaling activity mean.
//!
//! An activity has no field for EC2's error code. Its StatusMessage holds the code in one of two ways, or not at all (none of this is
//! promised; unknown words are [`Trouble::Refused`] and are shown as they are):
//!
//! - groups over launch templates: `Could not launch Spot Instances. UnfulfillableCapacity - Unable to fulfill capacity due to your
//!   request configuration. … Launching EC2 instance failed.` and `Could not launch On-Demand Instances. VcpuLimitExceeded - You have
//!   requested more vCPU capacity than your current vCPU limit of 8 allows …` (as reported in kubernetes/autoscaler#3241,
//!   buildkite/elastic-ci-stack-for-aws#851, and by EKS as `AsgInstanceLaunchFailures`);
//! - the sentence alone, as Auto Scaling's user guide lists them ("Troubleshoot: instance launch failure"): `We currently do not have
//!   sufficient c5.xlarge capacity in the Availability Zone you requested (…)`, `There is no Spot capacity available that matches your
//!   request.`, `Your Spot request price of 0.015 is lower than the minimum required Spot request fulfillment price of 0.0735…`, `Your
//!   requested instance type (…) is not supported in your requested Availability Zone (…)`, `The requested configuration is currently
//!   not supported.`; `Max spot instance count exceeded.` (aws-parallelcluster#340), `You have requested more instances (7) than your
//!   current instance limit of 6 allows …` (kubernetes/autoscaler#1263).
//!
//! The codes are those at which ParallelCluster takes another type at once (`EC2_ICE_ERROR_CODES` in aws-parallelcluster-node's
//! `slurm_resources.py`).

use serde::{Deserialize, Serialize};

/// Why a wanted node has no machine that works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, strum::VariantArray)]
#[serde(rename_all = "kebab-case")]
pub enum Trouble {
    /// EC2 has no machine of the type to give.
    NoCapacity,
    /// The account may not have more of them.
    Quota,
    /// The spot price is above the limit.
    PriceTooLow,
    /// The zone has no such type, or not with what is asked of it.
    NotInZone,
    /// EC2 refused for another reason.
    Refused,
    /// No launch was tried, and none failed.
    NotLaunched,
    /// A machine came and never asked which node it is.
    NeverAsked,
    /// A node had its name and never registered with Slurm.
    NeverRegistered,
}

/// Codes and words, each with what it means. The first that a message holds counts; all are compared in small letters.
const MEANINGS: [(&str, Trouble); 17] = [
    ("insufficientinstancecapacity", Trouble::NoCapacity),
    ("insufficienthostcapacity", Trouble::NoCapacity),
    ("insufficientreservedinstancecapacity", Trouble::NoCapacity),
    ("insufficientcapacity", Trouble::NoCapacity),
    ("unfulfillablecapacity", Trouble::NoCapacity),
    ("spotmaxpricetoolow", Trouble::PriceTooLow),
    ("maxspotinstancecountexceeded", Trouble::Quota),
    ("vcpulimitexceeded", Trouble::Quota),
    ("instancelimitexceeded", Trouble::Quota),
    ("lower than the minimum required spot request", Trouble::PriceTooLow),
    ("max spot instance count exceeded", Trouble::Quota),
    ("limit of ", Trouble::Quota),
    ("your quota for", Trouble::Quota),
    ("is not supported in your requested availability zone", Trouble::NotInZone),
    ("currently not supported", Trouble::NotInZone),
    ("we currently do not have sufficient", Trouble::NoCapacity),
    ("no spot capacity available", Trouble::NoCapacity),
];

/// What the StatusMessage of a failed launch means.
pub fn classify(message: &str) -> Trouble {
    let small = message.to_ascii_lowercase();
    let known = MEANINGS.iter().find(|(words, _)| small.contains(words)).map(|(_, trouble)| *trouble);
    // The code `Unsupported` is a word of many sentences: it counts only as a code.
    known.unwrap_or(if small.contains("unsupported - ") { Trouble::NotInZone } else { Trouble::Refused })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_the_field_mean_what_they_say() {
        for (message, trouble) in [
            (
                "Could not launch Spot Instances. InsufficientInstanceCapacity - There is no Spot capacity available that matches your \
                 request. Launching EC2 instance failed.",
                Trouble::NoCapacity,
            ),
            (
                "Could not launch Spot Instances. UnfulfillableCapacity - Unable to fulfill capacity due to your request configuration. \
                 Please adjust your request and try again. Launching EC2 instance failed.",
                Trouble::NoCapacity,
            ),
            (
                "We currently do not have sufficient t3.xlarge capacity in the Availability Zone you requested (us-west-1c). Our system \
                 will be working on provisioning additional capacity. You can currently get t3.xlarge capacity by not specifying an \
                 Availability Zone in your request or choosing us-west-1a. Launching EC2 instance failed.",
                Trouble::NoCapacity,
            ),
            ("There is no Spot capacity available that matches your request. Launching EC2 instance failed.", Trouble::NoCapacity),
            (
                "Could not launch On-Demand Instances. VcpuLimitExceeded - You have requested more vCPU capacity than your current vCPU \
                 limit of 8 allows for the instance bucket that the specified instance type belongs to. Please visit \
                 http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit. Launching EC2 instance failed.",
                Trouble::Quota,
            ),
            ("Max spot instance count exceeded. Launching EC2 instance failed.", Trouble::Quota),
            ("Could not launch Spot Instances. MaxSpotInstanceCountExceeded - Max spot instance count exceeded.", Trouble::Quota),
            (
                "You have requested more instances (7) than your current instance limit of 6 allows for the specified instance type.",
                Trouble::Quota,
            ),
            (
                "Your Spot request price of 0.001 is lower than the minimum required Spot request fulfillment price of 0.0031. Launching \
                 EC2 instance failed.",
                Trouble::PriceTooLow,
            ),
            (
                "Your requested instance type (m5.large) is not supported in your requested Availability Zone (us-east-1e). Please retry \
                 your request by not specifying an Availability Zone or choosing us-east-1a. Launching EC2 instance failed.",
                Trouble::NotInZone,
            ),
            (
                "The requested configuration is currently not supported. Please check the documentation for supported configurations. \
                 Launching EC2 instance failed.",
                Trouble::NotInZone,
            ),
            (
                "Could not launch On-Demand Instances. Unsupported - The instance configuration for this AMI is not for sale.",
                Trouble::NotInZone,
            ),
            ("Client.InternalError: Client error on launch.", Trouble::Refused),
            ("This account is currently blocked and not recognized as a valid account. Launching EC2 instance failed.", Trouble::Refused),
            ("An unsupported - or so they say - thing", Trouble::NotInZone),
            ("", Trouble::Refused),
        ] {
            assert_eq!(classify(message), trouble, "{message}");
        }
    }
}
