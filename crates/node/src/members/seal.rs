//! What makes a datagram the cluster's own: each is encrypted and authenticated, and counts once.
//!
//! **Keys.** The cluster has a secret of 32 random bytes. An agent draws a random session (16 bytes) when it starts. The session's key
//! is HKDF-SHA256 of the secret and the session, so every member can compute every session's key. A session numbers all that it
//! sends; the number is the nonce of ChaCha20-Poly1305, so no nonce is used twice with a key. The datagram (lengths in bytes):
//!
//! ```text
//! version 1 | kind 1 | sender's session 16 | receiver's session 16 | number 8 | body, encrypted | tag 16
//! ```
//!
//! All before the body is authenticated with it. **Kinds:**
//!
//! - *data*: a message. It names the receiver's present session, so nothing recorded before the receiver's start is accepted; within
//!   the session a window over the numbers of each sender accepts each number once. No clock is involved.
//! - *hello*: asks for the session behind an address; carries a random challenge. It has no receiver's session.
//! - *reply*: answers a hello: names the asker's session, repeats its challenge, and may carry a challenge of its own. Only a reply
//!   that repeats the present challenge for the address it came from sets a peer's session; the challenge is then redrawn.
//! - *stale*: answers data for a session that is over, so that a peer asks again after a restart.
//!
//! A replayed hello, reply or data changes nothing; a replayed hello or old data costs one answer, never larger than a hello, to the
//! address it came from. While a peer's session is unknown, at most four messages wait for it.
//!
//! **Bounds.** At most [`PEERS_MAX`] addresses and [`SENDERS_MAX`] senders are known. Forgetting a sender's window would allow replays, so
//! when that table is full, our own session ends, and peers ask for the new one as after a restart.
//!
//! **Limits.** Who has the secret (root on any node has it) can do all that a member can: join under any name, declare others
//! dead, read the gossip, speak as another session. There is no forward secrecy: the secret opens recorded gossip, which holds
//! names, addresses and tags. Who does not have it can drop and delay datagrams, see their sizes and who sends to whom, and make us
//! compute a key for each forged one (microseconds), but cannot be told apart from loss.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use rand::Rng;
use rand::rngs::StdRng;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf;

use super::window::Window;

/// The most bytes of a datagram: no fragments on any usual network.
pub const DATAGRAM_BYTES_MAX: usize = 1_400;
/// What the seal adds to a message.
pub const OVERHEAD_BYTES: usize = HEADER_BYTES + TAG_BYTES;
/// The most bytes of a message.
pub const PAYLOAD_BYTES_MAX: usize = DATAGRAM_BYTES_MAX - OVERHEAD_BYTES;
/// The most messages that wait for a peer's session.
pub const WAITING_MAX: usize = 4;
/// The most addresses that we know the sessions of: several times 200 members.
pub const PEERS_MAX: usize = 1_024;
/// The most senders whose windows are kept: a node that restarts or is replaced adds one.
pub const SENDERS_MAX: usize = 2_048;

const VERSION: u8 = 1;
const HEADER_BYTES: usize = 42;
const TAG_BYTES: usize = 16;

type Session = [u8; 16];
type Challenge = [u8; 16];
/// In place of a session or challenge: none. A random one is this with a chance of 2^-128.
const NONE: [u8; 16] = [0; 16];

/// The secret of a cluster, ready to derive keys.
#[derive(Clone)]
pub struct ClusterKey(hkdf::Prk);

impl ClusterKey {
    /// From 32 bytes that only this cluster's nodes know.
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(hkdf::Salt::new(hkdf::HKDF_SHA256, b"clusterdrop members 1").extract(secret))
    }

    /// The key of a session. `None` never happens: the length is the algorithm's own; a datagram is dropped then.
    fn session(&self, session: &Session) -> Option<LessSafeKey> {
        let info: [&[u8]; 2] = [b"session", session];
        let key = self.0.expand(&info, &CHACHA20_POLY1305).ok()?;
        Some(LessSafeKey::new(UnboundKey::from(key)))
    }
}

