//! Tests of what disks that fail do to the exchange.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::TcpListener;

use super::*;
use crate::exchange::run::Ran;
use crate::exchange::wire::{End, Phase, RoundId, Run};
use crate::hooks::Call;
use crate::link::{Counters, Limits};

/// A folder with a profile of one step, and a node's root in it.
fn bed() -> (tempfile::TempDir, Layout, Profiles) {
    let folder = tempfile::tempdir().unwrap();
    let profile = folder.path().join("site");
    std::fs::create_dir_all(profile.join("export.d")).unwrap();
    std::fs::write(profile.join("export.d/a.sh"), "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(profile.join("export.d/a.sh"), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(profile.join("profile.toml"), "[[exchange]]\nname = \"a\"\n").unwrap();
    let layout = Layout::below(folder.path().join("root"));
    (folder, layout, Profiles { folders: vec![("site".to_owned(), profile)], inputs: BTreeMap::new() })
}

fn poll(profiles: &Profiles, layout: &Layout) -> Poll {
    let holds = holds(&load_plan(layout, profiles).0);
    Poll { node: NodeName::LOGIN, instance: "i".to_owned(), holds, report: None, ran: Vec::new(), wait: false }
}

async fn until(what: impl Fn() -> bool) {
    for _ in 0..1_000 {
        if what() {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not come");
}

#[tokio::test]
async fn a_coordinator_whose_disk_takes_no_state_gives_nobody_a_script_until_it_does() {
    let (_folder, layout, profiles) = bed();
    let service = Service::open(&layout, 500).unwrap();
    std::fs::remove_dir_all(state_folder(&layout)).unwrap();
    service.plan(&profiles);
    service.expect(&[NodeName::LOGIN].into());
    let answer = service.answer(poll(&profiles, &layout)).await;
    assert_eq!((answer.refused, answer.tasks.len()), (Some(Refusal::Unsaved), 0));
    state_file::private_folder(&state_folder(&layout)).unwrap();
    assert_eq!(service.answer(poll(&profiles, &layout)).await.tasks.len(), 1);
    let again = Service::open(&layout, 500).unwrap();
    assert_eq!(again.desk.lock().unwrap().coordinator.steps().len(), 1, "what was answered is on the disk");
}

#[tokio::test]
async fn an_answer_comes_when_there_is_news() {
    let (_folder, layout, profiles) = bed();
    let service = Arc::new(Service::open(&layout, 500).unwrap());
    service.plan(&profiles);
    let waiting = Arc::clone(&service);
    let asks = Poll { wait: true, ..poll(&profiles, &layout) };
    let answer = tokio::spawn(async move { waiting.answer(asks).await });
    tokio::task::yield_now().await;
    assert!(!answer.is_finished(), "no node is expected yet");
    service.expect(&[NodeName::LOGIN].into());
    let answer = timeout(Duration::from_secs(5), answer).await.unwrap().unwrap();
    assert_eq!(answer.tasks.len(), 1);
}

/// Counts what it is asked to run.
struct Counting(Arc<AtomicUsize>);

impl RunStep for Counting {
    async fn run(&self, _call: Call<'_>) -> Ran {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ran { end: End::Exited { code: 0 }, stdout: Vec::new(), stderr: Vec::new() }
    }
}

#[tokio::test]
async fn a_node_whose_disk_takes_no_record_runs_nothing_until_it_does_and_then_once() {
    let (_folder, layout, profiles) = bed();
    let plan = load_plan(&layout, &profiles).0;
    let task = Task {
        round: RoundId { epoch: "e".to_owned(), number: 1 },
        run: Run { step: plan[0].key.clone(), phase: Phase::Export, config: plan[0].config.clone(), map: None },
        limit_ms: 1000,
        map: None,
        report: true,
    };
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let coordinator = socket.local_addr().unwrap();
    let key = LinkKey::derive(&[1; 32]);
    let (polls, reports, ran) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let broken = state_folder(&layout);
    let (count, count_reports) = (Arc::clone(&polls), Arc::clone(&reports));
    let answer = move |_, request: Request| {
        let Request::Exchange(poll) = request else { panic!("a participant only polls") };
        // The disk is full from the moment of the first poll on.
        if count.fetch_add(1, Ordering::Relaxed) == 0 {
            std::fs::remove_dir_all(&broken).unwrap();
        }
        let acknowledged = poll.report.map(|report| (report.round, report.run));
        count_reports.fetch_add(usize::from(acknowledged.is_some()), Ordering::Relaxed);
        let tasks = if acknowledged.is_some() { Vec::new() } else { vec![task.clone()] };
        async move { Answer { acknowledged, tasks, ..Answer::default() } }
    };
    tokio::spawn(link::serve(socket, key.clone(), Limits::default(), Arc::new(Counters::default()), answer));
    let runner = Counting(Arc::clone(&ran));
    let (cluster, failed, is_named_now) = ("demo".to_owned(), watch::Sender::default(), true);
    let node = Participation { layout: layout.clone(), node: NodeName::LOGIN, cluster, coordinator, key, runner, is_named_now, failed };
    let (_sender, receiver) = watch::channel(profiles);
    let follows = tokio::spawn(async move { node.follow(receiver).await.map(|_| ()) });
    until(|| polls.load(Ordering::Relaxed) >= 2).await;
    assert_eq!(ran.load(Ordering::Relaxed), 0);
    state_file::private_folder(&state_folder(&layout)).unwrap();
    until(|| reports.load(Ordering::Relaxed) > 0).await;
    assert_eq!(ran.load(Ordering::Relaxed), 1);
    follows.abort();
}
