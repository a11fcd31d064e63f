//! What people are told to do, by words that AWS was seen to say. Beside each stands where: an issue at GitHub by repository and
//! number, or AWS's documents. Account numbers and ids are as they were published there, or made up.

use cf_core::advice::{DISKS, FailureKind as S, advice_on};
use cf_core::message::Advice;
use cf_core::template::{DEFAULT_TEXT, default_template};

const SAID: &[(&str, &str, S)] = &[
    (
        "red-hat-storage/ocs-ci#9263",
        "Resource handler returned message: \"We currently do not have sufficient m6i.xlarge capacity in the Availability Zone you requested (us-east-2a). Our system will be working on provisioning additional capacity. You can currently get m6i.xlarge capacity by not specifying an Availability Zone in your request or choosing us-east-2b, us-east-2c. (Service: Ec2, Status Code: 500, Request ID: 889de2c1)\" (RequestToken: 1, HandlerErrorCode: GeneralServiceException)",
        S::NoCapacity,
    ),
    (
        "fedora-copr/copr#3279",
        "We currently do not have sufficient c7i.8xlarge capacity in zones with support for 'gp3' volumes. Our system will be working on provisioning additional capacity.",
        S::NoCapacity,
    ),
    (
        "mludvig/aws-ethereum-miner#23",
        "Could not launch Spot Instances. UnfulfillableCapacity - Unable to fulfill capacity due to your request configuration. Please adjust your request and try again. Launching EC2 instance failed.",
        S::NoCapacity,
    ),
    (
        "AlexsLemonade/refinebio#528",
        "capacity-oversubscribed: Your Spot request was not fulfilled as there is no more unused capacity available in this pool. You can currently get capacity by not specifying an Availability Zone in your request or choosing other instance types.",
        S::NoCapacity,
    ),
    (
        "cloudformation-resource-providers-awsutilities-commandrunner#37",
        "Your requested instance type (t3.micro) is not supported in your requested Availability Zone (us-east-1e). Please retry your request by not specifying an Availability Zone or choosing us-east-1a, us-east-1b, us-east-1c, us-east-1d, us-east-1f. (Service: AmazonEC2; Status Code: 400; Error Code: Unsupported; Request ID: removed; Proxy: null)",
        S::TypeNotInZone,
    ),
    (
        "mludvig/aws-ethereum-miner#23",
        "Could not launch Spot Instances. InvalidFleetConfiguration - Your requested instance type (p3.8xlarge) is not supported in your requested Availability Zone (us-east-2c). Launching EC2 instance failed.",
        S::TypeNotInZone,
    ),
    (
        "trailofbits/algo#1285",
        "The requested configuration is currently not supported. Please check the documentation for supported configurations. (Service: AmazonEC2; Status Code: 400; Error Code: Unsupported; Request ID: 96718e93-34cf-47f2-8daf-5332298e37ab)",
        S::TypeNotInZone,
    ),
    (
        "zalando-incubator/kubernetes-on-aws#3817",
        "You must use a valid fully-formed launch template. Volume of size 30GB is smaller than snapshot 'snap-0194da2e1369f5937', expect size >= 50GB (Service: AmazonAutoScaling; Status Code: 400; Error Code: ValidationError; Request ID: 560d3ecc-bcd0-4130-8185-b4a1c739a8ff; Proxy: null)",
        S::DiskTooSmall,
    ),
    (
        "scylladb/scylladb#6999",
        "Volume of size 15GB is smaller than  snapshot 'snap-09e0f802c68b958b7', expect size >= 30GB",
        S::DiskTooSmall,
    ),
    (
        "aws-samples/amazon-autoscaling-mac1metal-ec2-with-terraform#6",
        "You must use a valid fully-formed launch template. Volume of size 60GB is smaller than snapshot 'snap-047606f0d8ce8069d', expect size>= 100GB",
        S::DiskTooSmall,
    ),
    (
        "PrairieLearn/PrairieLearn#3271",
        "There are not enough free addresses in subnet 'subnet-66d3dd2c' to satisfy the requested number of instances. Launching EC2 instance failed.",
        S::NoAddresses,
    ),
    (
        "aws/amazon-vpc-cni-k8s#1773",
        "InsufficientFreeAddressesInSubnet: The specified subnet does not have enough free addresses to satisfy the request.",
        S::NoAddresses,
    ),
    ("AviatrixSystems/Docs#282", "Insufficient Free IP Addresses in subnet.", S::NoAddresses),
    (
        "spotty-cloud/spotty#101",
        "Max spot instance count exceeded (Service: AmazonEC2; Status Code: 400; Error Code: MaxSpotInstanceCountExceeded; Request ID: 6d512814-7adb-433d-84c6-c91dfab2e69c; Proxy: null)",
        S::SpotQuota,
    ),
    ("aws/aws-parallelcluster#340", "Max spot instance count exceeded. Placing Spot instance request failed.", S::SpotQuota),
    (
        "aws/aws-parallelcluster-node#415",
        "SpotMaxPriceTooLow: Your Spot request price of 0.001 is lower than the minimum required Spot request fulfillment price of 0.0374.",
        S::SpotPrice,
    ),
    (
        "hashicorp/packer#7808",
        "price-too-low: Your Spot request price of 0.1294 is lower than the minimum required Spot request fulfillment price of 0.148.",
        S::SpotPrice,
    ),
    (
        "scrapoxy/scrapoxy#202",
        "You have requested more vCPU capacity than your current vCPU limit of 32 allows for the instance bucket that the specified instance type belongs to. Please visit http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit.",
        S::MachineQuota,
    ),
    (
        "an account without GPUs (many READMEs of g4dn users)",
        "You have requested more vCPU capacity than your current vCPU limit of 0 allows for the instance bucket that the specified instance type belongs to. Please visit http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit. (Service: AmazonEC2; Status Code: 400; Error Code: VcpuLimitExceeded; Request ID: 1)",
        S::MachineQuota,
    ),
    (
        "widdix/aws-s3-virusscan#55",
        "You have requested more instances (1) than your current instance limit of 0 allows for the specified instance type. Please visit http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit. Launching EC2 instance failed.",
        S::MachineQuota,
    ),
    (
        "trailofbits/algo#14369",
        "API: ec2:DeleteRoute You are not authorized to perform this operation. Encoded authorization failure message: ZCyj9c9CjLY9TKMxeP1P1XN4rntH0HpMNA5QJW3LsznUNh7zjzEA8-XsvINqwuROpJPa00Wm4YM47ENxtiPlIsWSsHo0lK2VGNs2_yhe",
        S::Right,
    ),
    (
        "aws-samples/well-architected-iac-analyzer#108",
        "User: arn:aws:sts::111111111111:assumed-role/stack-EC2Role/i-0a is not authorized to perform: iam:UpdateAssumeRolePolicy on resource: role x because no identity-based policy allows the iam:UpdateAssumeRolePolicy action",
        S::Right,
    ),
    ("aws/aws-cdk#21674", "The following hook(s) failed: [Example::CFNHook::Full]", S::Hook),
    (
        "aws/aws-cdk-cli#1198",
        "Hook failed with message: Template failed validation, the following rule(s) failed: AWS_S3_Bucket_AccessControl. Full output was written to s3://test-guard-logs-bucket/1.json",
        S::Hook,
    ),
    (
        "nextflow-io/nextflow#617",
        "Value (my-IAMRole) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name (Service: AmazonEC2; Status Code: 400; Error Code: InvalidParameterValue; Request ID: 1)",
        S::RoleTooNew,
    ),
    ("aws-amplify/amplify-backend#2325", "Role arn:aws:iam::123456789012:role/x is invalid or cannot be assumed", S::RoleTooNew),
    (
        "awslabs/landing-zone-accelerator-on-aws#241",
        "Resource handler returned message: \"The maximum number of VPCs has been reached. (Service: Ec2, Status Code: 400, Request ID: 5ce9e2b3)\" (RequestToken: 79d65bb7, HandlerErrorCode: GeneralServiceException)",
        S::Quota,
    ),
    (
        "radius-project/samples#711",
        "Resource handler returned message: \"The maximum number of addresses has been reached. (Service: Ec2, Status Code: 400, Request ID: 6b8cf3d3)\" (RequestToken: 5f2495db, HandlerErrorCode: GeneralServiceException)",
        S::Quota,
    ),
    (
        "EC2's state reasons (API reference, StateReason)",
        "Instance i-0a failed to stabilize. Current state: shutting-down. Reason: Client.VolumeLimitExceeded: Volume limit exceeded",
        S::Quota,
    ),
    ("serverless/serverless#149", "LimitExceededException: Limit for stacks has been exceeded", S::Quota),
    (
        "aws-samples/aws-service-catalog-reference-architectures#103",
        "Instance i-002063fcc56a1fa19 failed to stabilize. Current state: shutting-down. Reason: Client.InternalError: Client error on launch ",
        S::Key,
    ),
    ("aws/aws-cdk#34491", "One or more of the attached Amazon EBS volumes are encrypted with an inaccessible AWS KMS key", S::Key),
    ("OpenVidu and others", "WaitCondition timed out. Received 0 conditions when expecting 1", S::NodeSetup),
    (
        "sebdah/dynamic-dynamodb#248",
        "WaitCondition received failed message: 'Failed to start dynamic-dynamodb service. Check /etc/dynamic-dynamodb/logs/service.log' for uniqueId: i-e4d4911b",
        S::NodeSetup,
    ),
    ("aws/aws-parallelcluster#2105", "Failed to receive 1 resource signal(s) within the specified duration", S::NodeSetup),
    ("openemr/openemr-devops#187", "Received FAILURE signal with UniqueId i-0123456789abcdef0", S::NodeSetup),
    (
        "aws/aws-parallelcluster#198",
        "Received 0 SUCCESS signal(s) out of 2.  Unable to satisfy 100% MinSuccessfulInstancesPercent requirement",
        S::NodeSetup,
    ),
    (
        "F5Networks/f5-aws-cloudformation-v2#64",
        "Resource handler returned message: \"The image id '[ami-05145bc4cc62a2a9a]' does not exist (Service: Ec2, Status Code: 400, Request ID: 1bfe0733) (SDK Attempt Count: 1)\" (RequestToken: 41202e6c, HandlerErrorCode: InvalidRequest)",
        S::Image,
    ),
    (
        "doccano/doccano#190",
        "The image id '[ami-0ac019f4fcb7cb7e6]' does not exist (Service: AmazonEC2; Status Code: 400; Error Code: InvalidAMIID.NotFound; Request ID: 5310f864)",
        S::Image,
    ),
    (
        "aws-samples/amazon-s3-datalake-handson#10",
        "Resource handler returned message: \"Not authorized for images: [ami-08c23a10b77e0835b] (Service: Ec2, Status Code: 400, Request ID: 24cdd7bc)\" (RequestToken: 8d7a7b58, HandlerErrorCode: InvalidRequest)",
        S::Image,
    ),
    (
        "cloudfoundry/bosh-aws-cpi-release#61",
        "Request limit exceeded. (Service: AmazonEC2; Status Code: 503; Error Code: RequestLimitExceeded; Request ID: 7fd6cf20-2880-4845-a2f5-3fa30583767f)",
        S::Throttled,
    ),
    (
        "aws/aws-cdk#9882",
        "Rate exceeded for operation 'Rate exceeded (Service: Lambda, Status Code: 429, Request ID: 2d5768a1, Extended Request ID: null)'.",
        S::Throttled,
    ),
    (
        "CloudSnorkel/cdk-github-runners#182",
        "The provided credentials do not have permission to create the service-linked role for EC2 Spot Instances. (Service: Ec2, Status Code: 403, Request ID: 0ed21094)",
        S::ServiceRole,
    ),
    ("aws-cloudformation/cloudformation-coverage-roadmap#607", "Internal Failure", S::Internal),
    ("jtriley/StarCluster#288", "State Transition Reason: Server.InternalError: Internal error on launch", S::Internal),
    (
        "resource handlers' code alone (resource-type-test-contract-errors)",
        "Resource handler returned message: \"null\" (RequestToken: 1, HandlerErrorCode: Throttling)",
        S::Throttled,
    ),
    ("the same", "Resource handler returned message: \"null\" (RequestToken: 1, HandlerErrorCode: ServiceLimitExceeded)", S::Quota),
    ("the same", "Resource handler returned message: \"null\" (RequestToken: 1, HandlerErrorCode: NonCompliant)", S::Hook),
    ("cloudformation-coverage-roadmap#2515", "Resource handler returned message: \"null\" (HandlerErrorCode: AlreadyExists)", S::Exists),
];

