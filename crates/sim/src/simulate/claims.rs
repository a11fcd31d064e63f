//! Every sentence that the functions say, and what must be true for it. Judged by the world's history, not by the ledger.
//! A sentence may be as old as the look that it comes from: it must have been true at some moment since that began.

use std::collections::BTreeSet;

use cf_core::key::{Answer, Reading, Verb, read};
use cf_core::ledger::OPEN_MAX;
use cf_core::names::Cluster;
use cf_core::site::Site;
use cf_core::stack::{StackState as S, StackStatus};
use jiff::SignedDuration;

use super::truth::{End, Put, Told, Truth, was};
use super::words::said;
use crate::cloudformation::{LOGIN, SimStack};
use crate::world::State;

/// DescribeStacks lags by so many milliseconds at most (hands).
const LAG_MAX: i64 = 10_000;

/// What one sentence is judged by.
struct Court<'a> {
    truth: &'a Truth,
    cluster: &'a Cluster,
    key: &'a str,
    text: &'a str,
    state: &'a State,
    site: &'a Site,
}

/// What is not true in an answer; `None` where all is.
pub fn lie(truth: &Truth, cluster: &Cluster, key: &str, text: &str, state: &State, site: &Site) -> Option<String> {
    // A world that begins in the middle has a past that nobody wrote down.
    if truth.has_past {
        return None;
    }
    let court = Court { truth, cluster, key, text, state, site };
    let answer = Answer::ALL.into_iter().find(|a| key.ends_with(a.suffix()));
    let is_true = match answer {
        Some(Answer::Created) => text == format!("{LOGIN}\n") && court.recently(|s| s.state() == S::Standing),
        Some(Answer::Deleted) => return court.deleted(),
        Some(Answer::Failed) => return court.failed(),
        None => false,
    };
    (!is_true).then(|| text.lines().next().unwrap_or_default().to_owned())
}

