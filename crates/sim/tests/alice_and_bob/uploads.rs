//! What Alice drops: any key under her home, any bytes. Half of it is what people drop, and half is meant to harm.

use crate::people::{CLUSTERS, TwoUsers};

/// xorshift64*: small, and the same everywhere.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self((seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    pub fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.next()).unwrap_or(0) % most
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

/// One file.
pub struct Upload {
    pub key: String,
    pub bytes: Vec<u8>,
}

/// One file; now and then the same name's other verb beside it, before anybody has looked.
pub fn some(dice: &mut Dice, stage: &TwoUsers) -> Vec<Upload> {
    let first = upload(dice, stage);
    let beside = [(".cf-create", ".cf-delete"), (".cf-delete", ".cf-create")]
        .into_iter()
        .find_map(|(this, other)| Some(format!("{}{other}", first.key.strip_suffix(this)?)));
    match beside {
        Some(key) if dice.below(8) == 0 => vec![first, Upload { key, bytes: bytes(dice, stage) }],
        _ => vec![first],
    }
}

/// Every key begins with her home: the bucket policy sees to that, and to nothing else.
fn upload(dice: &mut Dice, stage: &TwoUsers) -> Upload {
    let mut key = format!("home/{}/", stage.alice);
    if dice.below(3) == 0 {
        for _ in 0..=dice.below(3) {
            key += &folder(dice, stage);
            key.push('/');
        }
    }
    key += &if dice.below(8) == 0 { folder(dice, stage) } else { name(dice).to_owned() };
    key += if dice.below(8) == 0 { dice.pick(&ODD_SUFFIXES) } else { dice.pick(&SUFFIXES) };
    Upload { key, bytes: bytes(dice, stage) }
}

/// Mostly the one that she may have already.
fn name(dice: &mut Dice) -> &'static str {
    if dice.below(2) == 0 { "demo" } else { dice.pick(&CLUSTERS) }
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
fn folder(dice: &mut Dice, stage: &TwoUsers) -> String {
    let bob = &stage.bob;
    match dice.below(24) {
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
        _ => "x".repeat(dice.below(1100)),
    }
}

/// A tenth of the files are noise; the others are orders, of which half reach for what is not Alice's.
fn bytes(dice: &mut Dice, stage: &TwoUsers) -> Vec<u8> {
    let bob = &stage.bob;
    match dice.below(32) {
        0..=9 => b"{}".to_vec(),
        10..=12 => br#"{"ComputeMaxNodes": "8"}"#.to_vec(),
        13 => br#"{"ComputeInitialNodes": 2, "ComputeSpotPrice": "0.5", "MasterSystemVolumeSize": 32}"#.to_vec(),
        14 => br#"{"ComputeInstanceTypo": "c5.large", "ComputeMaxNodes": 8e9}"#.to_vec(),
        15 => format!(r#"{{"{}": "{bob}"}}"#, dice.pick(&REACHING)).into_bytes(),
        16 => format!(r#"{{"{}": "{bob}", "{}": "demo"}}"#, dice.pick(&REACHING), dice.pick(&REACHING)).into_bytes(),
        17 => format!(r#"{{"USER": "{bob}", "clusterdrop:cluster": "zebra", "user": "{bob}"}}"#).into_bytes(),
        18 => format!(r#"{{"ComputeInstanceTypeOther": "../{bob}/zebra"}}"#).into_bytes(),
        19 => br#"{"ComputeSpotPrice": "{{resolve:ssm:/admin/password}}"}"#.to_vec(),
        20 => format!("home/{bob}/demo.cf-delete").into_bytes(),
        21 => stage.cloud.world.state().store.text(cf_sim::Bucket::System, &format!("ledger/{bob}.json")).unwrap_or_default().into_bytes(),
        22 => format!(r#"{{"Template": "https://example.com/{bob}.yaml", "Tags": {{"USER": "{bob}"}}}}"#).into_bytes(),
        23 => format!(r#"[{{"cluster": {{"user": "{bob}", "name": "demo"}}, "verb": "delete"}}]"#).into_bytes(),
        24 => format!(r#"{{"ComputeMaxNodes": "8", "ComputeMaxNodes": "{bob}"}}"#).into_bytes(),
        25 => b"\xFF\xFE{\0}\0".to_vec(),
        26 => "[".repeat(dice.below(300)).into_bytes(),
        27 if dice.below(100) == 0 => vec![b' '; cf_core::body::BODY_BYTES_MAX + dice.below(3)],
        _ => (0..dice.below(64)).map(|_| dice.next().to_le_bytes()[0]).collect(),
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
