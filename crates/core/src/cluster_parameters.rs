//! What a cluster was made with: each parameter's value as its stack shows it, or as it was accepted.

use std::collections::BTreeMap;

use crate::body::Choices;
use crate::decide::state::is_in_the_way;
use crate::instance_type::NODES;
use crate::ledger::{Accepted, Entry};
use crate::snapshot::Snapshot;
use crate::stack::Stack;
use crate::template::Template;

/// The values of one cluster.
pub struct ClusterParameters<'a> {
    template: &'a Template,
    stack: Option<&'a Stack>,
    accepted: Option<&'a Accepted>,
}

impl<'a> ClusterParameters<'a> {
    /// The cluster of this entry, with the stack that was seen of it.
    pub fn of(snapshot: &'a Snapshot<'_>, entry: &'a Entry) -> Self {
        let stack = snapshot.stack().filter(|stack| !is_in_the_way(entry, stack));
        // A stack of another request does not show what was accepted.
        let is_accepteds = |a: &&Accepted| stack.is_none_or(|s| s.request().as_ref() == Some(&a.request));
        Self { template: snapshot.settings.template, stack, accepted: entry.accepted.as_ref().filter(is_accepteds) }
    }

    /// The value of a user parameter. What the stack does not show was accepted so.
    pub fn value(&self, name: &str) -> Option<&'a str> {
        let shown = self.stack.and_then(|stack| stack.parameters.get(name));
        let accepted = self.accepted.and_then(|a| a.parameters.get(name).or_else(|| a.defaults.get(name)));
        let template_default = self.template.parameters.get(name).and_then(|parameter| parameter.default.as_ref());
        shown.or(accepted).or(template_default).map(String::as_str)
    }

    /// Whether it was accepted with this parameter left out, as `choices` leave it out: the same request, though the default that
    /// was taken then may be another one today.
    pub fn leaves_out(&self, choices: &Choices, name: &str) -> bool {
        !choices.contains_key(name) && self.accepted.is_some_and(|a| !a.parameters.contains_key(name))
    }

    /// The EC2 type of each kind of node; empty where nothing is known of the cluster, or its template names no types.
    pub fn types(&self) -> BTreeMap<String, String> {
        if self.stack.is_none() && self.accepted.is_none() {
            return BTreeMap::new();
        }
        let named = NODES.iter().filter_map(|node| Some((node.word.to_owned(), node.named(|name| self.value(name))?.1.to_owned())));
        named.collect()
    }
}
