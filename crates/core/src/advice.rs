//! What to do about a cause, by AWS's known sentences and error codes: one table, and nothing is guessed from a single word.
//!
//! "Try again" is said of what can pass by itself, and of nothing else. Sentences come before codes, for a sentence says more;
//! what is in no row is the administrator's. `tests/advice.rs` tries each row with words that AWS was seen to say.

use std::sync::LazyLock;

use regex_lite::{Captures, Regex};

use crate::causes::Cause;
use crate::message::Advice;
use crate::template::Template;

/// What AWS's words mean to the one who reads them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureKind {
    /// A node's own set-up failed, or took too long. Its words are its scripts', not AWS's.
    NodeSetup,
    /// A custom resource's own words, which are not AWS's either.
    Custom,
    /// No machine of this kind is free at the moment.
    NoCapacity,
    /// The zone never has this type.
    TypeNotInZone,
    /// No such type here.
    NoSuchType,
    /// A disk is smaller than its image.
    DiskTooSmall,
    /// The subnet has no addresses left.
    NoAddresses,
    /// The quota of spot machines is used up; a price changes nothing.
    SpotQuota,
    /// The price offered is below the market's. The only one with advice on prices.
    SpotPrice,
    /// The quota of vCPUs, which may be 0.
    MachineQuota,
    /// The account lacks a service-linked role.
    ServiceRole,
    /// The image is not there, or not for this account.
    Image,
    /// A hook of the organisation forbids it.
    Hook,
    /// The key that encrypts the disks cannot be used.
    Key,
    /// A right is missing.
    Right,
    /// The nodes' role is so new that not all of AWS knows it.
    RoleTooNew,
    /// AWS is still verifying the account.
    Verification,
    /// Another quota of the account.
    Quota,
    /// Too many calls at once.
    Throttled,
    /// AWS's own fault.
    Internal,
    /// Something of this name is there already.
    Exists,
    /// None of these.
    Unknown,
}

use FailureKind as S;

/// A situation, the sentences that report it, and the codes.
struct KnownFailure(FailureKind, &'static [&'static str], &'static [&'static str]);

