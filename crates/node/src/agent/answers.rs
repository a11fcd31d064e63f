//! Answers what other nodes ask over the link: on the login node which node a machine is and what the exchange runs, on every node
//! for `cf-node customize apply` of another.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::sleep;

use super::daemon::End;
use super::desk::{Desk, answer_on_compute_node};
use super::link_address;
use super::node::Node;
use super::seek::Found;
use super::services::{START_AGAIN, report_once, solved};
use super::world::World;
use crate::customize::apply::{Applier, Fetch};
use crate::customize::remote;
use crate::exchange::agent::{Profiles, Service, uncoordinated};
use crate::fetch::{FetchError, Fetched};
use crate::link::{self, Counters, Limits};
use crate::scaling::keeper::Keeper;
use crate::state_file::StateError;

/// Answers the other nodes on the login node: which node a machine is, and the exchange.
pub async fn login_node<W: World>(
    node: Arc<Node<W>>,
    found: Found,
    profiles: watch::Receiver<Profiles>,
    keeper: Option<Arc<Keeper>>,
) -> Result<(), End> {
    let layout = &node.options.layout;
    let exchange = match Service::open(layout, node.options.timing.exchange_grace_ms) {
        Ok(service) => Some(Arc::new(service)),
        Err(error) => {
            tracing::error!("no exchange step is run: {error}");
            node.take_standing(uncoordinated(layout, &profiles.borrow(), &error));
            None
        }
    };
    let desk = Arc::new(desk(&node, keeper, exchange.clone()));
    let (answering, customize) = (Arc::clone(&desk), Arc::new(customize_desk(&node)));
    let handler = move |_, request| {
        let (desk, customize) = (Arc::clone(&answering), Arc::clone(&customize));
        async move { desk.answer(request, &customize).await }
    };
    let follow_exchange = async {
        match &exchange {
            Some(service) => {
                let mut standing = service.standing();
                let take = async {
                    loop {
                        node.take_standing(standing.borrow_and_update().clone());
                        // The service outlives this.
                        let _ = standing.changed().await;
                    }
                };
                tokio::select! {
                    _ = service.follow(desk.expected(), profiles) => {}
                    () = take => {}
                }
            }
            None => std::future::pending().await,
        }
    };
    // The rest does not wait for a port that is in use.
    let answer = async {
        let listener = listen(&node, &found).await;
        link::serve(listener, found.link_key.clone(), Limits::default(), Arc::new(Counters::default()), handler).await;
    };
    tokio::select! {
        () = answer => {}
        () = desk.follow(node.options.timing.look) => {}
        () = follow_exchange => {}
    }
    Err(End::Broken("the login node's answers ended by themselves".to_owned()))
}

fn desk<W: World>(node: &Node<W>, keeper: Option<Arc<Keeper>>, exchange: Option<Arc<Service>>) -> Desk {
    let layout = &node.options.layout;
    let Some(keeper) = keeper else {
        let (desk, error) = Desk::open(layout, node.settings.nodes_max, node.options.timing.rules, exchange);
        if let Some(error) = error {
            book_is_lost(node, &error);
        }
        return desk;
    };
    Desk::with_scheduler(layout, keeper, exchange)
}

/// Which machine is which node is not to be read.
pub(super) fn book_is_lost<W: World>(node: &Node<W>, error: &StateError) {
    tracing::error!("{error}");
    node.reporter.problem(&format!("which machine is which node was lost, and is begun anew with the nodes that are there: {error}"));
}

/// Answers other nodes on a compute node: `cf-node customize apply --all` asks every node.
pub async fn compute_node<W: World>(node: Arc<Node<W>>, found: Found) -> Result<(), End> {
    let listener = listen(&node, &found).await;
    let customize = Arc::new(customize_desk(&node));
    let handler = move |_, request| {
        let customize = Arc::clone(&customize);
        async move { answer_on_compute_node(request, &customize).await }
    };
    link::serve(listener, found.link_key, Limits::default(), Arc::new(Counters::default()), handler).await;
    Err(End::Broken("the node's answers ended by themselves".to_owned()))
}

/// Applies profiles that commands on other nodes ask for.
fn customize_desk<W: World>(node: &Arc<Node<W>>) -> remote::Desk {
    let recording = Arc::clone(node);
    remote::Desk::applying(Arc::new(Applier {
        store: Arc::clone(node.world.store()),
        fetch: ByWorld(Arc::clone(node)),
        settings: node.settings.as_ref().clone(),
        layout: node.options.layout.clone(),
        hooks: Arc::clone(&node.hooks),
        failures: Arc::new(move |report| recording.record(report)),
    }))
}

/// Fetches as the boot does.
struct ByWorld<W>(Arc<Node<W>>);

impl<W: World> Fetch for ByWorld<W> {
    async fn fetch(&self, more: &[String]) -> Result<Fetched, FetchError> {
        self.0.world.fetch(more).await
    }
}

async fn listen<W: World>(node: &Node<W>, found: &Found) -> TcpListener {
    let address = link_address(&node.options, found.identity.address);
    let mut reported: Option<String> = None;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => {
                solved(node, reported.as_deref());
                return listener;
            }
            Err(error) => report_once(node, &mut reported, format!("this node cannot answer the other nodes at {address}: {error}")),
        }
        sleep(START_AGAIN).await;
    }
}
