//! Reads a gossip message before foca gets it. What foca decides alone it decides from the message itself; what needs the whole
//! picture (a name that two nodes claim, a join request to whoever listens) is seen here.

use foca::{Codec, Header, Message, PostcardCodec, State};

use super::identity::Identity;

/// A message, read.
#[derive(Debug)]
pub struct Packet {
    /// Sender, receiver and kind.
    pub header: Header<Identity>,
    /// What it tells of members.
    pub updates: Vec<foca::Member<Identity>>,
}

/// A message that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("a gossip message cannot be read")]
pub struct Unreadable;

/// Reads a message. foca's layout: the header, then perhaps a count and that many members; nothing may follow, since we use no
/// broadcasts of our own.
pub fn read(mut bytes: &[u8]) -> Result<Packet, Unreadable> {
    let header = PostcardCodec.decode_header(&mut bytes).map_err(|_| Unreadable)?;
    let mut updates = Vec::new();
    if let Some((count, mut rest)) = bytes.split_first_chunk::<2>() {
        // Bounded by the datagram: each member takes bytes.
        for _ in 0..u16::from_be_bytes(*count) {
            updates.push(PostcardCodec.decode_member(&mut rest).map_err(|_| Unreadable)?);
        }
        bytes = rest;
    }
    if bytes.is_empty() { Ok(Packet { header, updates }) } else { Err(Unreadable) }
}

impl Packet {
    /// What the message tells of a name: its sender is alive, and the updates say more.
    pub fn claims(&self) -> impl Iterator<Item = (&Identity, State)> {
        let sender = std::iter::once((&self.header.src, State::Alive));
        sender.chain(self.updates.iter().map(|update| (update.id(), update.state())))
    }
}

/// A request to join, as from this sender to this receiver.
pub fn write_announce(header: &Header<Identity>, to: Identity) -> Result<Vec<u8>, Unreadable> {
    let header = Header { dst: to, message: Message::Announce, ..header.clone() };
    let mut bytes = Vec::new();
    PostcardCodec.encode_header(&header, &mut bytes).map_err(|_| Unreadable)?;
    Ok(bytes)
}

/// Tells a node of one member.
pub fn write_news(from: &Identity, to: &Identity, news: &foca::Member<Identity>) -> Result<Vec<u8>, Unreadable> {
    let header = Header { src: from.clone(), src_incarnation: 0, dst: to.clone(), message: Message::Gossip };
    let mut bytes = Vec::new();
    PostcardCodec.encode_header(&header, &mut bytes).map_err(|_| Unreadable)?;
    bytes.extend(1u16.to_be_bytes());
    PostcardCodec.encode_member(news, &mut bytes).map_err(|_| Unreadable)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::tests::member;
    use super::*;

    #[test]
    fn a_message_is_read_as_it_was_written_and_a_changed_length_is_refused() {
        let a = Identity::new(member(1, "10.0.0.1:7946"), 5, 6);
        let b = Identity::new(member(2, "10.0.0.2:7946"), 7, 8);
        let news = foca::Member::new(b.renewed(), 3, State::Down);
        let bytes = write_news(&a, &b, &news).unwrap();
        let packet = read(&bytes).unwrap();
        assert_eq!((&packet.header.src, &packet.header.dst, packet.updates.as_slice()), (&a, &b, [news].as_slice()));
        assert_eq!(packet.claims().map(|(_, state)| state).collect::<Vec<_>>(), [State::Alive, State::Down]);
        let header = read(&bytes).unwrap().header;
        for end in 0..bytes.len() {
            // The header alone is a message without updates.
            assert!(read(&bytes[..end]).is_err() || read(&bytes[..end]).unwrap().updates.is_empty(), "{end}");
        }
        assert!(read(&[bytes.as_slice(), &[0]].concat()).is_err());
        let request = read(&write_announce(&header, Identity::anyone_at("10.0.0.3:1".parse().unwrap())).unwrap()).unwrap();
        assert!(request.header.dst.is_anyone() && request.updates.is_empty());
        assert_eq!(request.header.src, a);
    }
}