impl std::fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClusterKey(..)")
    }
}

/// Why a datagram was dropped. Some are usual: a late datagram after a restart, an answer that came twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, strum::Display, thiserror::Error)]
#[strum(serialize_all = "kebab-case")]
pub enum Refusal {
    /// Above [`DATAGRAM_BYTES_MAX`].
    Oversized,
    /// Too short for its kind.
    Truncated,
    /// Of another version of this format.
    Version,
    /// Of an unknown kind.
    Kind,
    /// Not sealed with this cluster's key, or changed on the way.
    Forged,
    /// For a session of ours that is over, or never was.
    OtherSession,
    /// A number that was already accepted, or is too old to tell.
    Replayed,
    /// An answer to nothing that we asked.
    Unasked,
    /// Our own, reflected.
    Own,
    /// Sealed well, but not a message that a member sends.
    Malformed,
}

/// A datagram to send.
pub type Outgoing = (SocketAddr, Vec<u8>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Hello = 1,
    Reply = 2,
    Stale = 3,
    Data = 4,
}

/// What is known of an address.
struct Peer {
    session: Option<Session>,
    /// What a reply from there must repeat.
    challenge: Challenge,
    waiting: VecDeque<Vec<u8>>,
    /// When it was used last, in sent datagrams.
    used: u64,
}

/// A sender that was heard.
struct Sender {
    key: LessSafeKey,
    window: Window,
}

/// Seals and opens datagrams. Pure: randomness comes from the generator that it starts with.
pub struct Seal {
    secret: ClusterKey,
    random: StdRng,
    session: Session,
    key: LessSafeKey,
    number: u64,
    peers: BTreeMap<SocketAddr, Peer>,
    senders: BTreeMap<Session, Sender>,
}

impl Seal {
    /// Starts a session. The generator must be seeded with fresh random bytes: two sessions from one seed would share nonces.
    /// `None` never happens: the key's length is the algorithm's own.
    pub fn new(secret: ClusterKey, mut random: StdRng) -> Option<Self> {
        let session = draw(&mut random);
        let key = secret.session(&session)?;
        Some(Self { secret, random, session, key, number: 0, peers: BTreeMap::new(), senders: BTreeMap::new() })
    }

    /// Seals a message for this address, or keeps it and asks for the address's session.
    pub fn send(&mut self, to: SocketAddr, payload: &[u8], out: &mut Vec<Outgoing>) {
        if payload.len() > PAYLOAD_BYTES_MAX {
            return;
        }
        let peer = self.peer(to);
        if let Some(session) = peer.session {
            out.extend(self.seal(Kind::Data, session, payload).map(|datagram| (to, datagram)));
            return;
        }
        if peer.waiting.len() == WAITING_MAX {
            peer.waiting.pop_front();
        }
        peer.waiting.push_back(payload.to_vec());
        self.ask(to, out);
    }

    /// Opens a datagram: the message in it if it holds one. Answers go to `out`.
    pub fn open(&mut self, from: SocketAddr, datagram: &[u8], out: &mut Vec<Outgoing>) -> Result<Option<Vec<u8>>, Refusal> {
        let head = Head::read(datagram)?;
        if head.sender == self.session {
            return Err(Refusal::Own);
        }
        let known = self.senders.get(&head.sender);
        if head.kind == Kind::Data && head.receiver == self.session && known.is_some_and(|sender| !sender.window.accepts(head.number)) {
            return Err(Refusal::Replayed);
        }
        let key = known.map(|sender| sender.key.clone()).or_else(|| self.secret.session(&head.sender)).ok_or(Refusal::Forged)?;
        let body = open_body(&key, &head, datagram).ok_or(Refusal::Forged)?;
        match head.kind {
            Kind::Hello if head.receiver == NONE => self.answer(from, &head, &body, out).map(|()| None),
            _ if head.receiver != self.session => {
                if head.kind == Kind::Data {
                    out.extend(self.seal(Kind::Stale, head.sender, &head.receiver).map(|datagram| (from, datagram)));
                }
                Err(Refusal::OtherSession)
            }
            Kind::Hello => Err(Refusal::Malformed),
            Kind::Reply => self.learn(from, &head, &body, out).map(|()| None),
            Kind::Stale => self.ask_again(from, &body, out).map(|()| None),
            Kind::Data => self.accept(from, &head, key, out).map(|()| Some(body)),
        }
    }

