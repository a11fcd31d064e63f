//! What no function may ever do, watched at every effect, and what must hold once nothing moves any more.

use cf_core::effect::{Effect, NewStack};
use cf_core::first_hour::PROBE;
use cf_core::key::{self, Answer, Reading, Verb};
use cf_core::ledger::{Entry, Ledger, Phase};
use cf_core::names::{Cluster, ClusterName, User};
use cf_core::settings::Settings;
use cf_core::stack::{StackState, TAG_CLUSTER, TAG_DEPLOYMENT, TAG_USER};
use cf_core::status::{State as Word, Status};

use crate::cloud::Cloud;
use crate::finding::{Finding, FindingKind};
use crate::s3::{Bucket, Version};
use crate::world::{State, World};

impl State {
    /// Looks at an effect that is about to happen.
    pub(crate) fn watch(&mut self, effect: &Effect, settings: &Settings) {
        let wrong = match effect {
            // In whole lives equal files follow each other, and which one an answer meant is for the simulator's reference to say.
            Effect::RemoveUpload { .. } if !self.checks_removals => None,
            // The probe is no upload, and wants no answer.
            Effect::RemoveUpload { key, .. } if **key == *PROBE => None,
            Effect::RemoveUpload { key, etag } => {
                let is_there = self.store.get(Bucket::User, key).map(Version::etag).as_ref() == Some(etag);
                let is_answered = self.answered.contains(&(key.to_string(), etag.clone()));
                (is_there && !is_answered)
                    .then(|| Finding::new(FindingKind::UploadFirst, format!("{key} was removed before its answer stood")))
            }
            Effect::DeleteStack { id } => {
                let is_ours = self.stacks.by_id(id).is_none_or(|s| s.stack.cluster(&settings.deployment).is_some());
                (!is_ours).then(|| Finding::new(FindingKind::ForeignDeleted, format!("{id} was to be deleted")))
            }
            Effect::CreateStack(new) => (!is_tagged(new, settings)).then(|| Finding::new(FindingKind::TagsMissing, new.name.as_str())),
            Effect::WriteLedger { .. }
            | Effect::WriteStatus { .. }
            | Effect::WriteAnswer { .. }
            | Effect::RemoveAnswer { .. }
            | Effect::SendMail(_)
            | Effect::WriteLedgerCache(_)
            | Effect::WriteFirstHour { .. }
            | Effect::WriteProbe => None,
        };
        self.findings.extend(wrong);
    }

    /// Remembers which uploads an answer stands beside.
    pub(crate) fn note_answer(&mut self, answer: &str) {
        let Some(stem) = Answer::ALL.iter().find_map(|a| answer.strip_suffix(a.suffix())) else { return };
        for verb in Verb::ALL {
            let upload = format!("{stem}{}", verb.suffix());
            if let Some(version) = self.store.get(Bucket::User, &upload) {
                self.answered.insert((upload, version.etag()));
            }
        }
    }
}

/// A stack's name and tags must be those of one cluster of this deployment.
fn is_tagged(new: &NewStack, settings: &Settings) -> bool {
    let tag = |key: &str| new.tags.get(key).map(String::as_str).unwrap_or_default();
    match (User::parse(tag(TAG_USER)), ClusterName::parse(tag(TAG_CLUSTER))) {
        (Ok(user), Ok(name)) => tag(TAG_DEPLOYMENT) == settings.deployment && new.name == settings.stack_name(&Cluster { user, name }),
        _ => false,
    }
}

impl Cloud {
    /// What is wrong in a world where nothing moves any more; empty where all is well.
    pub fn findings_at_rest(&self) -> Vec<Finding> {
        self.world.findings_at_rest()
    }
}

