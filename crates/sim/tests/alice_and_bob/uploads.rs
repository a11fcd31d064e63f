//! What Alice drops: any key under her home, any bytes. Half of it is what people drop, and half is meant to harm.

use cf_sim::simulate::dice::Draws;

use crate::people::{CLUSTERS, TwoUsers};

/// One file.
pub struct Upload {
    pub key: String,
    pub bytes: Vec<u8>,
}

/// One file; now and then the same name's other verb beside it, before anybody has looked.
pub fn some(draws: &mut Draws, stage: &TwoUsers) -> Vec<Upload> {
    let first = upload(draws, stage);
    let beside = [(".cf-create", ".cf-delete"), (".cf-delete", ".cf-create")]
        .into_iter()
        .find_map(|(this, other)| Some(format!("{}{other}", first.key.strip_suffix(this)?)));
    match beside {
        Some(key) if draws.below(8) == 0 => vec![first, Upload { key, bytes: bytes(draws, stage) }],
        _ => vec![first],
    }
}

/// Every key begins with her home: the bucket policy sees to that, and to nothing else.
fn upload(draws: &mut Draws, stage: &TwoUsers) -> Upload {
    let mut key = format!("home/{}/", stage.alice);
    if draws.below(3) == 0 {
        for _ in 0..=draws.below(3) {
            key += &folder(draws, stage);
            key.push('/');
        }
    }
    key += &if draws.below(8) == 0 { folder(draws, stage) } else { name(draws).to_owned() };
    key += if draws.below(8) == 0 { *draws.pick(&ODD_SUFFIXES) } else { *draws.pick(&SUFFIXES) };
    Upload { key, bytes: bytes(draws, stage) }
}

/// Mostly the one that she may have already.
fn name(draws: &mut Draws) -> &'static str {
    if draws.below(2) == 0 { "demo" } else { CLUSTERS[draws.index(CLUSTERS.len())] }
}

const SUFFIXES: [&str; 5] = [".cf-create", ".cf-create", ".cf-create", ".cf-delete", ".cf-delete"];

const ODD_SUFFIXES: [&str; 12] = [
    ".cf-created",
    ".cf-deleted",
    ".cf-failed",
    ".cf-status",
    ".cf-create.cf-delete",
    ".cf-delete.cf-create",
    ".CF-CREATE",
    ".cf-create/",
    ".cf-create\n",
    " .cf-create",
    ".cf-create/demo.cf-create",
    "",
];

/// Folders of people, and folders that a careless reader would take for a way to somebody else.
fn folder(draws: &mut Draws, stage: &TwoUsers) -> String {
    let bob = &stage.bob;
    match draws.below(24) {
        0..=4 => "old runs".to_owned(),
        5 => "..".to_owned(),
        6 => format!("../{bob}"),
        7 => format!("../../home/{bob}"),
        8 => format!("home/{bob}"),
        9 => bob.clone(),
        10 => format!("/home/{bob}"),
        11 => format!("%2e%2e%2f{bob}"),
        12 => format!("..\\{bob}"),
        13 => format!("..\u{2215}{bob}"),
        14 => format!("\u{202e}{bob}\u{202c}"),
        15 => format!("{bob}\u{0}"),
        16 => format!("s3://af-users-eu-west-2/home/{bob}"),
        17 => format!("demo.cf-/{bob}"),
        18 => "demo.cf-create".to_owned(),
        19 => format!("{}+{bob}", stage.alice),
        20 => String::new(),
        21 => ".".to_owned(),
        22 => format!("ledger/{bob}.json"),
        _ => "x".repeat(draws.index(1100)),
    }
}

/// A tenth of the files are noise; the others are requests, of which half reach for what is not Alice's.
fn bytes(draws: &mut Draws, stage: &TwoUsers) -> Vec<u8> {
    let bob = &stage.bob;
    match draws.below(32) {
        0..=9 => b"{}".to_vec(),
        10..=12 => br#"{"ComputeMaxNodes": "8"}"#.to_vec(),
        13 => br#"{"ComputeInitialNodes": 2, "ComputeSpotPrice": "0.5", "MasterSystemVolumeSize": 32}"#.to_vec(),
        14 => br#"{"ComputeInstanceTypo": "c5.large", "ComputeMaxNodes": 8e9}"#.to_vec(),
        15 => format!(r#"{{"{}": "{bob}"}}"#, *draws.pick(&REACHING)).into_bytes(),
        16 => format!(r#"{{"{}": "{bob}", "{}": "demo"}}"#, *draws.pick(&REACHING), *draws.pick(&REACHING)).into_bytes(),
        17 => format!(r#"{{"USER": "{bob}", "clusterdrop:cluster": "zebra", "user": "{bob}"}}"#).into_bytes(),
        18 => format!(r#"{{"ComputeInstanceTypeOther": "../{bob}/zebra"}}"#).into_bytes(),
        19 => br#"{"ComputeSpotPrice": "{{resolve:ssm:/admin/password}}"}"#.to_vec(),
        20 => format!("home/{bob}/demo.cf-delete").into_bytes(),
        21 => stage.cloud.world.state().store.text(cf_sim::Bucket::System, &format!("ledger/{bob}.json")).unwrap_or_default().into_bytes(),
        22 => format!(r#"{{"Template": "https://example.com/{bob}.yaml", "Tags": {{"USER": "{bob}"}}}}"#).into_bytes(),
        23 => format!(r#"[{{"cluster": {{"user": "{bob}", "name": "demo"}}, "verb": "delete"}}]"#).into_bytes(),
        24 => format!(r#"{{"ComputeMaxNodes": "8", "ComputeMaxNodes": "{bob}"}}"#).into_bytes(),
        25 => b"\xFF\xFE{\0}\0".to_vec(),
        26 => "[".repeat(draws.index(300)).into_bytes(),
        27 if draws.below(100) == 0 => vec![b' '; cf_core::body::BODY_BYTES_MAX + draws.index(3)],
        _ => (0..draws.below(64)).map(|_| draws.below(256).to_le_bytes()[0]).collect(),
    }
}

/// Names that only the system sets, or that sound as if they chose whose cluster it is.
const REACHING: [&str; 10] = [
    "AccessUsername",
    "ClusterUser",
    "ClusterName",
    "ProfileName",
    "ProfileBucket",
    "FlightProfiles",
    "NodePermissionsBoundary",
    "SubnetId",
    "StackName",
    "RoleARN",
];
