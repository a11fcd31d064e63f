//! No input makes a function take more than 64 MiB, of the 128 that it has: measured, by an allocator that counts.
//! Events have a measurement of their own, in cf-aws.

use std::sync::{Mutex, PoisonError};

use cf_core::body::{BODY_BYTES_MAX, Body};
use cf_core::effect::Effect;
use cf_core::effect::Execute;
use cf_core::fault::Fault;
use cf_core::instance_type::NODES;
use cf_core::key::{self, KEY_BYTES_MAX, Reading, UploadKey};
use cf_core::ledger::{self, ANSWERED_MAX, Accepted, Claim, End, Entry, HISTORY_MAX, Ledger, MailKind, OPEN_MAX, Phase};
use cf_core::names::{ClusterName, User};
use cf_core::observe::RunQuery;
use cf_core::observe::Subject;
use cf_core::reconcile::{Purpose, reconcile};
use cf_core::request::{ETag, RequestId};
use cf_core::requested_parameters;
use cf_core::status::Status;
use cf_core::template::Parameter;
use cf_core::testing;
use cf_sim::{Bucket, Cloud, Event, Lookup, World};
use futures_util::FutureExt;
use jiff::Timestamp;
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const MIB: usize = 1024 * 1024;
const MOST: usize = 64 * MIB;

/// One measurement at a time, whatever runs the tests.
static ALONE: Mutex<()> = Mutex::new(());

/// The most bytes that stood at once while `work` ran, over those that stood before it.
fn taken<T>(work: impl FnOnce() -> T) -> usize {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    drop(work());
    MEMORY.peak_usage().saturating_sub(before)
}

fn bounded<T>(what: &str, work: impl FnOnce() -> T) {
    let bytes = taken(work);
    println!("{what}: {} KiB", bytes / 1024);
    assert!(bytes < MOST, "{what}: {} MiB", bytes / MIB);
}

fn alone() -> impl Drop {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn too_much_is_noticed() {
    let _alone = alone();
    assert!(taken(|| vec![0_u8; 65 * MIB]) > MOST);
    assert!(taken(|| vec![0_u8; 63 * MIB]) < MOST);
}

/// As many of `piece` as a body may hold, between `begin` and `end`; each `#` is a number.
fn filled(begin: &str, piece: &str, end: &str) -> Vec<u8> {
    let mut text = begin.to_owned();
    for nth in 0_u32.. {
        let next = piece.replace('#', &nth.to_string());
        if text.len() + next.len() + end.len() > BODY_BYTES_MAX {
            break;
        }
        text += &next;
    }
    (text.trim_end_matches(',').to_owned() + end).into_bytes()
}

fn bodies() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("deep arrays", filled("", "[", "")),
        ("deep objects", filled("", "{\"a\":", "")),
        ("flat array", filled("{\"a\":[", "0,", "]}")),
        ("unknown names", filled("{", "\"#\":1,", "}")),
        ("wrong values", filled("{", "\"#\":[],", "}")),
        ("one name", filled("{", "\"\":1,", "}")),
        ("one long name", filled("{\"", "x", "\":0.5}")),
        ("one long value", filled("{\"ComputeSpotPrice\":\"", "9", "\"}")),
        ("a value near to many", filled("{\"ComputeInstanceTypeOther\":\"", "c5.lrage", "\"}")),
        ("escapes", filled("{\"ComputeSpotPrice\":\"", "\\u0001", "\"}")),
        ("digits", filled("{\"ComputeMaxNodes\":", "9", "}")),
        ("no text", vec![0xFF; BODY_BYTES_MAX]),
        ("more than is read", vec![b' '; BODY_BYTES_MAX + 1]),
    ]
}

#[test]
fn a_body_takes_little_whatever_it_holds() {
    let (_alone, settings) = (alone(), testing::settings());
    for (what, bytes) in bodies() {
        let body = Body::Read(bytes);
        bounded(&format!("reading {what}"), || requested_parameters::read(&body, &settings));
        // The whole pass, with its answer, and the world that keeps it.
        let mut cloud = Cloud::new(testing::settings()).with_profile("alice");
        let Body::Read(bytes) = body else { continue };
        cloud.drop_file("home/alice/demo.cf-create", &bytes);
        bounded(&format!("a pass over {what}"), || cloud.drain());
        assert!(cloud.text("home/alice/demo.cf-failed").is_some_and(|answer| answer.len() < 64 * 1024), "{what}");
    }
}

#[test]
fn a_key_takes_little_however_long() {
    let _alone = alone();
    for piece in ["a/", "../", "\u{202e}", ".cf-create"] {
        let key = format!("home/alice/{}.cf-create", piece.repeat(MIB / piece.len()));
        bounded("a key", || key::read(&key));
    }
}

#[test]
fn a_state_file_and_a_pattern_take_little() {
    let _alone = alone();
    for (what, bytes) in bodies() {
        bounded(&format!("{what} as a status file"), || serde_json::from_slice::<Status>(&bytes).is_ok());
    }
    for pattern in ["(((a{50}){50}){50}){50}", "(a|b|c|d){1000}", "(((((a*)*)*)*)*)*", "[a-z]{1,1000}[a-z]{1,1000}"] {
        let card = serde_json::json!({ "Type": "String", "AllowedPattern": pattern });
        let parameter: Parameter = serde_json::from_value(card).unwrap();
        bounded(pattern, || parameter.check("P", &"a".repeat(4096)));
    }
}

