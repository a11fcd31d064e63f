//! Names: a stack's is legal and nobody else's, a login is legal, a request's id depends on each part of what S3 said.

use arbitrary::Unstructured;
use cf_core::names::{Cluster, ClusterName, StackName, User, digest};
use cf_core::request::{ETag, RequestId};
use jiff::Timestamp;

use crate::drive::{PIECES, pick, target, upto};

target!(
    /// Some clusters whose names are as near to each other as names can be: no two share a stack's name.
    stacks,
    one in 1,
    reached ["the same text but for the hash", "all apart"],
    |bytes: &[u8]| {
        let u = &mut Unstructured::new(bytes);
        let made: Vec<(String, Cluster)> = (0..12).filter_map(|_| Some((bucket(u), cluster(u)?))).collect();
        let mut what = "all apart";
        for (at, (bucket, cluster)) in made.iter().enumerate() {
            let name = StackName::of("clusterdrop", bucket, cluster);
            let text = name.as_str();
            assert!(text.starts_with("clusterdrop-") && text.len() <= 128, "{text}");
            assert!(text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'), "{text}");
            for (other_bucket, other) in &made[..at] {
                let is_same = bucket == other_bucket && cluster == other;
                let near = StackName::of("clusterdrop", other_bucket, other);
                assert_eq!(name == near, is_same, "{bucket} {cluster}, {other_bucket} {other}");
                if !is_same && text[..text.len() - 8] == near.as_str()[..near.as_str().len() - 8] {
                    what = "the same text but for the hash";
                }
            }
        }
        what
    }
);

target!(
    /// What is read as a name is legal, and prints as it was; a login is one that `useradd` takes.
    any_text,
    one in 1,
    reached ["a user", "no user"],
    |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        if let Ok(name) = ClusterName::parse(&text) {
            assert!(name.as_str() == text && (1..=40).contains(&text.len()));
            assert!(!text.contains(|c: char| !c.is_ascii_alphanumeric() && c != '-') && !text.starts_with('-'));
        }
        let made = crate::drive::text(&mut Unstructured::new(bytes));
        let cut: String = made.chars().filter(char::is_ascii_graphic).take(64).collect();
        let mut what = "no user";
        for user in [text.as_ref(), &cut].into_iter().filter_map(|text| User::parse(text).ok()) {
            let login = user.login();
            assert!((1..=32).contains(&login.len()) && login.starts_with(|c: char| c.is_ascii_lowercase()), "{user}: {login}");
            assert!(login.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'), "{user}: {login}");
            assert!(!["root", "ec2-user", "slurm", "wheel", "sshd"].contains(&login.as_str()) && !login.starts_with("systemd-"), "{login}");
            assert!(cf_core::ledger::user_of(&cf_core::ledger::key(&user)) == Some(user));
            what = "a user";
        }
        what
    }
);

target!(
    /// A request is another one when its key, version, ETag or time is.
    requests,
    one in 1,
    reached ["other parts", "equal parts"],
    |bytes: &[u8]| {
        let u = &mut Unstructured::new(bytes);
        let mut part = |_| PIECES[upto(u, PIECES.len() - 1)].to_owned();
        let [key, version, etag, other] = [0, 1, 2, 3].map(&mut part);
        let (seconds, later) = (i64::from(u.arbitrary::<u32>().unwrap_or(0)), i64::from(u.arbitrary::<u16>().unwrap_or(0)));
        let id = |key: &str, version: &str, etag: &str, second: i64| {
            RequestId::of(key, Some(version), &ETag(etag.to_owned()), Timestamp::from_second(second).unwrap_or_default())
        };
        let this = id(&key, &version, &etag, seconds);
        assert!(this.as_str().len() == 16 && this.as_str().chars().all(|c| c.is_ascii_hexdigit()));
        assert_eq!(this == id(&other, &version, &etag, seconds), key == other);
        assert_eq!(this == id(&key, &other, &etag, seconds), version == other);
        assert_eq!(this == id(&key, &version, &other, seconds), etag == other);
        assert_eq!(this == id(&key, &version, &etag, seconds + later), later == 0);
        // Two lists of parts that read the same when joined.
        assert_ne!(digest(&[&format!("{key}x"), &version]), digest(&[&key, &format!("x{version}")]));
        assert_ne!(digest(&[&key, &version]), digest(&[&format!("{key}{version}")]));
        if [&key, &version, &etag].contains(&&other) { "equal parts" } else { "other parts" }
    }
);

fn bucket(u: &mut Unstructured<'_>) -> String {
    pick(u, &["users", "users-a", "a"]).to_owned()
}

/// From few letters, so that joined by hyphens many read the same; now and then as long as they may be.
fn cluster(u: &mut Unstructured<'_>) -> Option<Cluster> {
    let mut word = |letters: &[&str], most: usize| {
        let long = if upto(u, 9) == 0 { most - 3 } else { 0 };
        let mut word = "a".repeat(long);
        (0..=upto(u, 3)).for_each(|_| word += pick(u, letters));
        word
    };
    let user = word(&["a", "b", "-", ".", "_", "@", "A"], User::LENGTH_MAX);
    let name = word(&["a", "b", "-", "A"], ClusterName::LENGTH_MAX);
    Some(Cluster { user: User::parse(&user).ok()?, name: ClusterName::parse(&name).ok()? })
}
