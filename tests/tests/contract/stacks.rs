//! The contract of CloudFormation. Each clause is one thing that AWS does, and that clusterdrop relies on.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use cf_core::causes::StackEvent;
use cf_core::fault::{Fault, Kind};
use cf_core::observe;
use cf_core::observe::query::{ListEvents, ListResources, ListStacks};
use cf_core::stack::{ResourceStatus as R, StackId, StackState, StackStatus};

use crate::contract_world::{ContractWorld, StackOutcome, Words};

/// Two requests, as their tags have them.
const FIRST: &str = "00000000000000f1";
const SECOND: &str = "00000000000000f2";

fn kind<T>(done: Result<T, Fault>) -> Option<Kind> {
    done.err().map(|fault| fault.kind)
}

async fn status<S: ContractWorld>(s: &S, id: &StackId) -> Result<Option<StackStatus>> {
    Ok(s.by_id(id).await?.map(|stack| stack.status))
}

pub async fn what_never_was_is_none_by_name_and_by_id<S: ContractWorld>(s: &S) -> Result<()> {
    ensure!(s.named().await?.is_none());
    let id =
        StackId("arn:aws:cloudformation:eu-west-2:123456789012:stack/clusterdrop-a-b-00112233/0a1b2c3d-0000-0000-0000-000000000000".into());
    ensure!(s.by_id(&id).await?.is_none());
    Ok(())
}

pub async fn a_stack_is_seen_by_name_and_id_as_soon_as_it_is_created<S: ContractWorld>(s: &S) -> Result<()> {
    let new = s.new_stack(FIRST);
    s.create(new.clone()).await?;
    let stack = s.named().await?.context("by its name")?;
    ensure!(stack.status == StackStatus::CreateInProgress, "{}", stack.status);
    ensure!(stack.tags == new.tags && stack.cluster(&s.settings().deployment) == Some(s.cluster()) && stack.parent.is_none());
    let by_id = s.by_id(&stack.id).await?.context("by its id")?;
    ensure!(by_id.id == stack.id && by_id.tags == stack.tags);
    ensure!(stack.id.name() == Some(new.name.as_str()));
    Ok(())
}

pub async fn a_stack_shows_every_parameter_defaults_too<S: ContractWorld>(s: &S) -> Result<()> {
    let new = s.new_stack(FIRST);
    s.create(new.clone()).await?;
    let shown = s.named().await?.context("by its name")?.parameters;
    ensure!(new.parameters.iter().all(|(name, value)| shown.get(name) == Some(value)), "{shown:?}");
    ensure!(shown.keys().collect::<BTreeSet<_>>() == s.settings().template.parameters.keys().collect(), "{:?}", shown.keys());
    Ok(())
}

pub async fn a_stack_that_completes_has_its_login<S: ContractWorld>(s: &S) -> Result<()> {
    let id = s.settled(FIRST, StackOutcome::Completes).await?;
    let stack = s.by_id(&id).await?.context("by its id")?;
    ensure!(stack.status == StackStatus::CreateComplete, "{}", stack.status);
    ensure!(stack.outputs.contains_key(&s.settings().template.metadata.login_output), "{:?}", stack.outputs);
    Ok(())
}

pub async fn the_same_token_again_is_the_same_stack<S: ContractWorld>(s: &S) -> Result<()> {
    let id = s.settled(FIRST, StackOutcome::Completes).await?;
    s.create(s.new_stack(FIRST)).await?;
    s.settle().await?;
    ensure!(s.named().await?.is_some_and(|stack| stack.id == id));
    Ok(())
}

pub async fn another_token_on_a_name_in_use_is_a_conflict<S: ContractWorld>(s: &S) -> Result<()> {
    s.create(s.new_stack(FIRST)).await?;
    ensure!(kind(s.create(s.new_stack(SECOND)).await) == Some(Kind::Conflict), "while it is made");
    s.settle().await?;
    ensure!(kind(s.create(s.new_stack(SECOND)).await) == Some(Kind::Conflict), "when it stands");
    Ok(())
}

pub async fn a_failed_creation_keeps_its_name_until_it_is_deleted<S: ContractWorld>(s: &S) -> Result<()> {
    let id = s.settled(FIRST, StackOutcome::Fails).await?;
    ensure!(status(s, &id).await? == Some(StackStatus::RollbackComplete));
    ensure!(kind(s.create(s.new_stack(SECOND)).await) == Some(Kind::Conflict));
    s.delete(&id).await?;
    s.settle().await?;
    ensure!(s.named().await?.is_none() && status(s, &id).await? == Some(StackStatus::DeleteComplete));
    s.create(s.new_stack(SECOND)).await?;
    Ok(())
}

pub async fn a_deletion_is_seen_at_once_and_ends_in_a_stack_that_only_its_id_finds<S: ContractWorld>(s: &S) -> Result<()> {
    let id = s.settled(FIRST, StackOutcome::Completes).await?;
    s.delete(&id).await?;
    ensure!(status(s, &id).await? == Some(StackStatus::DeleteInProgress));
    s.settle().await?;
    ensure!(s.named().await?.is_none() && status(s, &id).await? == Some(StackStatus::DeleteComplete));
    Ok(())
}

