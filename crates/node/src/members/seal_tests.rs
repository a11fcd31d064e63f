use proptest::prelude::*;
use rand::SeedableRng;

use super::*;

const SECRET: [u8; 32] = [7; 32];

struct Node {
    seal: Seal,
    at: SocketAddr,
}

fn node(number: u8) -> Node {
    node_with(number, SECRET)
}

fn node_with(number: u8, secret: [u8; 32]) -> Node {
    let seal = Seal::new(ClusterKey::new(&secret), StdRng::from_seed([number; 32])).unwrap();
    Node { seal, at: SocketAddr::from(([10, 0, 0, number], 7946)) }
}

impl Node {
    fn send(&mut self, to: &Node, text: &str) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        self.seal.send(to.at, text.as_bytes(), &mut out);
        out.into_iter().map(|(_, datagram)| datagram).collect()
    }

    fn open(&mut self, from: SocketAddr, datagram: &[u8]) -> (Result<Option<String>, Refusal>, Vec<Vec<u8>>) {
        let mut out = Vec::new();
        let result = self.seal.open(from, datagram, &mut out);
        assert!(out.iter().all(|(to, _)| *to == from), "answers go where the datagram came from");
        let text = result.map(|payload| payload.map(|payload| String::from_utf8(payload).unwrap()));
        (text, out.into_iter().map(|(_, datagram)| datagram).collect())
    }
}

/// Delivers what one sent, and what follows, until nothing moves; gives the messages that arrived at either.
fn settle(a: &mut Node, b: &mut Node, from_a: Vec<Vec<u8>>) -> Vec<String> {
    let mut texts = Vec::new();
    let mut moving: Vec<(bool, Vec<u8>)> = from_a.into_iter().map(|datagram| (true, datagram)).collect();
    let mut steps = 0;
    while !moving.is_empty() {
        steps += 1;
        assert!(steps < 100, "answers to answers without end");
        let (to_b, datagram) = moving.remove(0);
        let (receiver, from) = if to_b { (&mut *b, a.at) } else { (&mut *a, b.at) };
        let (result, answers) = receiver.open(from, &datagram);
        texts.extend(result.ok().flatten());
        moving.extend(answers.into_iter().map(|answer| (!to_b, answer)));
    }
    texts
}

/// Two nodes that know each other's sessions.
fn acquainted() -> (Node, Node) {
    let (mut a, mut b) = (node(1), node(2));
    let hello = a.send(&b, "first");
    assert_eq!(settle(&mut a, &mut b, hello), ["first"]);
    let hello = b.send(&a, "back");
    assert_eq!(settle(&mut b, &mut a, hello), ["back"]);
    (a, b)
}

#[test]
fn a_message_waits_for_the_handshake_and_then_needs_one_datagram() {
    let (mut a, mut b) = (node(1), node(2));
    let hello = a.send(&b, "one");
    assert_eq!(hello.len(), 1);
    let second = a.send(&b, "two");
    assert_eq!(settle(&mut a, &mut b, hello), ["one", "two"], "both waited, in order");
    assert_eq!(b.open(a.at, &second[0]).0, Ok(None), "the second question is answered again, and no message comes twice");
    let data = a.send(&b, "three");
    assert_eq!((data.len(), b.open(a.at, &data[0]).0), (1, Ok(Some("three".to_owned()))));
}

#[test]
fn four_messages_wait_for_a_peer_and_the_oldest_gives_way() {
    let (mut a, mut b) = (node(1), node(2));
    let hellos: Vec<_> = (0..6).flat_map(|n| a.send(&b, &n.to_string())).collect();
    assert_eq!(settle(&mut a, &mut b, hellos), ["2", "3", "4", "5"]);
}

#[test]
fn both_may_ask_at_once() {
    let (mut a, mut b) = (node(1), node(2));
    let (mut from_a, from_b) = (a.send(&b, "a"), b.send(&a, "b"));
    from_a.extend(from_b.iter().flat_map(|hello| a.open(b.at, hello).1));
    let mut texts = settle(&mut a, &mut b, from_a);
    texts.sort();
    assert_eq!(texts, ["a", "b"]);
}

