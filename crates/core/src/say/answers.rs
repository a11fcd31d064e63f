//! The final answers in users' folders, by situation: what was asked, what stands in the way, what to do next. Those about
//! what AWS did not make or remove are in `failures.rs`.

use std::fmt::Write as _;

use jiff::Timestamp;

use crate::facts::{Facts, Upload};
use crate::ledger::{End, OPEN_MAX, Phase, Tied};
use crate::living::Living;
use crate::problem::Problem;

pub use super::failures::{declined, failed, leftover, stuck, undeletable};

/// At most so many problems are listed; a file with more has one problem, whatever its lines say.
const PROBLEMS_MAX: usize = 25;

/// `.cf-created`: exactly the login address and a newline (check A2).
pub fn created(login: &str) -> String {
    format!("{login}\n")
}

pub(super) fn failure(headline: &str, problems: &[Problem]) -> String {
    let mut text = format!("{headline}\n");
    for problem in problems.iter().take(PROBLEMS_MAX) {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n- {problem}\n");
    }
    if let Some(more) = problems.len().checked_sub(PROBLEMS_MAX).filter(|n| *n > 0) {
        let _ = write!(text, "\n… and {more} more.\n");
    }
    text
}

pub(super) fn name(facts: &Facts<'_>) -> String {
    facts.cluster.name.to_string()
}

fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

pub fn refused(facts: &Facts<'_>, problems: &[Problem]) -> String {
    let count = match problems.len() {
        1 => "one problem".to_owned(),
        n => format!("{n} problems"),
    };
    failure(&format!("The cluster {} was not started: {count}. Nothing was made.", name(facts)), problems)
}

/// A key that cannot be a request; its answer stands beside it all the same.
pub fn stray(problem: &Problem) -> String {
    failure("This file cannot be a request. Nothing was done.", std::slice::from_ref(problem))
}

/// A file whose name only looks like a request's. The text follows from the name alone, so it is the same each time.
pub fn look_alike(problem: &Problem) -> String {
    failure(
        "This file was not read, because its name is not a request's. Nothing was done, and the file stays.",
        std::slice::from_ref(problem),
    )
}

pub fn no_profile(facts: &Facts<'_>) -> Problem {
    let user = &facts.cluster.user;
    let stands = match facts.profile.others() {
        None => format!("the user {user} has no profile: nothing lies under customizer/{user}/configure.d/"),
        Some(others) => {
            format!("the user {user} has no profile that does anything: no script lies in customizer/{user}/configure.d/, only {others}")
        }
    };
    Problem::new(
        format!("a cluster for {user}"),
        stands,
        format!(
            "ask the administrator to put a script there, such as customizer/{user}/configure.d/user.sh (not empty, not in a folder, \
             and no text or data file), then upload the file again"
        ),
    )
}

pub fn crowded(upload: &Upload) -> Problem {
    Problem::new(
        format!("the file {}", upload.key),
        format!("{OPEN_MAX} other files for this cluster wait for their turn already"),
        "wait until they are answered, then upload it again",
    )
}

pub fn spread(upload: &Upload) -> Problem {
    Problem::new(
        format!("the file {}", upload.key),
        format!("this cluster's address stands in {OPEN_MAX} other folders already"),
        "look it up there",
    )
}

pub fn no_login(facts: &Facts<'_>) -> String {
    failure(
        &format!("The cluster {} was made, but there is no way to log in.", name(facts)),
        &[Problem::new(
            "the login address",
            format!(
                "the stack {} is complete and has no output {}",
                facts.site.stack_name(&facts.cluster),
                facts.site.template.metadata.login_output
            ),
            format!("the cluster runs and costs money; drop {}.cf-delete to remove it, and tell the administrator", name(facts)),
        )],
    )
}

pub fn removed_while_making(facts: &Facts<'_>) -> String {
    failure(
        &format!(
            "The cluster {} is not there: its stack was removed while it was being made, and not by a .cf-delete file of yours.",
            name(facts)
        ),
        &[Problem::new(
            "the cluster's stack",
            "somebody removed it, probably the administrator",
            "ask the administrator, then upload the file again",
        )],
    )
}

