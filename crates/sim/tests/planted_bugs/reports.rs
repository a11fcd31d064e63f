//! Bugs in what is made of nodes' reports.

use std::any::Any;
use std::sync::{Mutex, PoisonError};

use cf_core::body::Body;
use cf_core::effect::Effect;
use cf_core::node_report::NodeReport;
use cf_core::node_reports::LOGIN;
use cf_core::observe::query::{ListReports, ReadReport};
use cf_core::observe::{Listed, Object, Page};
use cf_core::stack::Stack;
use cf_core::status::{State as Word, Status};
use cf_sim::simulate::Bug;
use cf_sim::{Bucket, State};
use jiff::Timestamp;

/// Shows the report that was read last, whoever's it is.
pub struct AnothersReport(Mutex<Option<Object>>);
pub static ANOTHERS_REPORT: AnothersReport = AnothersReport(Mutex::new(None));
impl Bug for AnothersReport {
    fn sees(&self, query: &dyn Any, answer: &mut dyn Any, _: Timestamp) {
        if let (true, Some(Some(object))) = (query.is::<ReadReport>(), answer.downcast_mut::<Option<Object>>()) {
            let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let now = object.clone();
            if let Some(last) = last.as_ref() {
                object.body = last.body.clone();
            }
            *last = Some(now);
        }
    }
}

/// Writes the address that the login node names into the lines for known_hosts.
pub struct AddressOfTheNode;
impl Bug for AddressOfTheNode {
    fn does(&self, effect: &Effect, _: &State, _: &mut Vec<Effect>) -> Vec<Effect> {
        let mut effect = effect.clone();
        if let Effect::WriteStatus { status, .. } = &mut effect {
            for line in &mut status.reported.known_hosts {
                *line = line.split_once(' ').map(|(_, key)| format!("192.0.2.66 {key}")).unwrap_or_default();
            }
        }
        vec![effect]
    }
}

/// Takes the number of nodes from nowhere.
pub struct UnboundedReports;
impl Bug for UnboundedReports {
    fn sees(&self, _: &dyn Any, answer: &mut dyn Any, _: Timestamp) {
        if let Some(Some(stack)) = answer.downcast_mut::<Option<Box<Stack>>>() {
            stack.parameters.insert("ComputeMaxNodes".into(), "400".into());
        }
    }
}

/// Calls a cluster ready once its login node does.
pub struct ReadyByReport;
impl Bug for ReadyByReport {
    fn does(&self, effect: &Effect, _: &State, _: &mut Vec<Effect>) -> Vec<Effect> {
        let mut effect = effect.clone();
        if let Effect::WriteStatus { status, .. } = &mut effect
            && status.reported.nodes.get(&LOGIN).is_some_and(|state| state == "ready")
        {
            status.state = Word::Ready;
        }
        vec![effect]
    }
}

/// Overlooks the login node, whose report comes last in a listing.
pub struct LoginNodeLeftOut;
impl Bug for LoginNodeLeftOut {
    fn sees(&self, query: &dyn Any, answer: &mut dyn Any, _: Timestamp) {
        if query.is::<ListReports>()
            && let Some(page) = answer.downcast_mut::<Page<Listed>>()
        {
            page.items.retain(|listed| !listed.key.ends_with("login1.json"));
        }
    }
}

/// Counts a job that waits which the login node has not reported.
pub struct AJobTooMany;
impl Bug for AJobTooMany {
    fn sees(&self, query: &dyn Any, answer: &mut dyn Any, _: Timestamp) {
        if let (Some(ReadReport(key)), Some(Some(object))) = (query.downcast_ref(), answer.downcast_mut::<Option<Object>>())
            && key.ends_with("login1.json")
            && let Body::Read(bytes) = &mut object.body
            && let Ok(mut report) = NodeReport::parse(bytes)
            && let Some(slurm) = &mut report.scheduler
        {
            slurm.jobs.waiting += 1;
            *bytes = serde_json::to_vec(&report).unwrap_or_default();
        }
    }
}

/// Shows what Slurm showed first, for ever.
pub struct SlurmForgotten;
impl Bug for SlurmForgotten {
    fn does(&self, effect: &Effect, state: &State, _: &mut Vec<Effect>) -> Vec<Effect> {
        let mut effect = effect.clone();
        if let Effect::WriteStatus { key, status, .. } = &mut effect
            && let Some(version) = state.store.get(Bucket::User, key)
            && let Ok(shown) = serde_json::from_slice::<Status>(&version.bytes)
            && shown.request == status.request
            && shown.reported.scheduler.is_some()
        {
            status.reported.scheduler.clone_from(&shown.reported.scheduler);
            status.message = status.message.clone().with_scheduler(shown.reported.scheduler.as_ref());
        }
        vec![effect]
    }
}

/// Does not write down that the nodes' reports are still to be shown.
pub struct ReportsForgotten;
impl Bug for ReportsForgotten {
    fn does(&self, effect: &Effect, _: &State, _: &mut Vec<Effect>) -> Vec<Effect> {
        let mut effect = effect.clone();
        if let Effect::WriteLedger { ledger, .. } = &mut effect {
            ledger.clusters.values_mut().for_each(|entry| entry.reports_owed = false);
        }
        vec![effect]
    }
}
