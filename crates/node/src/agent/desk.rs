//! The login node's desk: it answers what the other nodes ask. Which machine is which node is on the disk before an answer that depends
//! on it goes out: in the book of scaling ([`Keeper`]) where there is a scheduler, else in the book of numbers ([`Assignment`]).

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::watch;

use super::assignment::{Assignment, Rules};
use crate::customize::lists::ProfileList;
use crate::customize::remote;
use crate::exchange;
use crate::exchange::agent::Service;
use crate::exchange::wire::Answer;
use crate::members::state::{Entry, State};
use crate::node::{Layout, NodeName};
use crate::request::{Asks, Configuration, Given, Noted, Refusal, Request};
use crate::scaling::keeper::Keeper;
use crate::state_file::{self, StateError};

/// The tag of a member that names its machine (facts B.8).
pub const INSTANCE_TAG: &str = "aws_instanceid";

/// The desk.
pub struct Desk {
    names: Names,
    layout: Layout,
    exchange: Option<Arc<Service>>,
}

/// Who gives names.
enum Names {
    /// Any free number is a node's.
    Numbers(Numbers),
    /// Slurm wants certain nodes.
    Wanted(Arc<Keeper>),
}

/// The book of numbers.
struct Numbers {
    book: Mutex<Book>,
    path: PathBuf,
    nodes_max: u32,
    rules: Rules,
    started: Instant,
    expected: watch::Sender<BTreeSet<NodeName>>,
}

struct Book {
    assignment: Assignment,
    /// The disk did not take the last change: nothing is answered from the book until it does.
    unsaved: bool,
}

/// An answer; each question's own.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Reply {
    /// To a machine that asks which node it is.
    Configuration(Configuration),
    /// To a command on another node.
    Customize(remote::Answer),
    /// To a participant of the exchange.
    Exchange(Box<Answer>),
    /// To a machine that EC2 takes back.
    Noted(Noted),
}

/// Answers on a compute node, which is no login node: it gives no names, and no exchange has its rounds there.
pub async fn answer_on_compute_node(request: Request, customize: &remote::Desk) -> Reply {
    match request {
        Request::Customize(request) => Reply::Customize(customize.handle(request).await),
        Request::Exchange(_) => no_exchange(),
        Request::Configuration(_) => Reply::Configuration(Configuration::Refused(Refusal::NoLoginNode)),
        Request::Interrupted(_) => Reply::Noted(Noted { written: false }),
    }
}

/// Who asks again at once would ask for ever.
fn no_exchange() -> Reply {
    Reply::Exchange(Box::new(Answer { refused: Some(exchange::wire::Refusal::Unsaved), ..Answer::default() }))
}

/// Where the book lies.
pub fn path(layout: &Layout) -> PathBuf {
    layout.state().join("assignment.json")
}

impl Desk {
    /// The desk with the book of an earlier process, or a new one. A book that cannot be read is begun anew with the members that the
    /// gossip knew last, and the error comes beside the desk. `exchange`: `None` where the exchange's state cannot be read.
    pub fn open(layout: &Layout, nodes_max: u32, rules: Rules, exchange: Option<Arc<Service>>) -> (Self, Option<StateError>) {
        let (numbers, error) = Numbers::open(layout, nodes_max, rules);
        (Self { names: Names::Numbers(numbers), layout: layout.clone(), exchange }, error)
    }

    /// The desk of a cluster with a scheduler.
    pub fn with_scheduler(layout: &Layout, keeper: Arc<Keeper>, exchange: Option<Arc<Service>>) -> Self {
        keeper.adopt(&members(layout));
        Self { names: Names::Wanted(keeper), layout: layout.clone(), exchange }
    }

    /// The nodes that the exchange expects, as they change.
    pub fn expected(&self) -> watch::Receiver<BTreeSet<NodeName>> {
        match &self.names {
            Names::Numbers(numbers) => numbers.expected.subscribe(),
            Names::Wanted(keeper) => keeper.expected(),
        }
    }

    /// Answers one question; `customize` answers those that every node answers.
    pub async fn answer(&self, request: Request, customize: &remote::Desk) -> Reply {
        match request {
            Request::Exchange(poll) => {
                let Some(exchange) = &self.exchange else { return no_exchange() };
                Reply::Exchange(Box::new(exchange.answer(*poll).await))
            }
            Request::Customize(request) => Reply::Customize(customize.handle(request).await),
            Request::Configuration(asks) => Reply::Configuration(self.configuration(&asks)),
            Request::Interrupted(interrupted) => Reply::Noted(self.interrupted(&interrupted.instance)),
        }
    }

