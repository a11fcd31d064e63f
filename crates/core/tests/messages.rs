//! All that people read, in one place: an example of every message, state and mail, as a committed snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use cf_core::body::{Body, Mistake};
use cf_core::key::{Reading, UploadKey, read};
use cf_core::message::{
    Advice, Cause, Difference, FailedCreation, FileProblem, Format, Full, KeyProblem, Mail, Message, News, NodeFailure, NodesMissing,
    ParameterProblem, Problem, RegionAdvice, Remains, Rest, Rule, StackReason, StateText, Wrong,
};
use cf_core::names::{ClusterName, StackName};
use cf_core::node_report::{FailedScript, FailureCode};
use cf_core::profile::Profile;
use cf_core::requested_parameters;
use cf_core::settings::Settings;
use cf_core::status::Progress;
use cf_core::template::SystemValue;
use cf_core::testing;
use jiff::Timestamp;
use strum::{VariantArray, VariantNames};

fn cluster() -> ClusterName {
    testing::cluster("alice", "demo").name
}

fn stack() -> StackName {
    testing::settings().stack_name(&testing::cluster("alice", "demo"))
}

fn at() -> Timestamp {
    "2026-11-21T11:38:20Z".parse().expect("a time")
}

fn key(text: &str) -> UploadKey {
    let Reading::Request(key) = read(text) else { panic!("{text} is no request") };
    key
}

fn wrong_key(text: &str) -> KeyProblem {
    match read(text) {
        Reading::Refused { problem, .. } | Reading::LooksLike { problem, .. } => problem,
        other => panic!("{text}: {other:?}"),
    }
}

fn cause(logical: &str, kind: &str, physical: &str, reason: &str, advice: Advice) -> Cause {
    Cause { logical: logical.into(), kind: kind.into(), physical: physical.into(), reason: reason.into(), advice, node: None }
}

fn no_capacity() -> Cause {
    let reason = "We currently do not have sufficient r4.large capacity in the Availability Zone you requested (eu-west-2a).";
    cause("LoginNode", "AWS::EC2::Instance", "i-0a1b2c", reason, Advice::TryLater { zones: vec!["eu-west-2b".into()] })
}

/// A login node that gave up, with its signal's code, and with all that its report may add.
fn login_failures() -> Vec<Message> {
    let script = |script: &str, exit_code, lines: &[&str]| FailedScript {
        event: "configure".into(),
        profile: "alice".into(),
        script: script.into(),
        outcome: if exit_code == Some(3) { "ended with exit code 3" } else { "did not end within 600 s" }.into(),
        exit_code,
        last_lines: lines.iter().map(|line| (*line).to_owned()).collect(),
    };
    let full = || NodeFailure {
        code: FailureCode::ScriptFailed,
        message: "2 of 5 scripts failed".into(),
        scripts: vec![
            script("10-emacs.sh", Some(3), &["Reading package lists", "E: Unable to locate package emcas"]),
            script("20-data.sh", None, &[]),
        ],
        more_scripts: 4,
    };
    let bare = |code: &FailureCode| NodeFailure { code: *code, message: String::new(), scripts: vec![], more_scripts: 0 };
    let failed = |node: NodeFailure| {
        let words = format!("Received FAILURE signal with UniqueId {}", node.code);
        let cause =
            Cause { node: Some(Box::new(node)), ..cause("LoginNode", "AWS::EC2::Instance", "i-0a1b2c", &words, Advice::CheckScripts) };
        Message::Failed { cluster: cluster(), causes: vec![cause], stack: None, rest: Rest::Going }
    };
    FailureCode::VARIANTS.iter().map(bare).chain([full()]).map(failed).collect()
}

fn left() -> Cause {
    let reason = "resource sg-0a1b has a dependent object";
    cause("LoginSecurityGroup", "AWS::EC2::SecurityGroup", "sg-0a1b", reason, Advice::TellAdministrator)
}

fn stack_reason() -> StackReason {
    StackReason { reason: Some("The following resource(s) failed to create: [LoginNode].".into()), is_unread: true }
}

fn remains() -> Remains {
    Remains { resources: vec![left()], stack: None }
}