pub fn differs(facts: &Facts<'_>, differences: &[(String, String, String)]) -> String {
    let problems: Vec<Problem> = differences
        .iter()
        .map(|(parameter, has, asked)| {
            Problem::new(
                format!("{parameter} = {asked:?}"),
                format!("the cluster {} exists with {parameter} = {has:?}", name(facts)),
                format!("keep it as it is, or drop {}.cf-delete first and create it anew", name(facts)),
            )
        })
        .collect();
    failure(&format!("The cluster {} exists already, and is not what this file asks for. It was left as it is.", name(facts)), &problems)
}

pub fn occupied(facts: &Facts<'_>) -> String {
    failure(
        &format!("The cluster {} cannot be started.", name(facts)),
        &[Problem::new(
            "the name of its stack",
            "it is taken by something that is not a cluster of yours",
            "choose another name; the administrator has been told",
        )],
    )
}

pub fn withdrawn(facts: &Facts<'_>, tied: Option<&Tied>) -> String {
    let problem = tied.map_or_else(
        || {
            let asked = format!("{}.cf-create", name(facts));
            Problem::new(asked, "a later .cf-delete took it back", "upload it again if you want the cluster after all")
        },
        |tied| in_one_second(facts, tied),
    );
    failure(&format!("The cluster {} was given up.", name(facts)), &[problem])
}

fn in_one_second(facts: &Facts<'_>, tied: &Tied) -> Problem {
    Problem::new(
        format!("{}.cf-create", name(facts)),
        format!(
            "a .cf-delete came within the same second ({}), and S3 does not tell which of the two is later: the delete counts",
            time(tied.at)
        ),
        "upload it again if you want the cluster",
    )
}

pub fn not_removed(facts: &Facts<'_>, problems: &[Problem]) -> String {
    failure(&format!("The cluster {} was not removed.", name(facts)), problems)
}

pub fn overtaken(facts: &Facts<'_>) -> String {
    not_removed(
        facts,
        &[Problem::new(
            format!("{}.cf-delete", name(facts)),
            "a later .cf-create asks for this cluster",
            "drop the .cf-delete again if you want it removed after all",
        )],
    )
}

pub fn no_such(facts: &Facts<'_>, tied: Option<&Tied>) -> String {
    let mine: Vec<String> = facts.ledger.living().filter(|n| **n != facts.cluster.name).map(ToString::to_string).collect();
    let have = if mine.is_empty() { "you have no clusters".to_owned() } else { format!("you have {}", mine.join(", ")) };
    let mut problems = vec![Problem::new(
        format!("the removal of {}", name(facts)),
        format!("there is no cluster of yours with this name; {have}"),
        "check the name: capitals count",
    )];
    // It is written over the answer that said so.
    problems.extend(tied.map(|tied| in_one_second(facts, tied)));
    failure("Nothing was removed.", &problems)
}

/// The line of a receipt that names the types of the nodes; nothing where they are not known.
fn nodes(facts: &Facts<'_>) -> String {
    let entry = facts.entry();
    let types = Living::of(facts, &entry).types();
    let of: Vec<String> = types.iter().map(|(node, kind)| format!("{node} {kind}")).collect();
    if of.is_empty() { String::new() } else { format!("Nodes: {}\n", of.join(", ")) }
}

pub fn deleted(facts: &Facts<'_>, at: Timestamp) -> String {
    format!("The cluster {} is gone since {}.\nStack: {}\n{}", name(facts), time(at), facts.site.stack_name(&facts.cluster), nodes(facts))
}

pub fn removed(facts: &Facts<'_>, at: Timestamp) -> String {
    format!(
        "The cluster {} is gone; it was found removed on {}.\nIt was not removed by a .cf-delete file of yours: ask the administrator.\nStack: {}\n{}",
        name(facts),
        time(at),
        facts.site.stack_name(&facts.cluster),
        nodes(facts)
    )
}

pub fn receipt(facts: &Facts<'_>) -> String {
    match facts.entry().phase {
        Phase::Gone { at, end: End::Failed } => {
            format!("The cluster {} is gone: it could not be made, and was cleared away by {}.\n", name(facts), time(at))
        }
        Phase::Gone { at, end: End::Removed } => removed(facts, at),
        Phase::Gone { at, .. } => deleted(facts, at),
        _ => deleted(facts, facts.now),
    }
}
