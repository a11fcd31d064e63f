//! The contract of S3 and SES. Each clause is one thing that AWS does, and that clusterdrop relies on.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use cf_core::body::{BODY_BYTES_MAX, Body};
use cf_core::effect::{Effect, Expect};
use cf_core::fault::{Fault, Kind};
use cf_core::key::StatusKey;
use cf_core::ledger::{self, End, Entry, Ledger, Phase};
use cf_core::message::{Advice, Full, Mail, Message, News, StateText};
use cf_core::names::User;
use cf_core::node_report::BYTES_MAX;
use cf_core::node_reports::NodesShown;
use cf_core::observe::query::{FindRecord, ListLedgers, ListReports, ReadLedger, ReadProfile, ReadReport, ReadStatus};
use cf_core::request::{ETag, RequestId};
use cf_core::status::{State, Status};
use jiff::Timestamp;

use crate::contract_world::{ContractWorld, Place, Words};

const KEY: &str = "home/alice/demo.cf-created";

fn kind<T>(done: Result<T, Fault>) -> Option<Kind> {
    done.err().map(|fault| fault.kind)
}

pub async fn a_write_where_nothing_is_makes_the_object<S: ContractWorld>(s: &S) -> Result<()> {
    let etag = s.answer(KEY, "one", Expect::Absent).await?;
    let there = s.there(KEY).await?;
    ensure!((there.etag, there.body) == (etag, Body::Read(b"one\n".to_vec())));
    Ok(())
}

pub async fn a_write_where_nothing_should_be_is_moved_and_changes_nothing<S: ContractWorld>(s: &S) -> Result<()> {
    s.put(Place::User, KEY, b"another's").await?;
    ensure!(kind(s.answer(KEY, "one", Expect::Absent).await) == Some(Kind::Conflict));
    ensure!(s.there(KEY).await?.body == Body::Read(b"another's".to_vec()));
    Ok(())
}

pub async fn a_write_over_the_version_that_was_seen_replaces_it<S: ContractWorld>(s: &S) -> Result<()> {
    let first = s.answer(KEY, "one", Expect::Absent).await?;
    let second = s.answer(KEY, "two", Expect::Is(first.clone())).await?;
    ensure!(first != second && s.there(KEY).await?.etag == second);
    Ok(())
}

pub async fn a_write_over_another_version_is_moved_and_changes_nothing<S: ContractWorld>(s: &S) -> Result<()> {
    let seen = s.answer(KEY, "one", Expect::Absent).await?;
    s.put(Place::User, KEY, b"another's").await?;
    ensure!(kind(s.answer(KEY, "two", Expect::Is(seen)).await) == Some(Kind::Conflict));
    ensure!(s.there(KEY).await?.body == Body::Read(b"another's".to_vec()));
    Ok(())
}

pub async fn a_write_over_what_was_removed_since_is_moved_and_makes_nothing<S: ContractWorld>(s: &S) -> Result<()> {
    let seen = s.answer(KEY, "one", Expect::Absent).await?;
    s.take_away(KEY).await?;
    ensure!(kind(s.answer(KEY, "two", Expect::Is(seen)).await) == Some(Kind::Conflict));
    ensure!(s.object(KEY, true).await?.is_none());
    Ok(())
}

pub async fn a_write_where_something_was_removed_is_one_where_nothing_is<S: ContractWorld>(s: &S) -> Result<()> {
    let seen = s.answer(KEY, "one", Expect::Absent).await?;
    s.remove(KEY, &seen).await?;
    s.answer(KEY, "two", Expect::Absent).await?;
    Ok(())
}

pub async fn a_removal_takes_the_version_that_was_seen<S: ContractWorld>(s: &S) -> Result<()> {
    let seen = s.answer(KEY, "one", Expect::Absent).await?;
    s.remove(KEY, &seen).await?;
    ensure!(s.object(KEY, false).await?.is_none() && s.object(KEY, true).await?.is_none() && s.folder("home/alice/").await?.is_empty());
    Ok(())
}

pub async fn a_removal_of_another_version_leaves_it_and_is_no_fault<S: ContractWorld>(s: &S) -> Result<()> {
    let seen = s.answer(KEY, "one", Expect::Absent).await?;
    s.put(Place::User, KEY, b"another's").await?;
    s.remove(KEY, &seen).await?;
    ensure!(s.there(KEY).await?.body == Body::Read(b"another's".to_vec()));
    Ok(())
}