fn types() -> BTreeMap<String, String> {
    [("compute".to_owned(), "r4.large".to_owned()), ("login".to_owned(), "c4.large".to_owned())].into()
}

/// A file with every mistake that the lenient reader knows by name.
const MISTAKES: &str =
    "---\n```json\nA = enabled; B: True # x\n'C': 'say \"x\"', `D`: 1,,\n\"E\" 1 \"F\": \"2,\n\"G\": \"\u{7}\u{a0}\u{201c}\"";

/// Types that a Region does not have, with each advice, and values that break a constraint that this template does not have.
fn elsewhere() -> Vec<Problem> {
    let near = || vec!["r6i.large-2C-16GB".to_owned(), "m6i.large-2C-8GB".to_owned()];
    let default = || "c6i.large-2C-4GB".to_owned();
    let of_region = |advice| Wrong::NotInRegion { kind: "r4.large".into(), region: "ap-southeast-6".into(), advice };
    [
        of_region(RegionAdvice::Nearest { near: near(), default: default() }),
        of_region(RegionAdvice::ByName { size: "ComputeInstanceType", other: "ComputeInstanceTypeOther", near: near() }),
        of_region(RegionAdvice::Default(default())),
        of_region(RegionAdvice::NoGpus { default: default() }),
        Wrong::TooManyBytes { has: 4097, most: 4096 },
        Wrong::TooShort { has: 1, least: 2 },
        Wrong::TooLong { has: 65, most: 64 },
        Wrong::Pattern { meaning: Some("write letters only".into()), pattern: "[a-z]+".into() },
        Wrong::Pattern { meaning: None, pattern: "[a-z]+".into() },
    ]
    .map(|wrong| Problem::Parameter(Box::new(ParameterProblem { name: "P".into(), value: "x".into(), wrong, odd: None })))
    .to_vec()
}

