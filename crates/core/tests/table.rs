//! The whole decision table as a committed snapshot, generated from the types, and every action as it prints.
//! `cargo insta review` (or INSTA_UPDATE=always) accepts a change that was meant.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use cf_core::decide::state::{CreateAsk, DeleteAsk, PhaseKind, StackKind};
use cf_core::decide::{Action, Row, choose};
use strum::VariantArray;

/// The stack column of one (create, delete, phase): kinds of equal action together, in the order of the types.
type Column = Vec<(Action, Vec<StackKind>)>;

fn column(create: CreateAsk, delete: DeleteAsk, phase: PhaseKind) -> Column {
    let mut column = Column::new();
    for stack in StackKind::all() {
        let action = choose(&Row { create, delete, phase, stack });
        match column.iter_mut().find(|(known, _)| *known == action) {
            Some((_, stacks)) => stacks.push(stack),
            None => column.push((action, vec![stack])),
        }
    }
    column
}

/// AWS's words, those that mean the same to every row under one name: the legend tells which is which.
fn words(stacks: &[StackKind]) -> String {
    if stacks.len() == StackKind::all().count() {
        return "whatever the stack".into();
    }
    let mut rest: Vec<StackKind> = stacks.to_vec();
    let mut words = Vec::new();
    for kind in stacks {
        if !rest.contains(kind) {
            continue;
        }
        let group = peers(*kind);
        if group.len() > 1 && group.iter().all(|k| rest.contains(k)) {
            words.push(group_name(*kind));
            rest.retain(|k| !group.contains(k));
        } else {
            words.push(kind.to_string());
            rest.retain(|k| k != kind);
        }
    }
    words.join(", ")
}

/// The kinds with the same meaning as this one.
fn peers(kind: StackKind) -> Vec<StackKind> {
    StackKind::all().filter(|other| group_name(*other) == group_name(kind)).collect()
}

fn group_name(kind: StackKind) -> String {
    match kind {
        StackKind::Absent | StackKind::Foreign => kind.to_string(),
        StackKind::Ours(status) => format!("{:?}", status.state()),
        StackKind::WithoutLogin(status) => format!("{:?} without a login", status.state()),
    }
}

fn legend() -> String {
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for kind in StackKind::all().filter(|k| matches!(k, StackKind::Ours(_))) {
        groups.entry(group_name(kind)).or_default().push(kind.to_string());
    }
    groups.iter().fold(String::from("What the statuses mean\n"), |mut text, (name, statuses)| {
        let _ = writeln!(text, "  {name:<12}{}", statuses.join(", "));
        text
    })
}

/// Phases with the same column stand under one heading.
fn section(create: CreateAsk, delete: DeleteAsk) -> String {
    let mut columns: Vec<(Column, Vec<String>)> = Vec::new();
    for &phase in PhaseKind::VARIANTS {
        let column = column(create, delete, phase);
        match columns.iter_mut().find(|(known, _)| *known == column) {
            Some((_, phases)) => phases.push(phase.to_string()),
            None => columns.push((column, vec![phase.to_string()])),
        }
    }
    columns.iter().fold(String::new(), |mut text, (column, phases)| {
        let phases = if phases.len() == PhaseKind::VARIANTS.len() { "whatever the phase".to_owned() } else { phases.join("; ") };
        let _ = writeln!(text, "  {phases}");
        for (action, stacks) in column {
            let _ = writeln!(text, "    {:<18}{}", format!("{action:?}"), words(stacks));
        }
        text
    })
}

#[test]
fn every_row_of_the_table_has_the_action_that_was_agreed() {
    let mut sections: Vec<(String, Vec<String>)> = Vec::new();
    for &create in CreateAsk::VARIANTS {
        for &delete in DeleteAsk::VARIANTS {
            let (text, heading) = (section(create, delete), format!("create {create} · delete {delete}"));
            match sections.iter_mut().find(|(known, _)| *known == text) {
                Some((_, headings)) => headings.push(heading),
                None => sections.push((text, vec![heading])),
            }
        }
    }
    let rows = CreateAsk::VARIANTS.len() * DeleteAsk::VARIANTS.len() * PhaseKind::VARIANTS.len() * StackKind::all().count();
    let mut table = format!("{rows} rows: create × delete × phase × stack. Read: headings, phase, action, stack.\n\n{}", legend());
    for (text, headings) in sections {
        let _ = write!(table, "\n{}\n{text}", headings.join("\n"));
    }
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, { insta::assert_snapshot!("table", table) });
}
