//! The tasks of scaling, where the cluster has a scheduler: on the login node passes and calls, on a spot node the look for its end.

use std::sync::Arc;
use std::time::Duration;

use cf_slurm::group::Group;
use jiff::Timestamp;
use tokio::time::sleep;

use super::answers::book_is_lost;
use super::link_address;
use super::node::Node;
use super::seek::Found;
use super::services::{START_AGAIN, report_current, report_once, solved};
use super::world::World;
use crate::scaling::keeper::Keeper;
use crate::scaling::service::{self, Reports, Shown};
use crate::scaling::{calls, interruption, policy};

/// Between two looks at Slurm's daemon: a look is a program of systemd's, some milliseconds of a processor.
const SCHEDULER_EVERY: Duration = Duration::from_secs(5);

/// The keeper of the login node's book; `None` where there is no scheduler.
pub fn keeper<W: World>(node: &Node<W>) -> Option<Arc<Keeper>> {
    let (keeper, errors) = Keeper::open(&node.options.layout, policy(&node.settings)?, Timestamp::now);
    for error in errors {
        book_is_lost(node, &error);
    }
    Some(Arc::new(keeper))
}

/// Starts and ends machines as Slurm wants them.
pub async fn scaling<W: World>(node: Arc<Node<W>>, keeper: Arc<Keeper>) {
    let mut reported = Vec::new();
    let mut problems = |now: Vec<String>| report_current(&node, &mut reported, now);
    let reports = Reports { problems: &mut problems, shown: &node.slurm };
    service::follow(&node.world, keeper, reports, Timestamp::now).await;
}

/// Reports what Slurm shows, as it changes. The reporter writes it once a minute at most.
pub async fn shown<W: World>(node: Arc<Node<W>>) {
    let mut shown = node.slurm.subscribe();
    loop {
        let report = {
            let Shown { summary, notes } = &*shown.borrow_and_update();
            summary.as_ref().map(|summary| summary.report(notes))
        };
        node.reporter.change(|contents| contents.scheduler = report);
        if shown.changed().await.is_err() {
            // The node has its sender as long as it lives.
            std::future::pending::<()>().await;
        }
    }
}

/// Answers what Slurm's programs and root ask on this machine.
pub async fn calls<W: World>(node: Arc<Node<W>>, keeper: Arc<Keeper>) {
    let mut reported: Option<String> = None;
    loop {
        match calls::listen(&node.options.layout) {
            Ok(listener) => {
                solved(&node, reported.as_deref());
                return calls::serve(listener, &node.options.layout, keeper).await;
            }
            Err(error) => report_once(&node, &mut reported, format!("Slurm cannot call the agent, so nodes start late: {error}")),
        }
        sleep(START_AGAIN).await;
    }
}

/// On a spot machine, waits until EC2 takes it back, and tells the login node.
pub async fn interruption<W: World>(node: Arc<Node<W>>, found: Found) {
    if node.settings.scheduler.as_ref().is_some_and(|scheduler| scheduler.group == Some(Group::Spot)) {
        let time = interruption::notice(&node.world, interruption::LOOK).await;
        let text = format!("EC2 takes this spot machine back: {time}");
        tracing::warn!("{text}");
        node.reporter.change_now(|contents| contents.problem(&text));
        interruption::tell(link_address(&node.options, found.login), &found.link_key, &found.identity.instance).await;
    }
    std::future::pending::<()>().await;
}

/// Looks after Slurm's daemon of this node from its start on: one that ended is started again, and that is reported.
pub async fn daemon<W: World>(node: Arc<Node<W>>, found: Found) {
    let _ = node.scheduler.subscribe().wait_for(|started| *started).await;
    let (mut ends, mut reported) = (0, None);
    let mut restarts = node.world.scheduler_state().await.restarts;
    loop {
        sleep(SCHEDULER_EVERY).await;
        let state = node.world.scheduler_state().await;
        let before = (ends, std::mem::replace(&mut restarts, state.restarts));
        ends += state.restarts.saturating_sub(before.1);
        if !state.runs {
            match node.world.start_scheduler(&found).await {
                Ok(_) => ends += 1,
                Err(error) => report_once(&node, &mut reported, format!("Slurm does not run on this node: {error}")),
            }
        }
        if ends > before.0 {
            let text = |ends| format!("Slurm's daemon on this node ended unexpectedly and was started again ({ends} times)");
            tracing::error!("{}", text(ends));
            solved(&node, reported.take().as_deref());
            node.reporter.change(|contents| {
                contents.solved(&text(before.0));
                contents.problem(&text(ends));
            });
        }
    }
}