/// What is wrong with requests, one of each kind.
fn wrong_requests() -> Vec<Problem> {
    let long = format!("{{\"{}\": 1}}", "x".repeat(70_000));
    let bodies: &[&[u8]] = &[
        long.as_bytes(),
        b"",
        b"null",
        b"7",
        b"\"{'A': 1}\"",
        b"[{\"A\": 1}]",
        b"[{\"ParameterKey\": \"A\", \"ParameterValue\": \"1\"}]",
        b"\x1F\x8B\x08\0",
        b"{\0}\0",
        b"\0\0\0{\0\0\0}",
        b"{\"A\": \"\xFCber\"}",
        b"{\"A\": \"\x81\"}",
        b"\0\x01\x02\x03\x04\x05\x06\x07",
        "{ \u{201c}ComputeMaxNodes\u{201d}: 2, }".as_bytes(),
        b"{\"A\": 1}}",
        b"{} {}",
        b"{\"A\": }",
        b"{\"A\": null, \"B\": [1], \"C\": {}, \"Parameters\": {}, \"D\": \"{{resolve:ssm:x}}\", \"E\": \"\\u0007\", \"F\": 1, \"F\": 2}",
        b"{\"A\": \"\\ud800\", \"B\\n\": 1}",
        b"{\"AccessUsername\": \"root\", \"ComputeSpotPrize\": 1, \"Colour\": \"red\"}",
        b"{\"ComputeMaxNodes\": \"99\"}",
        b"{\"ComputeInitialNodes\": \"9\", \"ComputeMaxNodes\": \"3\"}",
        b"{\"MasterSystemVolumeSize\": \"8\", \"ComputeSpotPrice\": \"cheap\", \"AutoscalingPolicy\": \"on\"}",
        b"{\"MasterInstanceTypeOther\": \"r4.lage-2C-15.25GB\", \"ComputeInstanceTypeOther\": \"abacus\"}",
        b"{\"ComputeMaxNodes\": \"many\", \"ComputeInitialNodes\": \"\", \"MasterSystemVolumeSize\": \"20.5\"}",
        b"{\"ComputeInitialNodes\": \"9\", \"ComputeMaxNodes\": \"33\"}",
        "{\"ComputeMaxNodes\": \"\u{a0}2\u{200b}\", \"Compute\u{2011}MaxNodes\": 3}".as_bytes(),
        b"{\"ComputeOnDemandMaxNodes\": 5}",
        b"{\"VolumeEncryptionPolicy\": \"unencrypted\", \"SchedulerType\": \"torque\", \"PreloadSoftware\": \"cfd\"}",
        b"{\"AvailabilityZone\": \"eu-west-2c\", \"HomeVolumeId\": \"vol-0a1b2c3d\"}",
        b"{\"VolumeLayout\": \"discrete.home\", \"HomeVolumeType\": \"cold-hdd.sc1\"}",
        b"{\"ComputeOnDemandMaxNodes\": \"2\", \"ComputeSpotPrice\": \"0\"}",
        "{\"AutoscalingPolicy\": \"“enabled”\", \"Compute\u{200b}MaxNodes\": 3}".as_bytes(),
    ];
    let read = |body: Body| requested_parameters::read(&body, &testing::settings()).err().unwrap_or_default();
    let mut problems: Vec<Problem> = bodies.iter().flat_map(|bytes| read(Body::Read(bytes.to_vec()))).collect();
    problems.extend(read(Body::Unreadable("403 AccessDenied".into())));
    problems.extend(read(Body::Unread));
    problems.extend(read(Body::Read(MISTAKES.as_bytes().to_vec())));
    problems.extend([Some(42), None].map(|more| Problem::File(FileProblem::MoreLines(more))));
    let few_nodes = Settings { nodes_max: 2, ..testing::settings() };
    problems.extend(requested_parameters::read(&Body::Read(b"{}".to_vec()), &few_nodes).err().unwrap_or_default());
    problems.extend(elsewhere());
    let mut site = testing::settings();
    site.fixed.remove(&SystemValue::Zone);
    site.fixed.insert(SystemValue::HomeNfs, "fs.site.example:/homes".into());
    let volumes = b"{\"VolumeLayout\": \"discrete.home\", \"AvailabilityZone\": \"eu-west-2a\"}".to_vec();
    problems.extend(requested_parameters::read(&Body::Read(volumes), &site).err().unwrap_or_default());
    let mut x86_only = testing::settings();
    x86_only.fixed.remove(&SystemValue::AgentArm);
    let arm = b"{\"MasterInstanceTypeOther\": \"t4g.large\"}".to_vec();
    problems.extend(requested_parameters::read(&Body::Read(arm), &x86_only).err().unwrap_or_default());
    let mut profile = Profile::default();
    profile.note("README.txt", 10);
    profile.note("old/", 0);
    let user = testing::cluster("alice", "demo").user;
    problems.push(Problem::NoProfile { user: user.clone(), others: None });
    problems.push(Problem::NoProfile { user, others: profile.others().cloned() });
    problems.push(Problem::OldFoundation { prefix: "clusterdrop".into() });
    problems.push(Problem::Crowded { key: key("home/alice/demo.cf-create") });
    problems.push(Problem::Spread { key: key("home/alice/demo.cf-create") });
    problems
}

