//! What a world is made from: its dice, its nodes' names, the steps of its profiles, and the rules of its rounds.

use super::*;

/// splitmix64: a world is its seed.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(super) fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }
}

pub(super) fn name(rank: u64) -> NodeName {
    u32::try_from(rank).ok().and_then(NodeName::compute).unwrap_or(NodeName::LOGIN)
}

pub(super) fn step(name: &str, version: u64, signal: Signal) -> Step {
    Step {
        key: format!("site/{name}"),
        name: name.to_owned(),
        folder: PathBuf::from("/p"),
        export: Some("export.d/x".to_owned()),
        populate: Some("populate.d/x".to_owned()),
        inputs: BTreeMap::new(),
        outputs: vec![Output { name: "o".to_owned(), error: false }],
        signal,
        timeout_seconds: TIMEOUT_SECONDS,
        missing_output: MissingOutput::Null,
        fails_the_node: false,
        config: ConfigId(format!("{name}-{version}")),
    }
}

pub(super) fn rules(bug: Option<Bug>) -> Rules {
    let mut rules = Rules::default();
    match bug {
        Some(Bug::BarrierOneShort) => rules.complete = |members, results| results.len() + 1 >= members.len(),
        Some(Bug::ExpiresLate) => rules.expired = |now, deadline| now > deadline,
        Some(Bug::ExpiresEarly) => rules.expired = |now, deadline| now + 1_000 >= deadline,
        Some(Bug::LateResultCounts) => {
            rules.counts = |round, node, report| round.phase() == Some(report.run.phase) && round.members.contains(&node);
        }
        _ => {}
    }
    rules
}