/// No sentence of AWS's: single words in them once led to advice that was wrong.
const OTHERS_SAID: &[&str] = &[
    "Licence server: checkout was cancelled by the vendor daemon (code 7)",
    "The tenant despot-lab is not entitled to this product",
    "A designal of the mount failed: signal lost on port 7",
    "Disk quota exceeded on /home/alice",
    "spot on: the parameter Spot is not spotless",
    "The vCPU capacity of the licence is a maximum number of seats",
    "Internal consistency check of the vendor's image failed",
    "limitExceeded is not a code of AWS's here",
    "HandlerErrorCode: GeneralServiceException",
    "Resource handler returned message: \"Model validation failed\" (RequestToken: 1, HandlerErrorCode: InvalidRequest)",
    "",
    "\u{1b}[31m\u{0}\u{fffd}",
];

fn told(logical: &str, reason: &str) -> Advice {
    advice_on(logical, reason, default_template())
}

#[test]
fn each_known_sentence_is_read_as_what_it_says() {
    for (source, reason, situation) in SAID {
        assert_eq!(S::of(reason), *situation, "{source}: {reason}");
        assert_ne!(told("LoginNode", reason), Advice::TellAdministrator, "{reason}");
    }
}

#[test]
fn every_situation_has_a_sentence_that_was_seen() {
    let seen = |situation| SAID.iter().any(|(_, _, s)| *s == situation);
    for situation in [
        S::NodeSetup,
        S::NoCapacity,
        S::TypeNotInZone,
        S::DiskTooSmall,
        S::NoAddresses,
        S::SpotQuota,
        S::SpotPrice,
        S::MachineQuota,
        S::ServiceRole,
        S::Image,
        S::Hook,
        S::Key,
        S::Right,
        S::RoleTooNew,
        S::Quota,
        S::Throttled,
        S::Internal,
        S::Exists,
    ] {
        assert!(seen(situation), "{situation:?}");
    }
    // EC2's API reference, "Error codes".
    assert_eq!(S::of("Invalid value 'x9.large' for InstanceType. (Service: AmazonEC2; Status Code: 400)"), S::NoSuchType);
    let verification = "Your request for accessing resources in this region is being validated, and you will not be able to launch \
                        additional resources in this region until the validation is complete (Error Code: PendingVerification)";
    assert_eq!(S::of(verification), S::Verification);
}