    fn configuration(&self, asks: &Asks) -> Configuration {
        let answer = match &self.names {
            Names::Numbers(numbers) => numbers.ask(asks),
            Names::Wanted(keeper) => keeper.ask(asks),
        };
        match answer {
            Ok(name) => {
                tracing::info!(node = %name, instance = asks.instance, address = %asks.address, "a machine asked which node it is");
                Configuration::Given(Given { name, profiles: profiles_of_compute_nodes(&self.layout), inputs: BTreeMap::new() })
            }
            Err(refusal) => {
                tracing::warn!(instance = asks.instance.escape_debug().take(80).collect::<String>(), "a machine is no node now: {refusal}");
                Configuration::Refused(refusal)
            }
        }
    }

    /// Without a scheduler there is nothing to drain.
    fn interrupted(&self, instance: &str) -> Noted {
        let Names::Wanted(keeper) = &self.names else { return Noted { written: true } };
        match keeper.interrupted(instance) {
            Ok(Some(node)) => tracing::warn!(%node, "EC2 takes this node's machine back"),
            Ok(None) => tracing::info!("EC2 takes a machine back that is no node"),
            Err(error) => {
                tracing::error!("that EC2 takes a machine back cannot be written down: {error}");
                return Noted { written: false };
            }
        }
        Noted { written: true }
    }

    /// Follows the members, as the gossip writes them down, until its future is dropped.
    pub async fn follow(&self, look: Duration) {
        loop {
            let members = members(&self.layout);
            match &self.names {
                Names::Numbers(numbers) => numbers.present(&members),
                Names::Wanted(keeper) => keeper.adopt(&members),
            }
            tokio::time::sleep(look).await;
        }
    }
}

impl Numbers {
    /// See [`Desk::open`].
    fn open(layout: &Layout, nodes_max: u32, rules: Rules) -> (Self, Option<StateError>) {
        let path = path(layout);
        let (mut assignment, error) = match state_file::load::<Assignment>(&path) {
            Ok(assignment) => (assignment.unwrap_or_default(), None),
            Err(error) => (Assignment::default(), Some(error)),
        };
        if error.is_some() {
            assignment.present(&members(layout), &rules, Duration::ZERO);
        }
        assignment.start();
        let expected = watch::Sender::new(assignment.expected());
        let book = Mutex::new(Book { assignment, unsaved: error.is_some() });
        (Self { book, path, nodes_max, rules, started: Instant::now(), expected }, error)
    }

    fn ask(&self, asks: &Asks) -> Result<NodeName, Refusal> {
        let answer = self.with_book(|book, now| {
            let decision = book.ask(asks, self.nodes_max, &self.rules, now);
            (decision.answer, decision.save)
        });
        answer.unwrap_or(Err(Refusal::Unsaved))
    }

    fn present(&self, members: &BTreeMap<NodeName, Asks>) {
        self.with_book(|book, now| ((), book.present(members, &self.rules, now).save));
    }

    /// Changes the book, and writes it down. `None` where the disk does not take it.
    fn with_book<T>(&self, change: impl FnOnce(&mut Assignment, Duration) -> (T, bool)) -> Option<T> {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let (answer, save) = change(&mut book.assignment, self.started.elapsed());
        if save || book.unsaved {
            let saved = state_file::save(&self.path, &book.assignment);
            if let Err(error) = &saved {
                tracing::error!("which machine is which node: {error}");
            }
            book.unsaved = saved.is_err();
        }
        if book.unsaved {
            return None;
        }
        let expected = book.assignment.expected();
        drop(book);
        self.expected.send_if_modified(|before| std::mem::replace(before, expected.clone()) != expected);
        Some(answer)
    }
}

/// The members as the gossip wrote them down last, each with its machine. A list that cannot be read is the gossip's to report; all
/// are away then.
fn members(layout: &Layout) -> BTreeMap<NodeName, Asks> {
    let Ok(state) = State::read(layout) else { return BTreeMap::new() };
    let machine = |entry: Entry| {
        let instance = entry.member.tags().get(INSTANCE_TAG)?.clone();
        Some((entry.member.name(), Asks { instance, address: entry.member.ip(), group: None }))
    };
    state.members.into_iter().filter_map(machine).collect()
}

