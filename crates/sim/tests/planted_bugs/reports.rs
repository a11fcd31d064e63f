//! Bugs in what is made of nodes' reports.

use std::any::Any;
use std::sync::{Mutex, PoisonError};

use cf_core::effect::Effect;
use cf_core::node_reports::LOGIN;
use cf_core::observe::query::{ListReports, ReadReport};
use cf_core::observe::{Listed, Object, Page};
use cf_core::stack::Stack;
use cf_core::status::State as Word;
use cf_sim::State;
use cf_sim::simulate::Bug;
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