impl World {
    /// What is wrong in a world where nothing moves any more; empty where all is well.
    pub fn findings_at_rest(&self) -> Vec<Finding> {
        let state = self.state();
        let mut wrong = state.findings.clone();
        for (key, _) in state.store.list(Bucket::User, "") {
            if matches!(key::read(key), Reading::Request(_) | Reading::Refused { .. }) {
                wrong.push(Finding::new(FindingKind::NeverAnswered, key));
            }
            if let Some(stem) = key.strip_suffix(Answer::Created.suffix())
                && let Reading::Request(upload) = key::read(&format!("{stem}{}", Verb::Create.suffix()))
            {
                wrong.extend(self.untrue_address(&state, key, &upload.cluster).map(|what| Finding::new(FindingKind::UntrueAddress, what)));
            }
        }
        for (key, version) in state.store.list(Bucket::System, cf_core::ledger::PREFIX) {
            let Some(user) = cf_core::ledger::user_of(key) else { continue };
            let Ok(ledger) = serde_json::from_slice::<Ledger>(&version.bytes) else {
                wrong.push(Finding::new(FindingKind::LedgerUnreadable, key));
                continue;
            };
            for (name, entry) in &ledger.clusters {
                let cluster = Cluster { user: user.clone(), name: name.clone() };
                wrong.extend(shown(&state, entry).map(|what| Finding::new(FindingKind::LedgerUntrue, format!("{cluster}: {what}"))));
                wrong.extend(complaint(&cluster, entry, living(&state, &cluster, &self.settings)));
            }
        }
        for living in state.stacks.all_living() {
            let name = living.stack.id.name().unwrap_or_default();
            if state.stacks.all_living().filter(|s| s.stack.id.name() == Some(name)).count() > 1 {
                wrong.push(Finding::new(FindingKind::LivesTwice, name));
            }
        }
        wrong
    }
}

impl World {
    /// What is wrong with an address that stands: it must be the one of a stack that stands.
    fn untrue_address(&self, state: &State, key: &str, cluster: &Cluster) -> Option<String> {
        let of = |s: &&crate::SimStack| s.stack.cluster(&self.settings.deployment).as_ref() == Some(cluster);
        let Some(stack) = state.stacks.all_living().find(of) else { return Some(format!("{key} stands, and there is no such cluster")) };
        let shown = state.store.text(Bucket::User, key).unwrap_or_default();
        let is = stack.stack.outputs.get(&self.settings.template.metadata.login_output).map(String::as_str).unwrap_or_default();
        match stack.stack.status.state() {
            StackState::DeleteFailed => Some(format!("{key} stands, and what is left of its cluster could not be deleted")),
            StackState::Available if shown.trim() != is => Some(format!("{key} says {shown:?}, and the address is {is:?}")),
            _ => None,
        }
    }
}

/// What the files beside the accepted create say and should not, at rest.
fn shown(state: &State, entry: &Entry) -> Option<String> {
    let accepted = entry.accepted.as_ref()?;
    let status = state.store.get(Bucket::User, &accepted.key.status())?;
    let status: Status = serde_json::from_slice(&status.bytes).ok()?;
    let fits = status.request != accepted.request
        || match entry.phase {
            Phase::Ready => matches!(status.state, Word::Ready | Word::Failed),
            Phase::Gone { .. } => matches!(status.state, Word::Deleted | Word::Failed),
            Phase::Stuck => matches!(status.state, Word::Failed),
            _ => true,
        };
    (!fits).then(|| format!("the ledger says {:?}, and its status file {:?}", entry.phase, status.state))
}

fn living(state: &State, cluster: &Cluster, settings: &Settings) -> Option<StackState> {
    let of = |s: &&crate::SimStack| s.stack.cluster(&settings.deployment).as_ref() == Some(cluster);
    state.stacks.all_living().find(of).map(|s| s.stack.status.state())
}

/// What an entry says and should not, at rest.
fn complaint(cluster: &Cluster, entry: &Entry, stack: Option<StackState>) -> Option<Finding> {
    if !entry.open.is_empty() {
        return Some(Finding::new(FindingKind::StillOwes, format!("{cluster}: {:?}", entry.open)));
    }
    let fits = match (entry.phase, stack) {
        (Phase::Ready, Some(StackState::Available)) | (Phase::New | Phase::Gone { .. }, None) => true,
        // Somebody's change set, which nobody has executed, is no cluster.
        (Phase::New | Phase::Gone { .. }, Some(StackState::InReview)) => true,
        // What is left of a failed creation may be as protected as a cluster.
        (Phase::Stuck, Some(StackState::DeleteFailed | StackState::Failed)) => true,
        // A stack that hangs is followed for as long as it hangs.
        (Phase::Creating { .. }, Some(StackState::Creating)) => true,
        _ => false,
    };
    (!fits).then(|| {
        Finding::new(FindingKind::LedgerUntrue, format!("{cluster}: the ledger says {:?}, and the stack is {stack:?}", entry.phase))
    })
}