pub async fn a_removal_of_what_is_gone_is_no_fault<S: ContractWorld>(s: &S) -> Result<()> {
    let seen = s.answer(KEY, "one", Expect::Absent).await?;
    s.remove(KEY, &seen).await?;
    s.remove(KEY, &seen).await?;
    s.remove("home/alice/never.cf-create", &seen).await?;
    Ok(())
}

pub async fn equal_bytes_have_equal_etags<S: ContractWorld>(s: &S) -> Result<()> {
    s.put(Place::User, "home/alice/a.cf-create", b"{}").await?;
    s.put(Place::User, "home/alice/b.cf-create", b"{}").await?;
    s.put(Place::User, "home/alice/c.cf-create", b"{ }").await?;
    let etag = async |name: &str| anyhow::Ok(s.there(&format!("home/alice/{name}.cf-create")).await?.etag);
    ensure!(etag("a").await? == etag("b").await? && etag("a").await? != etag("c").await?);
    Ok(())
}

pub async fn get_head_list_and_the_write_itself_tell_the_same<S: ContractWorld>(s: &S) -> Result<()> {
    let written = s.answer(KEY, "four", Expect::Absent).await?;
    let (got, head) = (s.there(KEY).await?, s.object(KEY, false).await?);
    let listed = s.folder(KEY).await?;
    ensure!(head.as_ref().is_some_and(|h| h.body == Body::Unread));
    ensure!(head.is_some_and(|h| (h.etag, h.version, h.modified) == (got.etag.clone(), got.version, got.modified)));
    ensure!(listed.len() == 1 && listed[0].etag == got.etag && listed[0].size == 5 && got.etag == written);
    ensure!(got.modified.subsec_nanosecond() == 0);
    Ok(())
}

pub async fn a_versioned_bucket_gives_equal_bytes_ids_of_their_own<S: ContractWorld>(s: &S) -> Result<()> {
    s.put(Place::User, KEY, b"{}").await?;
    let first = s.there(KEY).await?.version;
    s.put(Place::User, KEY, b"{}").await?;
    let second = s.there(KEY).await?.version;
    ensure!(first.is_some() && second.is_some() && first != second, "{first:?} {second:?}");
    Ok(())
}

/// Tried in a bucket that is not versioned.
pub async fn a_plain_bucket_gives_no_version_ids<S: ContractWorld>(s: &S) -> Result<()> {
    s.put(Place::User, KEY, b"{}").await?;
    let version = s.there(KEY).await?.version;
    ensure!(version.as_deref().is_none_or(|v| v == "null"), "{version:?}");
    Ok(())
}

pub async fn a_body_is_read_up_to_its_limit_and_not_beyond<S: ContractWorld>(s: &S) -> Result<()> {
    s.put(Place::User, "home/alice/a.cf-create", &vec![b' '; BODY_BYTES_MAX]).await?;
    s.put(Place::User, "home/alice/b.cf-create", &vec![b' '; BODY_BYTES_MAX + 1]).await?;
    ensure!(s.there("home/alice/a.cf-create").await?.body == Body::Read(vec![b' '; BODY_BYTES_MAX]));
    ensure!(s.there("home/alice/b.cf-create").await?.body == Body::TooLarge(BODY_BYTES_MAX as u64 + 1));
    Ok(())
}

pub async fn what_is_not_there_is_none<S: ContractWorld>(s: &S) -> Result<()> {
    ensure!(s.object(KEY, true).await?.is_none() && s.object(KEY, false).await?.is_none());
    ensure!(s.run_query(ReadStatus(status_key())).await?.is_none());
    ensure!(s.run_query(ReadLedger(alice())).await?.is_none());
    Ok(())
}

pub async fn a_folder_holds_what_begins_so_in_order<S: ContractWorld>(s: &S) -> Result<()> {
    for key in ["demo.cf-delete", "demo.cf-create", "demo2.cf-create", "demo", "sub/demo.cf-create", "a b/ü.cf-create"] {
        s.put(Place::User, &format!("home/alice/{key}"), b"{}").await?;
    }
    let keys = async |prefix: &str| anyhow::Ok(s.folder(prefix).await?.into_iter().map(|l| l.key).collect::<Vec<_>>());
    ensure!(keys("home/alice/demo.cf-").await? == ["home/alice/demo.cf-create", "home/alice/demo.cf-delete"]);
    ensure!(keys("home/alice/a b/").await? == ["home/alice/a b/ü.cf-create"]);
    ensure!(keys("home/alice/none").await?.is_empty());
    Ok(())
}

