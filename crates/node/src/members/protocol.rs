//! The constants of SWIM as this agent runs it.

use std::num::{NonZeroU8, NonZeroUsize};
use std::time::Duration;

use foca::{Config, PeriodicParams};

use super::seal::PAYLOAD_BYTES_MAX;

/// The protocol's constants, for 1 to some hundred members on one network.
///
/// A killed node is probed by some other within about a second, suspected one probe period later, and dead after 5 s of suspicion; the
/// news takes below a second: some 8 s in all. A probe fails falsely at 1 % loss once in a million, and the suspect has 5 s to object,
/// which it hears of within one. A shorter suspicion would make members leave that are only paused for a few seconds.
pub fn config() -> Config {
    let every = |seconds: f64, members: usize| {
        Some(PeriodicParams {
            frequency: Duration::from_secs_f64(seconds),
            num_members: NonZeroUsize::new(members).unwrap_or(NonZeroUsize::MIN),
        })
    };
    Config {
        probe_period: Duration::from_secs(1),
        probe_rtt: Duration::from_millis(400),
        num_indirect_probes: NonZeroUsize::new(4).unwrap_or(NonZeroUsize::MIN),
        // 4 × log10 of the members would be 9 at 200; more where datagrams are lost.
        max_transmissions: NonZeroU8::new(12).unwrap_or(NonZeroU8::MIN),
        suspect_to_down_after: Duration::from_secs(5),
        // Never: the names are few, and the dead are asked again now and then, which is what heals a partition.
        remove_down_after: None,
        max_packet_size: NonZeroUsize::new(PAYLOAD_BYTES_MAX).unwrap_or(NonZeroUsize::MIN),
        notify_down_members: true,
        // What gossip missed is found within minutes.
        periodic_announce: every(5.0, 1),
        periodic_announce_to_down_members: every(8.0, 2),
        periodic_gossip: every(0.2, 3),
    }
}