fn answers() -> Vec<Message> {
    let (cluster, at) = (cluster(), at());
    let mut all: Vec<Message> =
        wrong_requests().into_iter().map(|problem| Message::Refused { cluster: cluster.clone(), problems: vec![problem] }).collect();
    all.extend(
        ["home/x.cf-create", "home/alice/a_b.cf-create", "home/alice/a+b.cf-delete", "home/alice//x.cf-create", "home/-a/x.cf-create"]
            .map(|text| Message::WrongKey(wrong_key(text))),
    );
    all.push(Message::WrongKey(wrong_key(&format!("home/alice/{}.cf-create", "x/".repeat(600)))));
    all.extend(["home/alice/demo.cf-create.txt", "home/alice/a b.CF-DELETE"].map(|text| Message::LookAlike(wrong_key(text))));
    let c = || cluster.clone();
    let failed = |rest| Message::Failed { cluster: c(), causes: vec![no_capacity()], stack: None, rest };
    let undeletable = |is_protected, creation| Message::Undeletable {
        cluster: c(),
        stack: stack(),
        why: "ValidationError: Stack cannot be deleted while TerminationProtection is enabled".into(),
        is_protected,
        creation,
        left: vec![],
    };
    let creation = |is_cleared| Some(FailedCreation { causes: vec![no_capacity()], stack: None, is_cleared });
    let others = vec![testing::cluster("alice", "other").name];
    all.extend([
        Message::Created { login: "198.51.100.7".into() },
        Message::NotRemoved { cluster: c(), problem: Problem::Crowded { key: key("home/alice/demo.cf-delete") } },
        Message::NoLogin { cluster: c(), stack: stack(), output: "AccessIP".into() },
        Message::RemovedWhileMade { cluster: c() },
        Message::Differs {
            cluster: c(),
            differences: vec![Difference { parameter: "ComputeMaxNodes".into(), has: "8".into(), asked: "4".into() }],
        },
        Message::Occupied { cluster: c() },
        Message::Withdrawn { cluster: c(), tied: None },
        Message::Withdrawn { cluster: c(), tied: Some(at) },
        Message::Overtaken { cluster: c() },
        Message::NoSuchCluster { cluster: c(), others: vec![], tied: None },
        Message::NoSuchCluster { cluster: c(), others, tied: Some(at) },
        Message::Deleted { cluster: c(), at, stack: stack(), types: types() },
        Message::Removed { cluster: c(), at, stack: stack(), types: BTreeMap::new() },
        Message::ClearedAway { cluster: c(), at },
        failed(Rest::Going),
        failed(Rest::Gone),
        failed(Rest::Tried(vec![left()])),
        failed(Rest::Stuck(vec![left()])),
        Message::Failed { cluster: c(), causes: vec![], stack: Some(stack_reason()), rest: Rest::Going },
        Message::Stuck { cluster: c(), was_made: true, causes: vec![], remains: remains() },
        Message::Stuck { cluster: c(), was_made: false, causes: vec![no_capacity()], remains: remains() },
        Message::Leftover { cluster: c(), remains: remains() },
        Message::Planned { cluster: c() },
        Message::Declined { cluster: c(), why: "LimitExceededException: Limit for stack has been exceeded".into(), advice: Advice::Quota },
        undeletable(true, None),
        undeletable(false, creation(true)),
        undeletable(false, creation(false)),
    ]);
    all.extend(login_failures());
    all
}

fn states() -> Vec<StateText> {
    let login = || "198.51.100.7".to_owned();
    let nodes =
        NodesMissing { reason: "We currently do not have sufficient r4.large capacity".into(), advice: Advice::TryLater { zones: vec![] } };
    vec![
        StateText::Starting,
        StateText::NotTaken { since: at() },
        StateText::Creating(Some(Progress { done: 3, total: 12 })),
        StateText::Creating(None),
        StateText::Ready { login: login(), nodes: None, scheduler: None },
        StateText::Ready { login: login(), nodes: Some(nodes.clone()), scheduler: None },
        StateText::Ready { login: login(), nodes: None, scheduler: Some(testing::scheduler_report().into()) },
        StateText::Ready { login: login(), nodes: Some(nodes), scheduler: Some(testing::scheduler_report().into()) },
        StateText::NoLogin,
        StateText::Failed,
        StateText::Deleting,
        StateText::DeletingAfterChange,
        StateText::DeletingAfterRollback,
        StateText::DeletingAfterStart,
        StateText::Deleted,
        StateText::Removed,
        StateText::Stuck,
    ]
}

fn mails() -> Vec<Mail> {
    let answer = || Message::RemovedWhileMade { cluster: cluster() };
    let asked_by = || key("home/alice/demo.cf-create");
    let encoded = format!("Encoded authorization failure message: {}", "Ab-9_".repeat(10));
    let full = || Full { reasons: vec![("LoginNode".into(), encoded.clone())], unread: vec!["DescribeStackEvents: no answer".into()] };
    let news = vec![
        News::Ready { login: "198.51.100.7".into(), asked_by: asked_by(), accepted: at() },
        News::NoLogin { asked_by: asked_by() },
        News::Failed { asked_by: asked_by(), answer: answer(), full: full() },
        News::Unreadable { file: asked_by(), answer: answer() },
        News::Gone,
        News::Removed,
        News::Stuck { answer: answer(), full: full() },
        News::Occupied,
    ];
    let mail = |news| Mail { cluster: testing::cluster("alice", "demo"), stack: stack(), deployment: "cluster-service".into(), news };
    news.into_iter().map(mail).collect()
}

