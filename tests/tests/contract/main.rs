//! One contract, two worlds: what the domain relies on, tried on the strict world in memory and, through the real adapters, on
//! the emulator. Where a world does otherwise than AWS it stands in `DIFFERENCES`, and nowhere else.

#[path = "../bare/mod.rs"]
mod bare;
mod contract_world;
mod emulated;
mod objects;
mod stacks;
mod strict;

use std::fmt::Write as _;
use std::pin::Pin;

use anyhow::{Result, ensure};
use cf_sim::World;
use futures_util::{StreamExt, stream};

use contract_world::ContractWorld;
use emulated::Emulated;

/// Where the contract is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum On {
    Strict,
    Emulator,
}

/// A world that does otherwise than AWS.
struct Difference {
    on: On,
    clause: &'static str,
    /// What it does instead.
    instead: &'static str,
    /// Where AWS says what it does.
    source: &'static str,
}

/// The whole list. A line whose world has learnt the clause fails the test, and is to be taken out.
const DIFFERENCES: &[Difference] = &[Difference {
    on: On::Strict,
    clause: "the_resources_of_a_complete_stack_are_the_templates_and_complete",
    instead: "tells of two made-up resources at any time: it makes stacks, not what is in them, and the domain only counts them",
    source: "API reference, ListStackResources: the resources of the stack, for deleted ones up to 90 days",
}];

type Check<S> = for<'a> fn(&'a S) -> Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

/// One clause: its name, whether its bucket is versioned, and how it is tried.
struct Clause<S> {
    name: &'static str,
    is_versioned: bool,
    check: Check<S>,
}

/// Every clause, by the file that it is in.
macro_rules! clauses {
    ($($file:ident { $($name:ident),* $(,)? })*) => {
        fn clauses<S: ContractWorld + 'static>() -> Vec<Clause<S>> {
            vec![$($(Clause {
                name: stringify!($name),
                is_versioned: !stringify!($name).contains("plain_bucket"),
                check: |stage| Box::pin($file::$name(stage)),
            }),*),*]
        }
    };
}

clauses! {
    objects {
        a_write_where_nothing_is_makes_the_object,
        a_write_where_nothing_should_be_is_moved_and_changes_nothing,
        a_write_over_the_version_that_was_seen_replaces_it,
        a_write_over_another_version_is_moved_and_changes_nothing,
        a_write_over_what_was_removed_since_is_moved_and_makes_nothing,
        a_write_where_something_was_removed_is_one_where_nothing_is,
        a_removal_takes_the_version_that_was_seen,
        a_removal_of_another_version_leaves_it_and_is_no_fault,
        a_removal_of_what_is_gone_is_no_fault,
        equal_bytes_have_equal_etags,
        get_head_list_and_the_write_itself_tell_the_same,
        a_versioned_bucket_gives_equal_bytes_ids_of_their_own,
        a_plain_bucket_gives_no_version_ids,
        a_body_is_read_up_to_its_limit_and_not_beyond,
        what_is_not_there_is_none,
        a_folder_holds_what_begins_so_in_order,
        ledgers_come_in_pages_each_once,
        a_state_file_that_nobody_can_read_says_nothing_and_can_be_written_over,
        a_ledger_comes_back_as_it_was_written,
        a_ledger_that_cannot_be_read_is_a_fault_and_not_an_empty_one,
        a_profile_is_a_script_and_not_its_folder,
        reports_are_listed_without_what_lies_deeper_or_elsewhere,
        a_report_is_read_up_to_its_limit_and_not_beyond,
        a_record_is_found_at_exactly_its_key,
        a_mail_arrives_as_it_was_written,
    }
    stacks {
        what_never_was_is_none_by_name_and_by_id,
        a_stack_is_seen_by_name_and_id_as_soon_as_it_is_created,
        a_stack_shows_every_parameter_defaults_too,
        a_stack_that_completes_has_its_login,
        the_same_token_again_is_the_same_stack,
        another_token_on_a_name_in_use_is_a_conflict,
        a_failed_creation_keeps_its_name_until_it_is_deleted,
        a_deletion_is_seen_at_once_and_ends_in_a_stack_that_only_its_id_finds,
        a_token_is_token_used_even_after_its_stack_is_gone,
        a_name_has_a_second_life_under_another_id,
        a_deletion_by_an_old_id_leaves_the_second_life_alone,
        a_parameter_that_the_template_does_not_know_is_refused_for_good,
        a_value_that_the_template_does_not_allow_is_refused_for_good,
        a_parameter_without_a_value_is_refused_for_good,
        an_empty_tag_is_refused_for_good,
        a_tag_of_awss_own_is_refused_for_good,
        more_than_fifty_tags_are_refused_for_good,
        a_template_that_is_not_there_yet_may_come,
        a_refused_creation_leaves_its_token_unspent,
        a_deletion_of_what_is_gone_or_never_was_is_no_fault,
        a_stack_that_is_still_made_can_be_deleted,
        a_protected_stack_is_not_deleted_and_that_is_for_good,
        events_come_newest_first_and_outlive_the_stack,
        the_cause_of_a_failure_is_in_the_events,
        the_resources_of_a_complete_stack_are_the_templates_and_complete,
        all_living_stacks_are_listed_each_once_and_the_deleted_ones_not,
    }
}

#[tokio::test]
async fn the_strict_world_keeps_the_contract() -> Result<()> {
    keeps::<World>(On::Strict).await
}

#[tokio::test]
async fn the_adapters_on_the_emulator_keep_the_contract() -> Result<()> {
    keeps::<Emulated>(On::Emulator).await
}

/// Clauses tried side by side, each in a world of its own.
const SIDE_BY_SIDE: usize = 4;

async fn keeps<S: ContractWorld + 'static>(on: On) -> Result<()> {
    let tried = stream::iter(clauses::<S>()).map(|clause| async move {
        let done = async { (clause.check)(&S::fresh(clause.is_versioned).await?).await }.await;
        (clause.name, done)
    });
    let tried: Vec<(&str, Result<()>)> = tried.buffer_unordered(SIDE_BY_SIDE).collect().await;
    let mut wrong = String::new();
    for (name, done) in &tried {
        let listed = DIFFERENCES.iter().find(|d| d.on == on && d.clause == *name);
        let _ = match (done, listed) {
            (Err(e), None) => writeln!(wrong, "{name}: {e:#}"),
            (Ok(()), Some(difference)) => writeln!(wrong, "{name}: no difference any more (listed: {})", difference.instead),
            (Err(_), Some(_)) | (Ok(()), None) => Ok(()),
        };
    }
    ensure!(wrong.is_empty(), "{on:?}, of {} clauses:\n{wrong}", tried.len());
    println!("{on:?}: {} clauses kept, {} differ and are listed", tried.len() - listed_for(on), listed_for(on));
    Ok(())
}

fn listed_for(on: On) -> usize {
    DIFFERENCES.iter().filter(|d| d.on == on).count()
}

#[test]
fn every_difference_is_one_of_a_clause_and_says_where_aws_says_otherwise() {
    let names: Vec<_> = clauses::<World>().iter().map(|clause| clause.name).collect();
    for difference in DIFFERENCES {
        assert!(names.contains(&difference.clause), "there is no clause {}", difference.clause);
        assert!(!difference.instead.is_empty() && !difference.source.is_empty(), "{}", difference.clause);
    }
}
