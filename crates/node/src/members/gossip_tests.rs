use super::super::tests::member;
use super::*;
use crate::members::IDENTITY_BYTES_MAX;
use crate::members::seal::PAYLOAD_BYTES_MAX;

fn start(rank: u32, generation: u64) -> Gossip {
    let at = format!("10.0.0.{}:7946", rank + 1);
    let seed = [u8::try_from(rank).unwrap() + 1; 32];
    Gossip::new(Identity::new(member(rank, &at), generation, 5), ClusterKey::new(&[7; 32]), seed).unwrap().0
}

fn address(gossip: &Gossip) -> SocketAddr {
    gossip.identity().member().address()
}

/// Delivers datagrams between nodes until none moves; gives the changes.
fn settle(nodes: &mut [Gossip], from: usize, outputs: Vec<Output>) -> Vec<(usize, Change)> {
    let (mut moving, mut changes) = (VecDeque::from([(from, outputs)]), Vec::new());
    let mut steps = 0;
    while let Some((at, outputs)) = moving.pop_front() {
        for output in outputs {
            match output {
                Output::Change(change) => changes.push((at, change)),
                Output::Send(to, datagram) => {
                    steps += 1;
                    assert!(steps < 1_000, "answers to answers without end");
                    let sender = address(&nodes[at]);
                    let receiver = nodes.iter().position(|node| address(node) == to);
                    moving.extend(receiver.map(|to| (to, nodes[to].datagram(sender, &datagram))));
                }
                _ => {}
            }
        }
    }
    changes
}

fn names(gossip: &Gossip) -> Vec<u32> {
    gossip.members().map(|member| member.name().rank()).collect()
}

#[test]
fn a_node_is_a_member_of_its_own_cluster_at_once_and_of_others_by_their_address() {
    let (alone, first) = Gossip::new(Identity::new(member(1, "10.0.0.2:7946"), 9, 5), ClusterKey::new(&[7; 32]), [1; 32]).unwrap();
    assert_eq!(names(&alone), [1]);
    assert!(matches!(&first[0], Output::Change(Change::Joined(member)) if member.name().rank() == 1));
    let mut nodes = [start(0, 1), start(1, 1)];
    let seed = address(&nodes[0]);
    let outputs = nodes[1].announce(&[seed]);
    let changes = settle(&mut nodes, 1, outputs);
    assert_eq!(changes.len(), 2, "{changes:?}");
    assert_eq!((names(&nodes[0]), names(&nodes[1])), (vec![0, 1], vec![0, 1]));
}

#[test]
fn a_node_that_left_answers_nothing_and_the_other_reports_it_once() {
    let mut nodes = [start(0, 1), start(1, 1)];
    let seed = address(&nodes[0]);
    let outputs = nodes[1].announce(&[seed]);
    settle(&mut nodes, 1, outputs);
    let outputs = nodes[1].leave();
    assert!(outputs.iter().all(|output| matches!(output, Output::Send(..))), "no timers, and no change of its own");
    let changes = settle(&mut nodes, 1, outputs);
    assert!(matches!(changes.as_slice(), [(0, Change::Left(_))]), "{changes:?}");
    assert!(nodes[1].announce(&[]).is_empty());
    assert!(nodes[1].datagram(seed, b"x").is_empty());
}

#[test]
fn a_timer_of_an_earlier_instance_does_nothing() {
    let mut node = start(0, 1);
    let timer = Timer(Due::Foca(7, foca::Timer::ProbeRandomMember(0)));
    assert!(node.timer(timer).is_empty());
    let again = node.timer(Timer(Due::Ask));
    assert!(matches!(again.as_slice(), [Output::After(after, Timer(Due::Ask))] if *after == ASK_EVERY));
}

#[test]
fn every_message_between_members_of_the_largest_size_fits_a_datagram() {
    // The probe that names three members, and an update beside it.
    let tags = BTreeMap::from([("k".repeat(40), "v".repeat(IDENTITY_BYTES_MAX - 104))]);
    let large = |rank: u32| {
        let address = format!("[2001:db8::{rank}]:65535").parse().unwrap();
        Identity::new(Member::new(NodeName::compute(RANK_MAX - rank).unwrap(), address, tags.clone()).unwrap(), u64::MAX, u64::MAX)
    };
    let message = Message::PingReq { target: large(3), probe_number: 255 };
    let header = foca::Header { src: large(1), src_incarnation: u16::MAX, dst: large(2), message };
    let mut bytes = Vec::new();
    foca::Codec::encode_header(&mut PostcardCodec, &header, &mut bytes).unwrap();
    foca::Codec::encode_member(&mut PostcardCodec, &foca::Member::down(large(4)), &mut bytes).unwrap();
    assert!(bytes.len() + 2 <= PAYLOAD_BYTES_MAX, "{}", bytes.len());
}

#[test]
fn contacts_stay_bounded_and_never_hold_ourselves() {
    let mut node = start(0, 1);
    let many: Vec<SocketAddr> = (0..=255).map(|n| SocketAddr::from(([10, 1, 0, n], 7946))).chain([address(&node)]).collect();
    node.announce(&many);
    let outputs = node.announce(&many);
    assert_eq!(node.contacts.len(), CONTACTS_MAX);
    assert_eq!(outputs.len(), CONTACTS_MAX, "a question each");
}

#[test]
fn a_member_with_a_rank_beyond_the_bound_is_dropped() {
    let (mut a, mut b) = (start(0, 1), start(1, 1));
    let hostile = Member { name: NodeName::compute(RANK_MAX + 1).unwrap(), address: address(&b), tags: BTreeMap::new() };
    let header_of = foca::Member::alive(Identity::new(hostile, 1, 1));
    let message = wire::write_news(b.identity(), a.identity(), &header_of).unwrap();
    let mut effects = Effects::default();
    assert_eq!(a.message(&message, &mut effects), Err(Refusal::Malformed));
    assert_eq!(names(&a), [0]);
    assert_eq!(b.message(b"\xff", &mut effects), Err(Refusal::Malformed));
}
