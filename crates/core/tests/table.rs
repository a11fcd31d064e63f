//! The whole decision table as a committed snapshot, generated from the types, and every course as it prints.
//! `cargo insta review` (or INSTA_UPDATE=always) accepts a change that was meant.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use cf_core::decide::row::{CreateAsk, DeleteAsk, PhaseKind, StackKind};
use cf_core::decide::{Course, Row, choose};

/// The stack column of one (create, delete, phase): kinds of equal course together, in the order of the types.
type Column = Vec<(Course, Vec<StackKind>)>;

fn column(create: CreateAsk, delete: DeleteAsk, phase: PhaseKind) -> Column {
    let mut column = Column::new();
    for stack in StackKind::all() {
        let course = choose(&Row { create, delete, phase, stack });
        match column.iter_mut().find(|(known, _)| *known == course) {
            Some((_, stacks)) => stacks.push(stack),
            None => column.push((course, vec![stack])),
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
            words.push(kind.word().to_owned());
            rest.retain(|k| k != kind);
        }
    }
    words.join(", ")
}

/// The statuses with the same meaning as this one.
fn peers(kind: StackKind) -> Vec<StackKind> {
    match kind {
        StackKind::Absent | StackKind::Foreign => vec![kind],
        StackKind::Ours(status) => {
            StackKind::all().filter(|k| matches!(k, StackKind::Ours(other) if other.state() == status.state())).collect()
        }
    }
}

fn group_name(kind: StackKind) -> String {
    match kind {
        StackKind::Absent | StackKind::Foreign => kind.word().to_owned(),
        StackKind::Ours(status) => format!("{:?}", status.state()),
    }
}

fn legend() -> String {
    let mut groups: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for kind in StackKind::all().filter(|k| matches!(k, StackKind::Ours(_))) {
        groups.entry(group_name(kind)).or_default().push(kind.word());
    }
    groups.iter().fold(String::from("What the statuses mean\n"), |mut text, (name, statuses)| {
        let _ = writeln!(text, "  {name:<12}{}", statuses.join(", "));
        text
    })
}

/// Phases with the same column stand under one heading.
fn section(create: CreateAsk, delete: DeleteAsk) -> String {
    let mut columns: Vec<(Column, Vec<&str>)> = Vec::new();
    for &phase in PhaseKind::ALL {
        let column = column(create, delete, phase);
        match columns.iter_mut().find(|(known, _)| *known == column) {
            Some((_, phases)) => phases.push(phase.word()),
            None => columns.push((column, vec![phase.word()])),
        }
    }
    columns.iter().fold(String::new(), |mut text, (column, phases)| {
        let phases = if phases.len() == PhaseKind::ALL.len() { "whatever the phase".to_owned() } else { phases.join("; ") };
        let _ = writeln!(text, "  {phases}");
        for (course, stacks) in column {
            let _ = writeln!(text, "    {:<12}{}", format!("{course:?}"), words(stacks));
        }
        text
    })
}

#[test]
fn every_row_of_the_table_has_the_course_that_was_agreed() {
    let mut sections: Vec<(String, Vec<String>)> = Vec::new();
    for &create in CreateAsk::ALL {
        for &delete in DeleteAsk::ALL {
            let (text, heading) = (section(create, delete), format!("create {} · delete {}", create.word(), delete.word()));
            match sections.iter_mut().find(|(known, _)| *known == text) {
                Some((_, headings)) => headings.push(heading),
                None => sections.push((text, vec![heading])),
            }
        }
    }
    let rows = CreateAsk::ALL.len() * DeleteAsk::ALL.len() * PhaseKind::ALL.len() * StackKind::all().count();
    let mut table = format!("{rows} rows: create × delete × phase × stack. Read: headings, phase, course, stack.\n\n{}", legend());
    for (text, headings) in sections {
        let _ = write!(table, "\n{}\n{text}", headings.join("\n"));
    }
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, { insta::assert_snapshot!("table", table) });
}