/// Sources: the error codes of EC2 (API reference, "Error codes"), of resource handlers (CloudFormation CLI user guide,
/// `resource-type-test-contract-errors`), instance launch failures (Auto Scaling user guide); where each sentence was seen
/// stands beside it in `tests/advice.rs`.
const TABLE: &[KnownFailure] = &[
    KnownFailure(
        S::NodeSetup,
        &[
            r"^WaitCondition (?:received failed message|timed out)",
            r"^Unparsable WaitCondition data",
            r"^Received FAILURE signal with UniqueId",
            r"^Failed to receive \d+ resource signal\(s\)",
            r"^Received \d+ SUCCESS signal\(s\) out of \d+",
            r"^Stack creation time exceeded the specified timeout",
        ],
        &[],
    ),
    KnownFailure(S::Custom, &[r"^Received response status \[FAILED\] from custom resource", r"^CustomResource attribute error"], &[]),
    KnownFailure(
        S::NoCapacity,
        &[
            r"We currently do not have sufficient (?:\S+ )?capacity\b",
            r"There is no (?:Spot )?capacity available that matches your request",
            r"there is no more unused capacity available in this pool",
            r"Unable to fulfill capacity due to your request configuration",
        ],
        &["InsufficientInstanceCapacity", "InsufficientHostCapacity", "InsufficientCapacity", "UnfulfillableCapacity"],
    ),
    KnownFailure(
        S::TypeNotInZone,
        &[
            r"requested instance type \([^)]{1,40}\) (?:is )?not supported in your requested Availability Zone",
            r"The requested configuration is currently not supported",
        ],
        &["Unsupported"],
    ),
    KnownFailure(
        S::NoSuchType,
        &[r"Invalid value '[^']{1,80}' for InstanceType", r"The following supplied instance types do not exist"],
        &[],
    ),
    KnownFailure(S::DiskTooSmall, &[r"Volume of size \d+ ?GB is smaller than +snapshot '[^']{1,60}', expect size ?>= ?(\d{1,6}) ?GB"], &[]),
    KnownFailure(
        S::NoAddresses,
        &[r"not (?:have )?enough free addresses", r"Insufficient Free IP Addresses in subnet", r"aren't sufficient free Ipv4 addresses"],
        &["InsufficientFreeAddressesInSubnet", "InsufficientCidrBlocks"],
    ),
    KnownFailure(S::SpotQuota, &[r"Max spot instance count exceeded"], &["MaxSpotInstanceCountExceeded"]),
    KnownFailure(
        S::SpotPrice,
        &[r"Spot request price of \$?[\d.]+ is lower than the minimum required Spot request fulfillment price of \$?(\d+(?:\.\d+)?)"],
        &["SpotMaxPriceTooLow"],
    ),
    KnownFailure(
        S::MachineQuota,
        &[
            r"requested more vCPU capacity than your current vCPU limit of (\d+) allows",
            r"requested more instances \(\d+\) than your current instance limit of (\d+) allows",
            r"Your quota allows for (\d+) more running instance",
        ],
        &["VcpuLimitExceeded", "InstanceLimitExceeded"],
    ),
    KnownFailure(
        S::ServiceRole,
        &[r"not have permission to create the service-linked role"],
        &["AuthFailure.ServiceLinkedRoleCreationNotPermitted"],
    ),
    KnownFailure(
        S::Image,
        &[
            r"image id '?\[?ami-[^']{0,40}'? does not exist",
            r"ImageId ami-\S+ does not exist",
            r"Not authorized for images: \[",
            r"In order to use this AWS Marketplace product",
        ],
        &["InvalidAMIID.NotFound", "InvalidAMIID.Malformed", "InvalidAMIID.Unavailable", "OptInRequired"],
    ),
    KnownFailure(S::Hook, &[r"The following hook\(s\) failed", r"^Hook failed with message"], &["NonCompliant"]),
    KnownFailure(
        S::Key,
        &[r"encrypted with an inaccessible AWS KMS key", r"The KMS key provided is in an incorrect state"],
        // EC2 gives this where the instance's launcher may not use the key (kubernetes/kops#11545).
        &["Client.InternalError", "Client.InvalidKMSKey.InvalidState"],
    ),
    KnownFailure(
        S::Right,
        &[
            r"not authorized to perform this operation",
            r"is not authorized to perform: [a-z0-9-]+:[A-Za-z]+",
            r"Encoded authorization failure message",
        ],
        &["AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "InvalidCredentials", "UnauthorizedTaggingOperation"],
    ),
    KnownFailure(
        S::RoleTooNew,
        &[r"for parameter iamInstanceProfile\.(?:name|arn) is invalid", r"Role \S+ is invalid or cannot be assumed"],
        &[],
    ),
    KnownFailure(S::Verification, &[r"request for accessing resources in this region is being validated"], &["PendingVerification"]),
    KnownFailure(
        S::Quota,
        &[
            r"The maximum number of [A-Za-z -]{2,60} has been reached",
            r"You have exceeded your maximum [a-z0-9]+ storage limit",
            r"Limit for stacks? has been exceeded",
        ],
        &[
            "VpcLimitExceeded",
            "AddressLimitExceeded",
            "VolumeLimitExceeded",
            "MaxIOPSLimitExceeded",
            "SecurityGroupLimitExceeded",
            "NetworkInterfaceLimitExceeded",
            "ResourceLimitExceeded",
            "ServiceLimitExceeded",
            "LimitExceeded",
            "LimitExceededException",
        ],
    ),
    KnownFailure(
        S::Throttled,
        &[r"(?:^|\W)Rate exceeded", r"(?:^|\W)Request limit exceeded"],
        &["Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException"],
    ),
    KnownFailure(
        S::Internal,
        &[r"^Internal (?:Failure|error)\b"],
        &[
            "Server.InternalError",
            "ServiceInternalError",
            "InternalFailure",
            "HandlerInternalFailure",
            "InternalError",
            "NetworkFailure",
            "ServiceUnavailable",
        ],
    ),
    KnownFailure(S::Exists, &[], &["AlreadyExists", "AlreadyExistsException"]),
];

fn pattern(text: &str) -> Regex {
    Regex::new(&format!("(?i){text}")).expect("each pattern is tried by its test")
}

static SENTENCES: LazyLock<Vec<(FailureKind, Regex)>> = LazyLock::new(|| {
    TABLE.iter().flat_map(|KnownFailure(situation, says, _)| says.iter().map(|text| (*situation, pattern(text)))).collect()
});

/// Where codes stand: `(…, HandlerErrorCode: X)`, `(…; Error Code: X; …)`, an instance's `Client.X: …`, an activity's `X - …`.
static CODES: LazyLock<Regex> = LazyLock::new(|| {
    let all = r"(?:HandlerErrorCode|Error Code): ?([A-Za-z.]+)|\b((?:Client|Server)\.[A-Za-z.]+)|(?:^|\. )([A-Z][a-z]+[A-Z.][A-Za-z.]+)(?:: | - )";
    Regex::new(all).expect("it is tried by the tests")
});

/// Availability zones by name.
static ZONES: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b[a-z]{2}(?:-[a-z]+)+-\d[a-z]\b").expect("it is tried by the tests"));

/// Which of the template's disks a user may set, by the resource that bears it: [`FailureKind::DiskTooSmall`] names the parameter.
pub const DISKS: [(&str, &str); 1] = [("LoginNode", "MasterSystemVolumeSize")];

const SPOT_PRICE: &str = "ComputeSpotPrice";

impl FailureKind {
    /// The situation that AWS's words report.
    pub fn of(reason: &str) -> Self {
        Self::read(reason).0
    }

    fn read(reason: &str) -> (Self, Option<Captures<'_>>) {
        let said = SENTENCES.iter().find_map(|(situation, says)| says.captures(reason).map(|found| (*situation, Some(found))));
        said.unwrap_or_else(|| {
            let codes: Vec<&str> =
                CODES.captures_iter(reason).flat_map(|c| (1..=3).filter_map(move |n| c.get(n)).map(|m| m.as_str())).collect();
            let is_one =
                |code: &&str| codes.iter().any(|c| c == code || c.trim_start_matches("Client.").trim_start_matches("Server.") == *code);
            let row = TABLE.iter().find(|KnownFailure(_, _, of)| of.iter().any(is_one));
            (row.map_or(Self::Unknown, |KnownFailure(situation, ..)| *situation), None)
        })
    }

    /// Whether it may pass by itself.
    pub const fn can_pass(self) -> bool {
        matches!(self, S::NoCapacity | S::RoleTooNew | S::Verification | S::Throttled | S::Internal)
    }
}

/// What its user is to do about a cause.
pub fn advice(cause: &Cause, template: &Template) -> Advice {
    advice_on(&cause.logical, &cause.reason, template)
}

/// The same by the resource's name and AWS's words.
pub fn advice_on(logical: &str, reason: &str, template: &Template) -> Advice {
    let (situation, found) = FailureKind::read(reason);
    let number = found.and_then(|found| found.get(1)).map(|n| n.as_str());
    match situation {
        S::NodeSetup => Advice::CheckScripts,
        S::NoCapacity => Advice::TryLater { zones: others(reason) },
        S::TypeNotInZone => Advice::AnotherType { zones: others(reason) },
        S::NoSuchType => Advice::UnknownType,
        S::DiskTooSmall => disk(logical, number.unwrap_or_default(), template),
        S::NoAddresses => Advice::NoAddresses,
        S::SpotQuota => Advice::SpotQuota { may_ask_on_demand: template.is_users(SPOT_PRICE) },
        S::SpotPrice => price(number, template),
        S::MachineQuota if number == Some("0") => Advice::NoMachinesOfKind,
        S::MachineQuota => Advice::FewerNodes,
        S::ServiceRole => Advice::ServiceRole,
        S::Image => Advice::Image,
        S::Hook => Advice::Hook,
        S::Key => Advice::Key,
        S::Right => Advice::Right,
        S::RoleTooNew => Advice::RoleTooNew,
        S::Verification => Advice::Verification,
        S::Quota => Advice::Quota,
        S::Throttled => Advice::Throttled,
        S::Internal => Advice::Internal,
        S::Exists => Advice::Exists,
        S::Custom | S::Unknown => Advice::TellAdministrator,
    }
}

/// The zones that AWS names as the ones to take instead.
fn others(reason: &str) -> Vec<String> {
    let Some((_, named)) = reason.split_once(" or choosing ") else { return Vec::new() };
    ZONES.find_iter(named).map(|zone| zone.as_str().to_owned()).take(8).collect()
}

fn disk(logical: &str, least: &str, template: &Template) -> Advice {
    let parameter = DISKS.iter().find(|(resource, _)| *resource == logical).map(|(_, parameter)| *parameter);
    let takes = |name: &&str| template.is_users(name) && template.parameters.get(*name).is_some_and(|p| p.check(name, least).is_none());
    match parameter.filter(takes) {
        Some(parameter) => Advice::LargerDisk { parameter, least: least.to_owned() },
        None => Advice::LargerDiskOfSite { least: least.to_owned() },
    }
}

fn price(least: Option<&str>, template: &Template) -> Advice {
    let takes = |price: &&str| template.parameters.get(SPOT_PRICE).is_some_and(|p| p.check(SPOT_PRICE, price).is_none());
    Advice::HigherPrice { least: least.filter(takes).filter(|_| template.is_users(SPOT_PRICE)).map(str::to_owned) }
}