/// The profiles that compute nodes get beside the others: `cf-node customize slave`.
fn profiles_of_compute_nodes(layout: &Layout) -> Vec<String> {
    let names =
        ProfileList::for_slaves(layout).read().inspect_err(|error| tracing::error!("{error}; compute nodes get no further profiles"));
    names.unwrap_or_default().into_iter().map(String::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn desk(layout: &Layout) -> Desk {
        std::fs::create_dir_all(layout.state()).unwrap();
        let exchange = Arc::new(Service::open(layout, 500).unwrap());
        Desk::open(layout, 2, Rules::default(), Some(exchange)).0
    }

    fn ask(desk: &Desk, instance: &str) -> Configuration {
        desk.configuration(&Asks { instance: instance.to_owned(), address: "10.0.0.7".parse().unwrap(), group: None })
    }

    fn name(configuration: &Configuration) -> Option<String> {
        if let Configuration::Given(given) = configuration { Some(given.name.to_string()) } else { None }
    }

    #[test]
    fn a_number_survives_the_login_node_and_is_on_the_disk_before_it_is_answered() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::below(folder.path());
        let first = desk(&layout);
        assert_eq!(name(&ask(&first, "i-a")).as_deref(), Some("compute-1"));
        assert_eq!(name(&ask(&first, "i-b")).as_deref(), Some("compute-2"));
        drop(first);
        let again = desk(&layout);
        assert_eq!(name(&ask(&again, "i-b")).as_deref(), Some("compute-2"));
        assert!(matches!(ask(&again, "i-c"), Configuration::Refused(Refusal::Full { nodes_max: 2 })));
        assert_eq!(again.expected().borrow().len(), 3);
    }

    #[tokio::test]
    async fn who_asks_where_no_exchange_is_coordinated_does_not_ask_again_at_once() {
        use crate::exchange::participant::{Event, Participant, Then};
        use crate::exchange::wire::Poll;
        let mut participant = Participant::new(NodeName::LOGIN, "i".to_owned());
        let holds = BTreeMap::new();
        let poll = Poll { node: NodeName::LOGIN, instance: "i".to_owned(), holds, report: None, ran: Vec::new(), wait: true };
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::below(folder.path());
        let desk = Desk::open(&layout, 2, Rules::default(), None).0;
        let customize = remote::Desk::applying(Arc::clone(&crate::customize::testing::Node::new().applier));
        for reply in [
            desk.answer(Request::Exchange(Box::new(poll.clone())), &customize).await,
            answer_on_compute_node(Request::Exchange(Box::new(poll)), &customize).await,
        ] {
            let Reply::Exchange(answer) = reply else { panic!("{reply:?}") };
            let Then::Poll { after_ms, .. } = participant.handle(Event::Answer(*answer)).then else { panic!("nothing is to be run") };
            assert!(after_ms >= 1_000, "{after_ms}");
        }
    }

    #[test]
    fn a_book_that_cannot_be_read_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::below(folder.path());
        std::fs::create_dir_all(layout.state()).unwrap();
        std::fs::write(path(&layout), "{").unwrap();
        let (desk, error) = Desk::open(&layout, 2, Rules::default(), None);
        assert!(matches!(error, Some(StateError::Malformed(..))));
        assert_eq!(name(&ask(&desk, "i-a")).as_deref(), Some("compute-1"));
        assert!(Desk::open(&layout, 2, Rules::default(), None).1.is_none(), "the new one is on the disk");
    }

    #[test]
    fn a_disk_that_takes_nothing_gives_no_number_until_it_does() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::below(folder.path());
        let desk = desk(&layout);
        std::fs::remove_dir_all(layout.state()).unwrap();
        assert_eq!(ask(&desk, "i-a"), Configuration::Refused(Refusal::Unsaved));
        assert_eq!(desk.expected().borrow().len(), 1, "nobody expects a node that was not answered");
        std::fs::create_dir_all(layout.state()).unwrap();
        assert_eq!(name(&ask(&desk, "i-b")).as_deref(), Some("compute-2"), "i-a holds the first, and may ask again");
        assert_eq!(name(&ask(&desk, "i-a")).as_deref(), Some("compute-1"));
    }
}