pub async fn a_token_is_token_used_even_after_its_stack_is_gone<S: ContractWorld>(s: &S) -> Result<()> {
    let id = s.settled(FIRST, StackOutcome::Completes).await?;
    s.delete(&id).await?;
    s.settle().await?;
    ensure!(kind(s.create(s.new_stack(FIRST)).await) == Some(Kind::TokenUsed));
    ensure!(s.named().await?.is_none());
    Ok(())
}

pub async fn a_name_has_a_second_life_under_another_id<S: ContractWorld>(s: &S) -> Result<()> {
    let first = s.settled(FIRST, StackOutcome::Completes).await?;
    s.delete(&first).await?;
    s.settle().await?;
    let second = s.settled(SECOND, StackOutcome::Completes).await?;
    ensure!(first != second && status(s, &first).await? == Some(StackStatus::DeleteComplete));
    ensure!(status(s, &second).await? == Some(StackStatus::CreateComplete));
    Ok(())
}

pub async fn a_deletion_by_an_old_id_leaves_the_second_life_alone<S: ContractWorld>(s: &S) -> Result<()> {
    let first = s.settled(FIRST, StackOutcome::Completes).await?;
    s.delete(&first).await?;
    s.settle().await?;
    let second = s.settled(SECOND, StackOutcome::Completes).await?;
    s.delete(&first).await?;
    s.settle().await?;
    ensure!(status(s, &second).await? == Some(StackStatus::CreateComplete));
    Ok(())
}

pub async fn a_parameter_that_the_template_does_not_know_is_refused_for_good<S: ContractWorld>(s: &S) -> Result<()> {
    let mut new = s.new_stack(FIRST);
    new.parameters.insert("ComputeSpotPrize".into(), "0.03".into());
    ensure!(kind(s.create(new).await) == Some(Kind::Rejected));
    ensure!(s.named().await?.is_none());
    Ok(())
}

pub async fn a_value_that_the_template_does_not_allow_is_refused_for_good<S: ContractWorld>(s: &S) -> Result<()> {
    let mut new = s.new_stack(FIRST);
    new.parameters.insert("AutoscalingPolicy".into(), "perhaps".into());
    ensure!(kind(s.create(new).await) == Some(Kind::Rejected));
    ensure!(s.named().await?.is_none());
    Ok(())
}

pub async fn a_parameter_without_a_value_is_refused_for_good<S: ContractWorld>(s: &S) -> Result<()> {
    let mut new = s.new_stack(FIRST);
    let wanted = s.settings().template.parameters.iter().find(|(_, parameter)| parameter.default.is_none());
    let name = wanted.map(|(name, _)| name.clone()).context("some parameter of the template has no default")?;
    ensure!(new.parameters.remove(&name).is_some());
    ensure!(kind(s.create(new).await) == Some(Kind::Rejected));
    ensure!(s.named().await?.is_none());
    Ok(())
}

pub async fn a_tag_of_awss_own_is_refused_for_good<S: ContractWorld>(s: &S) -> Result<()> {
    let mut new = s.new_stack(FIRST);
    new.tags.insert("aws:cloudformation:stack-name".into(), "mine".into());
    ensure!(kind(s.create(new).await) == Some(Kind::Rejected));
    ensure!(s.named().await?.is_none());
    Ok(())
}

pub async fn more_than_fifty_tags_are_refused_for_good<S: ContractWorld>(s: &S) -> Result<()> {
    let mut new = s.new_stack(FIRST);
    new.tags.extend((0..50).map(|nth| (format!("more-{nth}"), "x".to_owned())));
    ensure!(kind(s.create(new).await) == Some(Kind::Rejected));
    ensure!(s.named().await?.is_none());
    Ok(())
}

pub async fn an_empty_tag_is_refused_for_good<S: ContractWorld>(s: &S) -> Result<()> {
    let mut new = s.new_stack(FIRST);
    new.tags.insert("project".into(), String::new());
    ensure!(kind(s.create(new).await) == Some(Kind::Rejected));
    ensure!(s.named().await?.is_none());
    Ok(())
}

pub async fn a_template_that_is_not_there_yet_may_come<S: ContractWorld>(s: &S) -> Result<()> {
    let mut new = s.new_stack(FIRST);
    new.template = "templates/cluster-0000000000000000.yaml".into();
    ensure!(kind(s.create(new).await) == Some(Kind::Retry));
    ensure!(s.named().await?.is_none());
    Ok(())
}

pub async fn a_refused_creation_leaves_its_token_unspent<S: ContractWorld>(s: &S) -> Result<()> {
    let mut wrong = s.new_stack(FIRST);
    wrong.parameters.insert("ComputeSpotPrize".into(), "0.03".into());
    ensure!(kind(s.create(wrong).await) == Some(Kind::Rejected));
    s.create(s.new_stack(FIRST)).await?;
    Ok(())
}