pub async fn ledgers_come_in_pages_each_once<S: ContractWorld>(s: &S) -> Result<()> {
    // One more than the most that S3 lists at once.
    for nth in 0..1001 {
        s.put(Place::System, &format!("{}u{nth}.json", ledger::PREFIX), b"{}").await?;
    }
    let all = s.pages(ListLedgers).await?;
    let keys: std::collections::BTreeSet<_> = all.iter().map(|(key, _)| key).collect();
    ensure!((all.len(), keys.len()) == (1001, 1001), "{} of which {} differ", all.len(), keys.len());
    Ok(())
}

pub async fn a_state_file_that_nobody_can_read_says_nothing_and_can_be_written_over<S: ContractWorld>(s: &S) -> Result<()> {
    s.put(Place::User, &status_key(), &vec![b'x'; BODY_BYTES_MAX + 1]).await?;
    let Some((bytes, etag)) = s.run_query(ReadStatus(status_key())).await? else { anyhow::bail!("it is there") };
    ensure!(bytes.is_empty(), "{} bytes were read", bytes.len());
    let (request, at) = (RequestId::from_tag("0a1b2c3d"), Timestamp::UNIX_EPOCH);
    let status = Status {
        cluster: "demo".to_owned(),
        state: State::Ready,
        message: StateText::Ready { login: "198.51.100.7".to_owned(), nodes: None, scheduler: None },
        progress: None,
        login: None,
        login_command: None,
        types: BTreeMap::new(),
        reported: NodesShown::default(),
        stack: "clusterdrop-alice-demo".to_owned(),
        request,
        since: at,
        updated: at,
    };
    s.execute(&Effect::WriteStatus { key: status_key(), status, expect: Expect::Is(etag) }).await?;
    Ok(())
}

fn status_key() -> StatusKey {
    StatusKey::read("home/alice/demo.cf-status").expect("a status file's key")
}

fn alice() -> User {
    cf_core::testing::cluster("alice", "demo").user
}

fn some_ledger(revision: u64) -> Ledger {
    let mut entry = Entry { phase: Phase::Gone { at: Timestamp::UNIX_EPOCH, end: End::Deleted }, ..Entry::default() };
    entry.note_answered(&RequestId::from_tag("00000000000000aa"));
    let name = cf_core::testing::cluster("alice", "demo").name;
    Ledger { revision, clusters: [(name, entry)].into(), ..Ledger::default() }
}

pub async fn a_ledger_comes_back_as_it_was_written<S: ContractWorld>(s: &S) -> Result<()> {
    let write = async |revision, expect| s.execute(&Effect::WriteLedger { user: alice(), ledger: some_ledger(revision), expect }).await;
    let first: Option<ETag> = write(1, Expect::Absent).await?;
    let seen = s.run_query(ReadLedger(alice())).await?;
    ensure!(seen == Some((some_ledger(1), first.clone().expect("a version"))));
    ensure!(kind(write(2, Expect::Absent).await) == Some(Kind::Conflict));
    write(2, Expect::seen(first.as_ref())).await?;
    ensure!(kind(write(3, Expect::seen(first.as_ref())).await) == Some(Kind::Conflict));
    ensure!(s.run_query(ReadLedger(alice())).await?.is_some_and(|(ledger, _)| ledger == some_ledger(2)));
    Ok(())
}

pub async fn a_ledger_that_cannot_be_read_is_a_fault_and_not_an_empty_one<S: ContractWorld>(s: &S) -> Result<()> {
    s.put(Place::System, &ledger::key(&alice()), b"{ torn").await?;
    ensure!(kind(s.run_query(ReadLedger(alice())).await) == Some(Kind::Retry));
    Ok(())
}

/// The folder of one life of alice's `demo`.
const REPORTS: &str = "nodes/alice/demo/00000000000000aa/";

pub async fn reports_are_listed_without_what_lies_deeper_or_elsewhere<S: ContractWorld>(s: &S) -> Result<()> {
    let listed = async || anyhow::Ok(s.run_query(ListReports(REPORTS.to_owned())).await?);
    let nothing = listed().await?;
    ensure!(nothing.items.is_empty() && nothing.next.is_none(), "nobody has reported yet");
    let names = ["compute-1.json", "compute-10.json", "compute-2.json", "login1.json", "\u{e9} +%.json"];
    for name in names {
        s.put(Place::System, &format!("{REPORTS}{name}"), b"{}").await?;
    }
    for deeper in ["compute-1/login1.json", "jobs/login1.json", "login1.json/x.json"] {
        s.put(Place::System, &format!("{REPORTS}{deeper}"), b"{}").await?;
    }
    for elsewhere in ["demo/00000000000000aab", "demo/00000000000000ab", "demo2/00000000000000aa"] {
        s.put(Place::System, &format!("nodes/alice/{elsewhere}/login1.json"), b"{}").await?;
    }
    s.put(Place::User, &format!("{REPORTS}login1.json"), b"{}").await?;
    let page = listed().await?;
    let keys: Vec<&str> = page.items.iter().filter_map(|listed| listed.key.strip_prefix(REPORTS)).collect();
    ensure!(keys == names, "{keys:?}");
    ensure!(page.next.is_none() && page.items.iter().all(|listed| listed.size == 2));
    Ok(())
}