    /// A hello: the reply names the session that datagrams to this node are sealed for. Nothing changes here by it.
    fn answer(&mut self, from: SocketAddr, head: &Head, body: &[u8], out: &mut Vec<Outgoing>) -> Result<(), Refusal> {
        let asked: [u8; 32] = body.try_into().map_err(|_| Refusal::Malformed)?;
        // Where we have a use for the asker's session and do not know it, the answer asks back.
        let back = self.peers.get(&from).filter(|peer| peer.session != Some(head.sender)).map_or(NONE, |peer| peer.challenge);
        let reply = [&asked[..16], &back].concat();
        out.extend(self.seal(Kind::Reply, head.sender, &reply).map(|datagram| (from, datagram)));
        Ok(())
    }

    /// A reply: the peer's session is known if it repeats what we asked with.
    fn learn(&mut self, from: SocketAddr, head: &Head, body: &[u8], out: &mut Vec<Outgoing>) -> Result<(), Refusal> {
        let (repeated, back) = body.split_first_chunk::<16>().ok_or(Refusal::Malformed)?;
        let back: Challenge = back.try_into().map_err(|_| Refusal::Malformed)?;
        let fresh = draw(&mut self.random);
        let peer = self.peers.get_mut(&from).filter(|peer| peer.challenge == *repeated).ok_or(Refusal::Unasked)?;
        peer.challenge = fresh;
        peer.session = Some(head.sender);
        let waiting = std::mem::take(&mut peer.waiting);
        if back != NONE {
            let reply = [back, NONE].concat();
            out.extend(self.seal(Kind::Reply, head.sender, &reply).map(|datagram| (from, datagram)));
        }
        for payload in waiting {
            out.extend(self.seal(Kind::Data, head.sender, &payload).map(|datagram| (from, datagram)));
        }
        Ok(())
    }

    /// A peer does not know the session that we sent to: asks for the new one, if that was our last word on this address.
    fn ask_again(&mut self, from: SocketAddr, body: &[u8], out: &mut Vec<Outgoing>) -> Result<(), Refusal> {
        let stale: Session = body.try_into().map_err(|_| Refusal::Malformed)?;
        if self.peers.get(&from).is_none_or(|peer| peer.session != Some(stale)) {
            return Err(Refusal::Unasked);
        }
        self.ask(from, out);
        Ok(())
    }

    /// Data for us: accepted once.
    fn accept(&mut self, from: SocketAddr, head: &Head, key: LessSafeKey, out: &mut Vec<Outgoing>) -> Result<(), Refusal> {
        if let Some(sender) = self.senders.get_mut(&head.sender) {
            return if sender.window.record(head.number) { Ok(()) } else { Err(Refusal::Replayed) };
        }
        if self.senders.len() >= SENDERS_MAX {
            self.renew();
            out.extend(self.seal(Kind::Stale, head.sender, &head.receiver).map(|datagram| (from, datagram)));
            return Err(Refusal::OtherSession);
        }
        let mut window = Window::default();
        window.record(head.number);
        self.senders.insert(head.sender, Sender { key, window });
        Ok(())
    }

    /// Begins another session of ours and forgets all windows: they were for the session that is over.
    fn renew(&mut self) {
        let session = draw(&mut self.random);
        if let Some(key) = self.secret.session(&session) {
            (self.session, self.key, self.number) = (session, key, 0);
            self.senders.clear();
        }
    }