impl Court<'_> {
    /// This cluster's stacks, dead ones too.
    fn stacks(&self) -> impl Iterator<Item = &SimStack> {
        let deployment = &self.site.deployment;
        self.state.stacks.all().iter().filter(move |s| s.stack.cluster(deployment).as_ref() == Some(self.cluster))
    }

    /// When the look began, and as long before as DescribeStacks may lag.
    fn since(&self) -> jiff::Timestamp {
        let age = self.truth.now() - self.truth.looked_at;
        self.state.now - SignedDuration::from_millis(age + LAG_MAX)
    }

    /// Whether a stack of this cluster had a status like this since then.
    fn recently(&self, wanted: impl Fn(StackStatus) -> bool) -> bool {
        self.stacks().any(|s| was(s, self.since(), &wanted))
    }

    /// Whether a stack of this cluster ever had a status like this.
    fn ever(&self, wanted: impl Fn(StackStatus) -> bool) -> bool {
        self.stacks().any(|s| s.history.iter().any(|(_, status)| wanted(*status)))
    }

    /// The very stack that was made for the request in hand.
    fn its_stacks(&self) -> impl Iterator<Item = &SimStack> {
        self.stacks().filter(|s| self.truth.in_hand(self.cluster).any(|request| s.stack.request().as_ref() == Some(request)))
    }

    /// Whether that ever had a status like this.
    fn its_stack_was(&self, wanted: impl Fn(StackStatus) -> bool) -> bool {
        self.its_stacks().any(|s| s.history.iter().any(|(_, status)| wanted(*status)))
    }

    /// Whether there was a moment since then when this cluster did not live.
    fn was_absent(&self) -> bool {
        let covers = |s: &SimStack| {
            let begun = s.history.first().is_some_and(|(at, _)| *at <= self.since());
            begun && s.stack.status != StackStatus::DeleteComplete
        };
        !self.stacks().any(covers)
    }

    /// Whether a stack that is not ours had the cluster's name since then.
    fn has_foreign(&self) -> bool {
        let name = self.site.stack_name(self.cluster);
        let is_it = |s: &&SimStack| s.stack.id.name() == Some(name.as_str()) && s.stack.cluster(&self.site.deployment).is_none();
        self.state.stacks.all().iter().any(|s| is_it(&s) && was(s, self.since(), |status| status != StackStatus::DeleteComplete))
    }

    /// Whether a stack that is not ours has the cluster's name now.
    fn is_taken(&self) -> bool {
        let name = self.site.stack_name(self.cluster);
        self.state.stacks.living(name.as_str()).is_some_and(|s| s.stack.cluster(&self.site.deployment).is_none())
    }

    fn has(&self, words: &str) -> bool {
        self.text.contains(words)
    }

    fn deleted(&self) -> Option<String> {
        // While another's stack bears the name, none of ours can arrive.
        if self.truth.has_flight(self.cluster) && !self.is_taken() {
            return Some("it is told gone while a CreateStack is still on its way".into());
        }
        (!self.was_absent()).then(|| "it is told gone, and lives".into())
    }

    /// Whether it holds of an upload that this answer stands beside. Where none was there when the look began, or its user
    /// has taken it back since, it is about one that has gone, and nobody is misled.
    fn holds_beside(&self, verb: Verb, holds: impl Fn(&Put) -> bool) -> bool {
        let stem = self.key.strip_suffix(Answer::Failed.suffix()).unwrap_or_default();
        let key = format!("{stem}{}", verb.suffix());
        let is_misled = |put: &Put| put.at <= self.truth.listed_at && !matches!(put.end, End::Withdrawn { .. });
        !self.truth.recent(&key).any(is_misled) || self.truth.recent(&key).flat_map(|put| self.truth.with_twins(put)).any(holds)
    }

    /// Each sentence by its words, and what must be so.
    fn failed(&self) -> Option<String> {
        let is_failed = |s: StackStatus| matches!(s.state(), S::Failed | S::RollingBack);
        let (says, holds): (_, &dyn Fn() -> bool) = match self.text.lines().next().unwrap_or_default() {
            line if line.contains("could not be made") => {
                // Somebody may have removed it before anybody looked, but then its events still tell the cause.
                ("it failed, for this cause", &|| self.is_cause(is_failed) && !(self.has("is being removed") && self.stays_stuck()))
            }
            line if line.contains("was not started. Nothing") => ("CloudFormation refused it", &|| self.has("LimitExceeded")),
            line if line.contains("was not started: ") => ("it breaks a rule", &|| self.breaks_a_rule()),
            line if line.contains("exists already") => ("it lives and differs", &|| self.recently(|s| s.state() != S::Gone)),
            line if line.contains("cannot be started") && self.has("taken by something") => ("its name is taken", &|| self.has_foreign()),
            line if line.contains("cannot be started") => {
                ("something is left of it, and named", &|| self.recently(|s| s.state() != S::Gone) && self.names_what_is_left())
            }
            line if line.contains("was given up") => ("a later delete took it back", &|| self.was_taken_back()),
            line if line.contains("its stack was removed") => {
                ("its stack was removed", &|| self.its_stack_was(|s| matches!(s.state(), S::Leaving | S::Gone)))
            }
            line if line.contains("there is no way to log in") => ("it stands without a login", &|| {
                self.stacks().any(|s| s.stack.outputs.is_empty() && was(s, self.since(), |status| status.state() == S::Standing))
            }),
            "Nothing was removed." => ("there is none", &|| self.was_absent()),
            line if line.contains("was not removed") => ("a later create, or CloudFormation, is in the way", &|| {
                self.has("CloudFormation refused it") || (self.has("wait for their turn") && self.is_crowded()) || self.is_overtaken()
            }),
            line if line.contains("could not be removed wholly") => ("its deletion failed", &|| self.ever(|s| s.state() == S::Stuck)),
            _ => ("this sentence is known", &|| false),
        };
        (!holds()).then(|| format!("{says}? {}", self.text.replace('\n', " ")))
    }

    /// Whether what is left of it has not gone on its way since the look began.
    fn stays_stuck(&self) -> bool {
        let is_left = |status: StackStatus| status.state() == S::Stuck || status == StackStatus::RollbackFailed;
        self.stacks().any(|s| is_left(s.stack.status)) && !self.recently(|status| !is_left(status) && status != StackStatus::DeleteComplete)
    }

    /// Where the list of its events was not read, the stack's own reason has to do.
    fn is_unread(&self, stack: &SimStack) -> bool {
        (stack.is_unreadable || self.truth.unread.contains(&stack.stack.id)) && self.has("the cluster's stack")
    }

    /// What is left is named, unless the list that names it could not be read.
    fn names_what_is_left(&self) -> bool {
        !self.stays_stuck() || self.has("dependent object") || self.stacks().any(|s| self.is_unread(s))
    }

    /// The cause that is told is the one that it had: the failure of its creation, with advice that fits it, or, where somebody
    /// removed it meanwhile, that of its removal.
    fn is_cause(&self, is_failed: impl Fn(StackStatus) -> bool + Copy) -> bool {
        let is_told = |s: &SimStack| {
            let said = said(&s.words);
            self.has(said.tells) && self.has(said.advises) && !said.never.iter().any(|words| self.has(words))
        };
        let failed = self.its_stack_was(is_failed) && self.its_stacks().any(|s| is_told(s) || self.is_unread(s));
        let is_left = self.has("could not be removed wholly") || self.has("dependent object");
        let left = is_left && self.its_stack_was(|s| s.state() == S::Stuck);
        if self.has("and what was made of it could not") {
            // Of one whose creation failed before its removal did, both are told.
            return left && (failed || !self.its_stack_was(is_failed)) && self.names_what_is_left();
        }
        failed || left
    }

    fn breaks_a_rule(&self) -> bool {
        self.holds_beside(Verb::Create, |put| !put.is_order || put.was_withheld)
            || (self.has("has no profile") && self.truth.without_profile.contains(&self.cluster.user))
            || (self.has("wait for their turn") && self.is_crowded())
            || self.has("folders already")
    }

    /// Whether this cluster ever had files at more keys than may wait.
    fn is_crowded(&self) -> bool {
        let all = Verb::ALL.into_iter().flat_map(|verb| self.truth.of(self.cluster, verb));
        all.map(|put| &put.key).collect::<BTreeSet<_>>().len() > OPEN_MAX
    }

    /// A delete that came later; or, if that is what is said, one of the same second.
    fn was_taken_back(&self) -> bool {
        let is_tie = self.has("within the same second");
        let takes_back = |delete: &Put, create: &Put| if is_tie { delete.modified == create.modified } else { delete.at >= create.at };
        self.holds_beside(Verb::Create, |create| self.truth.of(self.cluster, Verb::Delete).any(|delete| takes_back(delete, create)))
    }

    fn is_overtaken(&self) -> bool {
        self.holds_beside(Verb::Delete, |delete| self.truth.of(self.cluster, Verb::Create).any(|create| create.at > delete.at))
    }
}