#[test]
fn no_single_word_makes_advice() {
    for reason in OTHERS_SAID {
        assert_eq!(S::of(reason), S::Unknown, "{reason}");
        assert_eq!(told("LoginNode", reason), Advice::TellAdministrator, "{reason}");
    }
    let scripts = "WaitCondition received failed message: 'curl: Rate exceeded; Max spot instance count exceeded' for uniqueId: i-0a";
    assert_eq!(S::of(scripts), S::NodeSetup, "a script's words are not AWS's");
    let custom = "Received response status [FAILED] from custom resource. Message returned: Rate exceeded";
    assert_eq!(S::of(custom), S::Custom);
}

#[test]
fn to_wait_is_advised_only_where_it_can_pass() {
    for (_, reason, situation) in SAID {
        assert_eq!(told("LoginNode", reason).is_to_wait(), situation.can_pass(), "{reason}");
    }
}

#[test]
fn a_price_is_named_only_where_the_price_is_the_cause() {
    for (_, reason, situation) in SAID {
        let advice = told("ComputeGroup", reason);
        assert_eq!(matches!(advice, Advice::HigherPrice { .. }), *situation == S::SpotPrice, "{advice:?}");
    }
    let low = "Your Spot request price of 0.02 is lower than the minimum required Spot request fulfillment price of 0.0216.";
    assert_eq!(told("ComputeGroup", low), Advice::HigherPrice { least: Some("0.0216".into()) });
}