pub async fn a_deletion_of_what_is_gone_or_never_was_is_no_fault<S: ContractWorld>(s: &S) -> Result<()> {
    let id = s.settled(FIRST, StackOutcome::Completes).await?;
    s.delete(&id).await?;
    s.delete(&id).await?;
    s.settle().await?;
    s.delete(&id).await?;
    s.delete(&StackId(
        "arn:aws:cloudformation:eu-west-2:123456789012:stack/clusterdrop-a-b-00112233/0a1b2c3d-0000-0000-0000-000000000000".into(),
    ))
    .await?;
    s.settle().await?;
    ensure!(status(s, &id).await? == Some(StackStatus::DeleteComplete));
    Ok(())
}

pub async fn a_stack_that_is_still_made_can_be_deleted<S: ContractWorld>(s: &S) -> Result<()> {
    s.create(s.new_stack(FIRST)).await?;
    let id = s.named().await?.context("by its name")?.id;
    s.delete(&id).await?;
    s.settle().await?;
    ensure!(status(s, &id).await? == Some(StackStatus::DeleteComplete));
    Ok(())
}

pub async fn a_protected_stack_is_not_deleted_and_that_is_for_good<S: ContractWorld>(s: &S) -> Result<()> {
    let id = s.settled(FIRST, StackOutcome::IsProtected).await?;
    let refused = s.delete(&id).await;
    ensure!(kind(refused.clone()) == Some(Kind::Rejected), "{refused:?}");
    ensure!(refused.is_err_and(|fault| fault.why.contains("TerminationProtection")));
    ensure!(status(s, &id).await? == Some(StackStatus::CreateComplete));
    Ok(())
}

async fn events<S: ContractWorld>(s: &S, id: &StackId) -> Result<Vec<StackEvent>> {
    s.pages(|page| ListEvents { stack: id.clone(), page }).await
}

pub async fn events_come_newest_first_and_outlive_the_stack<S: ContractWorld>(s: &S) -> Result<()> {
    let id = s.settled(FIRST, StackOutcome::Completes).await?;
    let before = events(s, &id).await?;
    s.delete(&id).await?;
    s.settle().await?;
    let all = events(s, &id).await?;
    ensure!(all.iter().rev().map(|e| e.at).is_sorted(), "{all:?}");
    ensure!(all.ends_with(&before), "what was told stays told");
    let of_stack: Vec<_> = all.iter().filter(|e| e.physical == id.0).map(|e| e.status).collect();
    let life = [R::DeleteComplete, R::DeleteInProgress, R::CreateComplete, R::CreateInProgress];
    ensure!(of_stack == life, "{of_stack:?}");
    Ok(())
}

pub async fn the_cause_of_a_failure_is_in_the_events<S: ContractWorld>(s: &S) -> Result<()> {
    let id = s.settled(FIRST, StackOutcome::Fails).await?;
    let causes = observe::causes(s, &id, StackState::Failed).await?;
    ensure!(causes.unread.is_empty(), "{causes:?}");
    let causes = causes.found;
    ensure!(causes.len() == 1 && causes[0].logical == "LoginNode" && causes[0].reason.contains("capacity"), "{causes:?}");
    let stack = s.by_id(&id).await?.context("by its id")?;
    ensure!(stack.reason.is_none() || !stack.reason.as_deref().unwrap_or_default().is_empty());
    Ok(())
}

pub async fn the_resources_of_a_complete_stack_are_the_templates_and_complete<S: ContractWorld>(s: &S) -> Result<()> {
    let id = s.settled(FIRST, StackOutcome::Completes).await?;
    let all = s.pages(|page| ListResources { stack: id.clone(), page }).await?;
    ensure!(all.iter().all(|status| *status == R::CreateComplete), "{all:?}");
    ensure!(
        !all.is_empty() && all.len() <= s.settings().template.resources.len(),
        "{} of {}",
        all.len(),
        s.settings().template.resources.len()
    );
    Ok(())
}

pub async fn all_living_stacks_are_listed_each_once_and_the_deleted_ones_not<S: ContractWorld>(s: &S) -> Result<()> {
    // More than any page holds.
    s.plant(101).await?;
    let gone = s.settled(FIRST, StackOutcome::Completes).await?;
    s.delete(&gone).await?;
    s.settle().await?;
    let lives = s.settled(SECOND, StackOutcome::Completes).await?;
    let all = s.pages(ListStacks).await?;
    let ids: BTreeSet<_> = all.iter().map(|stack| stack.id.clone()).collect();
    ensure!((all.len(), ids.len()) == (102, 102), "{} of which {} differ", all.len(), ids.len());
    ensure!(ids.contains(&lives) && !ids.contains(&gone));
    ensure!(all.iter().filter(|stack| stack.cluster(&s.settings().deployment).is_some()).count() == 1);
    Ok(())
}