    fn ask(&mut self, to: SocketAddr, out: &mut Vec<Outgoing>) {
        // As long as a reply, so that an answer is never longer than the question.
        let question = [self.peer(to).challenge, NONE].concat();
        out.extend(self.seal(Kind::Hello, NONE, &question).map(|datagram| (to, datagram)));
    }

    /// The peer at this address; a new one takes the place of the one that was used longest ago.
    fn peer(&mut self, at: SocketAddr) -> &mut Peer {
        if !self.peers.contains_key(&at) && self.peers.len() >= PEERS_MAX {
            let oldest = self.peers.iter().min_by_key(|(_, peer)| peer.used).map(|(address, _)| *address);
            oldest.and_then(|address| self.peers.remove(&address));
        }
        let random = &mut self.random;
        let peer =
            self.peers.entry(at).or_insert_with(|| Peer { session: None, challenge: draw(random), waiting: VecDeque::new(), used: 0 });
        peer.used = self.number;
        peer
    }

    fn seal(&mut self, kind: Kind, receiver: Session, body: &[u8]) -> Option<Vec<u8>> {
        self.number += 1;
        let mut datagram = Vec::with_capacity(OVERHEAD_BYTES + body.len());
        datagram.extend([VERSION, kind as u8]);
        datagram.extend(self.session);
        datagram.extend(receiver);
        datagram.extend(self.number.to_be_bytes());
        let head = datagram.clone();
        datagram.extend(body);
        let (_, in_place) = datagram.split_at_mut(HEADER_BYTES);
        // Sealing fails only beyond 256 GiB; there is nothing to send then.
        let tag = self.key.seal_in_place_separate_tag(nonce(self.number), Aad::from(head), in_place).ok()?;
        datagram.extend(tag.as_ref());
        Some(datagram)
    }

    /// The number of addresses and of senders that are kept, for the tests of the bounds.
    #[cfg(test)]
    fn sizes(&self) -> (usize, usize) {
        (self.peers.len(), self.senders.len())
    }
}

/// The part of a datagram before its body.
struct Head {
    kind: Kind,
    sender: Session,
    receiver: Session,
    number: u64,
}

impl Head {
    fn read(datagram: &[u8]) -> Result<Self, Refusal> {
        if datagram.len() > DATAGRAM_BYTES_MAX {
            return Err(Refusal::Oversized);
        }
        if datagram.first().is_some_and(|version| *version != VERSION) {
            return Err(Refusal::Version);
        }
        if datagram.len() < OVERHEAD_BYTES {
            return Err(Refusal::Truncated);
        }
        let kind = match datagram[1] {
            1 => Kind::Hello,
            2 => Kind::Reply,
            3 => Kind::Stale,
            4 => Kind::Data,
            _ => return Err(Refusal::Kind),
        };
        let session = |at: usize| Session::try_from(&datagram[at..at + 16]).map_err(|_| Refusal::Truncated);
        let number = datagram[34..HEADER_BYTES].try_into().map_err(|_| Refusal::Truncated)?;
        Ok(Self { kind, sender: session(2)?, receiver: session(18)?, number: u64::from_be_bytes(number) })
    }
}

fn open_body(key: &LessSafeKey, head: &Head, datagram: &[u8]) -> Option<Vec<u8>> {
    let (before, sealed) = datagram.split_at_checked(HEADER_BYTES)?;
    let mut body = sealed.to_vec();
    let length = key.open_in_place(nonce(head.number), Aad::from(before), &mut body).ok()?.len();
    body.truncate(length);
    Some(body)
}

fn nonce(number: u64) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    bytes[NONCE_LEN - 8..].copy_from_slice(&number.to_be_bytes());
    Nonce::assume_unique_for_key(bytes)
}

fn draw(random: &mut StdRng) -> [u8; 16] {
    let mut bytes = NONE;
    random.fill_bytes(&mut bytes);
    bytes
}

#[cfg(test)]
#[path = "seal_tests.rs"]
mod tests;