#[test]
fn what_aws_names_is_passed_on() {
    let zones = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(told("LoginNode", SAID[0].1), Advice::TryLater { zones: zones(&["us-east-2b", "us-east-2c"]) });
    let elsewhere = zones(&["us-east-1a", "us-east-1b", "us-east-1c", "us-east-1d", "us-east-1f"]);
    assert_eq!(told("LoginNode", SAID[4].1), Advice::AnotherType { zones: elsewhere });
    let disk = |logical, least: u32| {
        told(
            logical,
            &format!("Volume of size 16GB is smaller than snapshot 'snap-0', expect size>= {least}GB (Service: Ec2, Status Code: 400)"),
        )
    };
    assert_eq!(disk("LoginNode", 30), Advice::LargerDisk { parameter: "MasterSystemVolumeSize", least: "30".into() });
    let of_site = |least: &str| Advice::LargerDiskOfSite { least: least.into() };
    assert_eq!(disk("ComputeLaunchTemplate", 30), of_site("30"), "no user sets the nodes' disks");
    assert_eq!(disk("LoginNode", 99_999), of_site("99999"), "advice that is followed is accepted");
    let quota =
        |limit| format!("You have requested more vCPU capacity than your current vCPU limit of {limit} allows for the instance bucket");
    assert_eq!(told("LoginNode", &quota(0)), Advice::NoMachinesOfKind);
    assert_eq!(told("LoginNode", &quota(5)), Advice::FewerNodes);
}

/// The table of disks follows the template.
#[test]
fn a_users_disks_are_those_of_the_template() {
    for (resource, parameter) in DISKS {
        let body = DEFAULT_TEXT.split_once(&format!("\n  {resource}:\n")).expect("the resource").1;
        let body: String = body.lines().take_while(|line| line.starts_with("   ") || line.is_empty()).collect();
        assert!(body.contains(&format!("VolumeSize: !Ref {parameter}")), "{resource}");
        assert!(default_template().is_users(parameter));
    }
    let refs = DEFAULT_TEXT.matches("VolumeSize: !Ref ").count();
    assert_eq!(refs, DISKS.len(), "a disk whose size is a parameter has its line in the table");
}
