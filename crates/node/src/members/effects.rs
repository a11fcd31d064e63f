//! What one input to the gossip leads to, gathered before it is given out as data.

use std::net::SocketAddr;
use std::time::Duration;

use foca::Notification;

use super::gossip::Claim;
use super::identity::Identity;
use super::seal::Outgoing;

/// What one input leads to, as foca says it.
#[derive(Default)]
pub struct Effects {
    /// Messages, not yet sealed.
    pub sends: Vec<(SocketAddr, Vec<u8>)>,
    /// Sealed datagrams.
    pub sealed: Vec<Outgoing>,
    /// foca's timers.
    pub timers: Vec<(Duration, foca::Timer<Identity>)>,
    /// Whether the members may have changed.
    pub changed: bool,
    /// Whether the contacts are asked again later.
    pub ask: bool,
    /// Whether more of the list is asked for: how many members were known, and how many rounds brought none.
    pub learn: Option<(usize, u8)>,
    /// How this node's claim to its name went.
    pub claim: Option<Claim>,
}

impl foca::Runtime<Identity> for Effects {
    fn notify(&mut self, notification: Notification<'_, Identity>) {
        // What changed is read from foca's list.
        let _ = notification;
        self.changed = true;
    }

    fn send_to(&mut self, to: Identity, data: &[u8]) {
        self.sends.push((to.member().address(), data.to_vec()));
    }

    fn submit_after(&mut self, event: foca::Timer<Identity>, after: Duration) {
        self.timers.push((after, event));
    }
}
