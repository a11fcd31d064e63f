//! What the stub was asked, and how long the chain of questions was that had to wait for each other.

use std::time::Instant;

/// One question, and when.
#[derive(Debug, Clone)]
pub struct Call {
    /// `s3:GetObject home/alice/mycluster.cf-create`
    pub name: String,
    /// Only a connection being opened.
    pub is_opening: bool,
    /// When it came.
    pub begun: Instant,
    /// When its answer went out.
    pub ended: Instant,
}

/// The calls in rounds: each goes into the round after the last one that had ended when it began. The number of rounds is
/// the critical path, in calls.
pub fn rounds(calls: &[Call]) -> Vec<Vec<&Call>> {
    let mut sorted: Vec<&Call> = calls.iter().filter(|call| !call.is_opening).collect();
    sorted.sort_by_key(|call| call.begun);
    let mut rounds: Vec<Vec<&Call>> = Vec::new();
    for call in sorted {
        let after = rounds.iter().rposition(|round| round.iter().any(|earlier| earlier.ended <= call.begun));
        let mine = after.map_or(0, |after| after + 1);
        if mine == rounds.len() {
            rounds.push(Vec::new());
        }
        rounds[mine].push(call);
    }
    for round in &mut rounds {
        round.sort_by(|a, b| a.name.cmp(&b.name));
    }
    rounds
}

/// What the critical path took in the stub itself, in milliseconds: of each round its longest answer. That a busy machine
/// makes "20 ms" some more is nothing that a function could do better.
pub fn path(rounds: &[Vec<&Call>]) -> f64 {
    let longest = |round: &Vec<&Call>| round.iter().map(|call| call.ended - call.begun).max().unwrap_or_default();
    rounds.iter().map(longest).sum::<std::time::Duration>().as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn calls_that_need_not_wait_for_each_other_are_one_round() {
        let zero = Instant::now();
        let call = |name: &str, begun: u64, ended: u64| Call {
            name: name.into(),
            is_opening: false,
            begun: zero + Duration::from_millis(begun),
            ended: zero + Duration::from_millis(ended),
        };
        let calls = [call("b", 0, 20), call("a", 1, 22), call("c", 21, 41), call("d", 42, 62)];
        let names: Vec<Vec<&str>> = rounds(&calls).iter().map(|r| r.iter().map(|c| c.name.as_str()).collect()).collect();
        assert_eq!(names, [vec!["a", "b"], vec!["c"], vec!["d"]]);
    }
}