pub async fn a_record_is_found_at_exactly_its_key<S: ContractWorld>(s: &S) -> Result<()> {
    let key = "foundation/0123456789abcdef";
    let is_there = async || anyhow::Ok(s.run_query(FindRecord(key.to_owned())).await?);
    for near in
        ["foundation/0123456789abcde", "foundation/0123456789abcdef0", "foundation/0123456789abcdef/", "Foundation/0123456789abcdef"]
    {
        s.put(Place::System, near, b"").await?;
    }
    s.put(Place::User, key, b"").await?;
    ensure!(!is_there().await?, "only what is near to it is there");
    s.put(Place::System, key, b"").await?;
    ensure!(is_there().await?);
    Ok(())
}

pub async fn a_report_is_read_up_to_its_limit_and_not_beyond<S: ContractWorld>(s: &S) -> Result<()> {
    let key = format!("{REPORTS}login1.json");
    let read = async || anyhow::Ok(s.run_query(ReadReport(key.clone())).await?.map(|object| object.body));
    ensure!(read().await?.is_none(), "nobody has reported yet");
    for (size, is_read) in [(0, true), (BYTES_MAX, true), (BYTES_MAX + 1, false), (4 * BYTES_MAX, false)] {
        s.put(Place::System, &key, &vec![b' '; size]).await?;
        match read().await? {
            Some(Body::Read(bytes)) => ensure!(is_read && bytes.len() == size, "{size}"),
            Some(Body::TooLarge(bytes)) => ensure!(!is_read && bytes > BYTES_MAX as u64, "{size}: {bytes}"),
            other => anyhow::bail!("{size}: {other:?}"),
        }
    }
    Ok(())
}

pub async fn a_profile_is_a_script_and_not_its_folder<S: ContractWorld>(s: &S) -> Result<()> {
    let has = async || anyhow::Ok(s.run_query(ReadProfile(alice())).await?.has_script);
    ensure!(!has().await?, "there is none");
    s.put(Place::Customizer, "customizer/alice2/configure.d/user.sh", b"#!/bin/sh\n").await?;
    ensure!(!has().await?, "that is another's");
    s.put(Place::Customizer, "customizer/alice/configure.d/", b"").await?;
    ensure!(!has().await?, "that is how consoles make a folder");
    let names = ["old/10.sh", "old/20.sh", "README.txt", ".DS_Store", "a b+c%.txt", "user.sh~", "é/x.sh"];
    for name in names {
        s.put(Place::Customizer, &format!("customizer/alice/configure.d/{name}"), b"#!/bin/sh\n").await?;
    }
    s.put(Place::Customizer, "customizer/alice/configure.d/placeholder.sh", b"").await?;
    let profile = s.run_query(ReadProfile(alice())).await?;
    ensure!(!profile.has_script, "{profile:?}");
    let others = profile.others().cloned().unwrap_or_default();
    let is_decoded = others.files.iter().any(|(name, _)| name == "a b+c%.txt");
    ensure!(is_decoded && others.count == others.files.len() + 3, "folders are one each, names are decoded: {others}");
    s.put(Place::Customizer, "customizer/alice/configure.d/user.sh", b"#!/bin/sh\n").await?;
    ensure!(has().await?, "there is one");
    Ok(())
}

pub async fn a_mail_arrives_as_it_was_written<S: ContractWorld>(s: &S) -> Result<()> {
    let cluster = cf_core::testing::cluster("alice", "demo");
    let stack = cf_core::testing::settings().stack_name(&cluster);
    let answer = Message::Declined { cluster: cluster.name.clone(), why: "zu groß\nund zu teuer".into(), advice: Advice::Quota };
    let mail = Mail { cluster, stack, deployment: "größer".into(), news: News::Stuck { answer, full: Full::default() } };
    s.execute(&Effect::SendMail(mail.clone())).await?;
    ensure!(s.mails().await? == [(mail.subject(), mail.body())], "{:?}", s.mails().await?);
    Ok(())
}