impl Truth {
    /// What does not hold once nothing moves any more: the last wish of each cluster decides whether it lives.
    pub fn judge_wishes(&self, state: &State, site: &Site) -> Vec<String> {
        if self.has_past {
            return Vec::new();
        }
        let mut clusters: Vec<Cluster> =
            self.puts.iter().filter_map(|put| if let Reading::Request(k) = read(&put.key) { Some(k.cluster) } else { None }).collect();
        clusters.sort();
        clusters.dedup();
        clusters.iter().filter_map(|cluster| self.judge_wish(cluster, state, site).map(|what| format!("{cluster}: {what}"))).collect()
    }

    fn judge_wish(&self, cluster: &Cluster, state: &State, site: &Site) -> Option<String> {
        let wishes = Verb::ALL.into_iter().flat_map(|verb| self.of(cluster, verb).map(move |put| (put, verb)));
        let wishes: Vec<(&Put, Verb)> = wishes.filter(|(put, _)| put.is_order).collect();
        let (last, verb) = wishes.iter().copied().max_by_key(|(put, _)| put.at)?;
        // Of files of one second nobody may be able to tell which was the last.
        if wishes.iter().any(|(put, other)| *other != verb && put.modified == last.modified) {
            return judge_tie(last, &wishes);
        }
        let mine: Vec<&SimStack> =
            state.stacks.all().iter().filter(|s| s.stack.cluster(&site.deployment).as_ref() == Some(cluster)).collect();
        let living = mine.iter().find(|s| s.stack.status != StackStatus::DeleteComplete);
        let End::Settled { told, .. } = &last.end else { return None };
        match (verb, living) {
            (Verb::Delete, Some(stack)) if matches!(told.last(), Some(Told::Deleted | Told::NoSuch)) => {
                Some(format!("its last wish was to go, it was told gone, and lives ({})", stack.stack.status))
            }
            (Verb::Create, None) if told.last() == Some(&Told::Created) => {
                let was_removed = mine.iter().any(|s| self.by_hand.contains(&s.stack.id));
                (!was_removed).then(|| "its last wish was to live, it was told its address, and is gone".to_owned())
            }
            _ => None,
        }
    }
}

/// A create that came after a delete of the same second hears of itself, whatever became of the delete.
fn judge_tie(last: &Put, wishes: &[(&Put, Verb)]) -> Option<String> {
    let unheard = |(put, verb): &&(&Put, Verb)| {
        let is_earlier = |(delete, other): &(&Put, Verb)| *other == Verb::Delete && delete.modified == put.modified && delete.at < put.at;
        let is_tied = *verb == Verb::Create && put.modified == last.modified && wishes.iter().any(is_earlier);
        is_tied && matches!(&put.end, End::Settled { told, .. } if told.iter().all(|t| *t == Told::Deleted))
    };
    wishes.iter().find(unheard).map(|(put, _)| format!("{} is of one second with a delete, and only that was answered", put.key))
}