fn advices() -> Vec<Advice> {
    let zones = || vec!["eu-west-2a".to_owned(), "eu-west-2b".to_owned()];
    vec![
        Advice::CheckScripts,
        Advice::TryLater { zones: zones() },
        Advice::AnotherType { zones: zones() },
        Advice::UnknownType,
        Advice::LargerDisk { parameter: "MasterSystemVolumeSize", least: "20".into() },
        Advice::LargerDiskOfSite { least: "20".into() },
        Advice::NoAddresses,
        Advice::SpotQuota { may_ask_on_demand: true },
        Advice::HigherPrice { least: Some("0.05".into()) },
        Advice::HigherPrice { least: None },
        Advice::NoMachinesOfKind,
        Advice::FewerNodes,
        Advice::ServiceRole,
        Advice::Image,
        Advice::Hook,
        Advice::Key,
        Advice::Right,
        Advice::RoleTooNew,
        Advice::Verification,
        Advice::Quota,
        Advice::Throttled,
        Advice::Internal,
        Advice::Exists,
        Advice::TellAdministrator,
        Advice::AdministratorKnows,
    ]
}

/// That each variant has an example, by its name.
fn assert_all(shown: impl IntoIterator<Item = &'static str>, variants: &[&'static str]) {
    let shown: BTreeSet<&str> = shown.into_iter().collect();
    let missing: Vec<_> = variants.iter().filter(|name| !shown.contains(*name)).collect();
    assert!(missing.is_empty(), "without an example: {missing:?}");
}

#[test]
fn every_sentence_that_people_read_is_shown_with_an_example() {
    let (answers, states, mails, advices) = (answers(), states(), mails(), advices());
    let mistakes = wrong_requests().into_iter().filter_map(|problem| match problem {
        Problem::File(FileProblem::Line { mistakes, .. }) => Some(mistakes),
        _ => None,
    });
    let rules = wrong_requests().into_iter().filter_map(|problem| match problem {
        Problem::Parameter(problem) => Some(problem.wrong),
        _ => None,
    });
    let rules: Vec<Rule> = rules.filter_map(|wrong| if let Wrong::Rule(rule) = wrong { Some(rule) } else { None }).collect();
    assert_all(rules.iter().map(<&str>::from), Rule::VARIANTS);
    assert_all(mistakes.flatten().map(|(mistake, _)| (&mistake).into()), Mistake::VARIANTS);
    assert_all(answers.iter().map(Message::name), Message::VARIANTS);
    assert_all(states.iter().map(<&str>::from), StateText::VARIANTS);
    assert_all(mails.iter().map(Mail::name), News::VARIANTS);
    assert_all(advices.iter().map(<&str>::from), Advice::VARIANTS);
    let mut all = String::from("# Final answers\n");
    for message in &answers {
        let _ = write!(all, "\n## {} ({})\n\n{message}", message.name(), message.answer().suffix());
    }
    all.push_str("\n# The message in .cf-status\n\n");
    for text in &states {
        let _ = writeln!(all, "- {}: {text}", <&str>::from(text));
    }
    all.push_str("\n# Mails to the administrator\n");
    for mail in &mails {
        let _ = write!(all, "\n## {}\n\n{}\n\n{}", mail.name(), mail.subject(), mail.body());
    }
    all.push_str("\n# What to do about what AWS says\n\n");
    for advice in &advices {
        let _ = writeln!(all, "- {}: {advice}", <&str>::from(advice));
    }
    all.push_str("\n# What a file may be instead of a request\n\n");
    for format in Format::VARIANTS {
        let _ = writeln!(all, "- {}: {format}", <&str>::from(format));
    }
    insta::assert_snapshot!("messages", all);
}

#[test]
fn try_again_is_said_of_what_can_pass_and_of_nothing_else() {
    for advice in advices() {
        assert_eq!(advice.to_string().contains("try again"), advice.is_to_wait(), "{advice}");
        assert_eq!(advice.to_string().contains("offer"), matches!(advice, Advice::HigherPrice { .. }), "{advice}");
    }
}