#[test]
fn a_replayed_datagram_is_refused_in_any_order() {
    let (mut a, mut b) = acquainted();
    let sent: Vec<_> = (0..20).flat_map(|n| a.send(&b, &n.to_string())).collect();
    for datagram in sent.iter().rev() {
        assert!(matches!(b.open(a.at, datagram), (Ok(Some(_)), answers) if answers.is_empty()));
    }
    for datagram in &sent {
        let elsewhere = SocketAddr::from(([10, 9, 9, 9], 1));
        assert_eq!(b.open(elsewhere, datagram), (Err(Refusal::Replayed), vec![]));
    }
}

#[test]
fn what_was_recorded_before_a_restart_is_refused_after_it() {
    let (mut a, mut b) = acquainted();
    let recorded = a.send(&b, "old").remove(0);
    let mut restarted = Node { at: b.at, ..node(3) };
    let (result, answers) = restarted.open(a.at, &recorded);
    assert_eq!((result, answers.len()), (Err(Refusal::OtherSession), 1));
    // The answer makes the living sender ask, and its next message arrives.
    assert_eq!(settle(&mut restarted, &mut a, answers), [""; 0]);
    let next = a.send(&restarted, "new");
    assert_eq!(restarted.open(a.at, &next[0]).0, Ok(Some("new".to_owned())));
    assert_eq!(b.open(a.at, &next[0]).0, Err(Refusal::OtherSession));
}

#[test]
fn a_replayed_hello_changes_nothing_and_costs_one_answer_no_longer_than_itself() {
    let (mut a, mut b) = (node(1), node(2));
    let hello = a.send(&b, "one").remove(0);
    let victim = SocketAddr::from(([10, 9, 9, 9], 1));
    for _ in 0..1_000 {
        let (result, answers) = b.open(victim, &hello);
        assert_eq!((result, answers.len()), (Ok(None), 1));
        assert!(answers[0].len() <= hello.len());
    }
    assert_eq!(b.seal.sizes(), (0, 0));
    // The session that a knows for b stays, whatever old replies come again.
    let (_, reply) = b.open(a.at, &hello);
    assert_eq!(a.open(b.at, &reply[0]).1.len(), 1, "the waiting message goes");
    assert_eq!(a.open(b.at, &reply[0]), (Err(Refusal::Unasked), vec![]));
}

#[test]
fn only_the_reply_to_the_present_question_sets_a_session() {
    let (mut a, mut b) = (node(1), node(2));
    let hello = a.send(&b, "one").remove(0);
    let (_, reply) = b.open(a.at, &hello);
    let elsewhere = SocketAddr::from(([10, 9, 9, 9], 1));
    assert_eq!(a.open(elsewhere, &reply[0]).0, Err(Refusal::Unasked), "from an address that was not asked");
    let mut other = node(4);
    assert_eq!(other.open(b.at, &reply[0]).0, Err(Refusal::OtherSession), "for another asker");
    assert_eq!(a.open(b.at, &reply[0]).1.len(), 1);
}

#[test]
fn another_key_another_version_and_our_own_reflection_are_refused() {
    let (mut a, mut b) = acquainted();
    let mut stranger = node_with(5, [8; 32]);
    let hello = stranger.send(&b, "hi").remove(0);
    assert_eq!(b.open(stranger.at, &hello), (Err(Refusal::Forged), vec![]));
    let mut data = a.send(&b, "hi").remove(0);
    assert_eq!(a.open(b.at, &data), (Err(Refusal::Own), vec![]));
    data[0] = 2;
    assert_eq!(b.open(a.at, &data).0, Err(Refusal::Version));
    data[0] = 1;
    data[1] = 9;
    assert_eq!(b.open(a.at, &data).0, Err(Refusal::Kind));
}