fn upload_key(folder: &str, name: &str) -> UploadKey {
    match key::read(&format!("home/alice/{folder}{name}.cf-create")) {
        Reading::Request(key) => key,
        other => panic!("{other:?}"),
    }
}

/// An entry with everything in it that it may hold, and every key as long as a key may be.
fn full(name: &str) -> Entry {
    let at = Timestamp::UNIX_EPOCH;
    let folder = |nth: usize| {
        let rest = KEY_BYTES_MAX - "home/alice/.cf-create".len() - name.len() - 5;
        format!("{}{nth:04}/", "f".repeat(rest))
    };
    let mut entry = Entry { phase: Phase::Creating { since: at }, ..Entry::default() };
    let parameters = testing::settings().template.metadata.user_parameters.iter().map(|name| (name.clone(), "x".repeat(40))).collect();
    let defaults = NODES.iter().map(|node| (node.other.to_owned(), "x".repeat(40))).collect();
    let request = RequestId::from_tag("0000000000000000");
    entry.accepted = Some(Accepted { request, key: upload_key("", name), at, parameters, defaults });
    for nth in 0..OPEN_MAX {
        let request = RequestId::from_tag(&format!("{nth:016}"));
        entry.note_open(&upload_key(&folder(nth), name), &request, true, 0);
        entry.note_announced(&upload_key(&folder(nth + OPEN_MAX), name));
        entry.answered.push(RequestId::from_tag(&format!("{:016}", nth + ANSWERED_MAX)));
        entry.mails.push(Claim { request, kind: MailKind::Occupied });
    }
    entry
}

/// So many clusters of one user at once, each with everything in it.
const LIVING: usize = 100;

fn ledger() -> Ledger {
    let name = |text: &str| ClusterName::parse(text).expect("a legal name");
    let mut ledger = Ledger::default();
    for nth in 0..LIVING {
        let text = format!("{}{nth:04}", "c".repeat(36));
        ledger.clusters.insert(name(&text), full(&text));
    }
    for nth in 0..HISTORY_MAX {
        let text = format!("{}{nth:04}", "g".repeat(36));
        let gone = Entry { phase: Phase::Gone { at: Timestamp::UNIX_EPOCH, end: End::Deleted }, open: Vec::new(), ..full(&text) };
        ledger.clusters.insert(name(&text), gone);
    }
    ledger
}

/// A world that keeps nothing of what is done to it, so that what is measured is the function's own.
struct Forgetful<'a>(&'a World);

impl<Q: Lookup> RunQuery<Q> for Forgetful<'_> {
    async fn run_query(&self, query: Q) -> Result<Q::Output, Fault> {
        self.0.run_query(query).await
    }
}

impl Execute for Forgetful<'_> {
    async fn execute(&self, effect: &Effect) -> Result<Option<ETag>, Fault> {
        if let Effect::WriteLedger { ledger, .. } = effect {
            // As the adapter does, for S3.
            drop(serde_json::to_vec(ledger));
        }
        Ok(Some(ETag("\"e\"".into())))
    }
}

#[test]
fn a_full_ledger_is_read_changed_and_written() {
    let _alone = alone();
    let bytes = serde_json::to_vec(&ledger()).expect("a ledger has a JSON form");
    println!("a ledger with {LIVING} full clusters: {} KiB", bytes.len() / 1024);
    bounded("reading it", || serde_json::from_slice::<Ledger>(&bytes).expect("what we write, we read"));
    let mut cloud = Cloud::new(testing::settings()).with_profile("alice");
    let (at, alice) = (cloud.world.now(), User::parse("alice").expect("a legal name"));
    cloud.world.state().store.put(Bucket::System, &ledger::key(&alice), &bytes, at);
    drop(bytes);
    for body in [&b"{}"[..], b"no order"] {
        cloud.drop_file("home/alice/demo.cf-create", body);
        let key = upload_key("", "demo");
        let subject = Subject { cluster: key.cluster.clone(), upload: Some(key), stack: None, reports: false };
        bounded("a pass over it", || {
            let world = Forgetful(&cloud.world);
            let outcome =
                reconcile(&world, &testing::settings(), &subject, Purpose::Cluster, &cloud.world).now_or_never().expect("nothing waits");
            assert_eq!(outcome.fault, None);
        });
    }
}

/// Folders that begin as the cluster's own files do come up in its listing, as many as a page holds: each with a request as
/// large as may be. Read all at once, they would be as much as the function has.
#[test]
fn folders_that_look_like_the_clusters_files_are_not_read() {
    let _alone = alone();
    for (files, size) in [(1_000, BODY_BYTES_MAX), (10_000, 2)] {
        let mut cloud = Cloud::new(testing::settings()).with_profile("alice");
        let at = cloud.world.now();
        for nth in 0..files {
            let key = format!("home/alice/demo.cf-{nth}/demo.cf-create");
            cloud.world.state().store.put(Bucket::User, &key, &vec![b' '; size], at);
        }
        cloud.drop_file("home/alice/demo.cf-create", b"{}");
        let event = cloud.queue.pop_front().unwrap_or(Event::Sweep);
        bounded(&format!("a pass beside {files} such folders"), || cloud.deliver(&event).expect("it is handled"));
        // Each has an event of its own, and is answered by that.
        assert!(cloud.text("home/alice/demo.cf-status").is_some_and(|status| status.contains("creating")));
        let asked = cloud.world.state().asked.len();
        assert!(asked < 50, "{asked} queries");
    }
}