#[test]
fn the_size_limit_is_where_it_says() {
    let (mut a, mut b) = acquainted();
    let largest = a.send(&b, &"x".repeat(PAYLOAD_BYTES_MAX)).remove(0);
    assert_eq!(largest.len(), DATAGRAM_BYTES_MAX);
    assert_eq!(b.open(a.at, &[largest.as_slice(), &[0]].concat()).0, Err(Refusal::Oversized));
    assert!(b.open(a.at, &largest).0.is_ok());
    assert!(a.send(&b, &"x".repeat(PAYLOAD_BYTES_MAX + 1)).is_empty());
    assert_eq!(b.open(a.at, &[]).0, Err(Refusal::Truncated));
    assert_eq!(b.open(a.at, &largest[..OVERHEAD_BYTES - 1]).0, Err(Refusal::Truncated));
    assert_eq!(b.open(a.at, &largest[..OVERHEAD_BYTES]).0, Err(Refusal::Replayed), "its number was used");
}

#[test]
fn tables_stay_bounded_and_a_full_one_never_lets_a_replay_through() {
    let (mut a, mut b) = acquainted();
    let recorded = a.send(&b, "once").remove(0);
    assert!(b.open(a.at, &recorded).0.is_ok());
    let session = b.seal.session;
    let mut restarts = 0u32;
    while b.seal.session == session {
        restarts += 1;
        assert!(restarts <= u32::try_from(SENDERS_MAX).unwrap(), "the table is full");
        let mut seed = [9; 32];
        seed[..4].copy_from_slice(&restarts.to_be_bytes());
        let at = SocketAddr::from(([10, 1, 0, 1], 1_000 + u16::try_from(restarts).unwrap()));
        let mut sender = Node { seal: Seal::new(ClusterKey::new(&SECRET), StdRng::from_seed(seed)).unwrap(), at };
        let hello = sender.send(&b, "hi");
        settle(&mut sender, &mut b, hello);
        b.send(&sender, "hi");
    }
    assert_eq!(restarts, u32::try_from(SENDERS_MAX).unwrap(), "a itself was the first");
    assert!(b.seal.sizes().0 <= PEERS_MAX && b.seal.sizes().1 <= 1, "{:?}", b.seal.sizes());
    assert_eq!(b.open(a.at, &recorded).0, Err(Refusal::OtherSession));
    let data = a.send(&b, "after");
    settle(&mut a, &mut b, data);
    let data = a.send(&b, "after");
    assert_eq!(settle(&mut a, &mut b, data), ["after"], "peers find the new session");
}

proptest! {
    #[test]
    fn a_changed_bit_or_a_cut_is_refused_and_answered_by_nothing(bit in 0usize..8 * 70, cut in 0usize..70, of in 0usize..3) {
        let (mut a, mut b) = acquainted();
        let mut stranger = node(3);
        let hello = stranger.send(&b, "hello there!").remove(0);
        let (_, mut reply) = b.open(stranger.at, &hello);
        let (datagram, receiver, from) = match of {
            0 => (a.send(&b, "hello there!").remove(0), &mut b, a.at),
            1 => (hello, &mut b, stranger.at),
            _ => (reply.remove(0), &mut stranger, b.at),
        };
        let mut flipped = datagram.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let (result, answers) = receiver.open(from, &flipped);
        prop_assert!(result.is_err() && answers.is_empty(), "{result:?}");
        let (result, answers) = receiver.open(from, &datagram[..cut.min(datagram.len() - 1)]);
        prop_assert!(result.is_err() && answers.is_empty(), "{result:?}");
        prop_assert!(receiver.open(from, &datagram).0.is_ok(), "the original still counts");
    }

    #[test]
    fn noise_is_dropped(noise in prop::collection::vec(any::<u8>(), 0..1_500)) {
        let mut b = node(2);
        let (result, answers) = b.open(SocketAddr::from(([10, 0, 0, 1], 1)), &noise);
        prop_assert!(result.is_err() && answers.is_empty());
    }
}
