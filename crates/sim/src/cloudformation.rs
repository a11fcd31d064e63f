//! CloudFormation: names, tokens, parameters, asynchronous states. Rules by facts read in AWS's documents:
//! a token is remembered per name even after deletion; ROLLBACK_COMPLETE keeps its name; deletes go through by id;
//! only an id finds a deleted stack.

use std::collections::{BTreeMap, BTreeSet};

use cf_core::causes::StackEvent;
use cf_core::effect::NewStack;
use cf_core::fault::{Call, Fault, Kind};
use cf_core::snapshot::ACCESS_COMMAND;
use cf_core::stack::{ResourceStatus, Stack, StackId, StackStatus};
use cf_core::template::Template;
use jiff::Timestamp;

/// What will become of a stack.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum StackBehaviour {
    /// It completes, with a login address.
    #[default]
    Succeeds,
    /// It completes and has no login address.
    NoLogin,
    /// A resource fails; the rest is cancelled and rolled back.
    Fails,
    /// It stays in creation.
    Hangs,
    /// It completes; its removal fails.
    DeleteFails,
    /// A resource fails, and what was made does not go wholly, neither in the rollback nor later: ROLLBACK_FAILED, DELETE_FAILED.
    RollbackFails,
    /// It completes; an administrator protects it.
    Protected,
}

/// A stack and what will become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimStack {
    /// What DescribeStacks shows.
    pub stack: Stack,
    /// What will become of it.
    pub behaviour: StackBehaviour,
    /// Its events, oldest first.
    pub events: Vec<StackEvent>,
    /// Every status that it had, and since when, oldest first.
    pub history: Vec<(Timestamp, StackStatus)>,
    /// What AWS says of the resource that fails, if one does.
    pub words: String,
    /// Whether its lists of events and resources can be parsed: a control character in a reason spoils the whole page, for good
    /// (cloudformation-coverage-roadmap#1601).
    pub is_unreadable: bool,
    token: String,
}

/// All stacks, dead ones too.
#[derive(Debug, Clone, Default)]
pub struct Stacks {
    all: Vec<SimStack>,
    tokens: BTreeSet<(String, String)>,
    /// The behaviour of stacks to come.
    pub next_behaviour: StackBehaviour,
    /// What AWS will say of a resource of theirs that fails; [`NO_CAPACITY`] where nothing is said here.
    pub next_words: Option<String>,
    /// Whether their lists cannot be read.
    pub next_is_unreadable: bool,
    /// Whether a token repeated on the living stack that it has made is refused. AWS documents neither answer.
    pub refuses_repeats: bool,
    /// Which stacks changed their status since this was last emptied: CloudFormation's events, before EventBridge has them.
    pub turned: Vec<usize>,
}

/// The login address of every stack that has one.
pub const LOGIN: &str = "198.51.100.7";

/// EC2's words where it has no machine (rhel-edge and many others; here without the type, as it was said in 2016).
pub const NO_CAPACITY: &str = "We currently do not have sufficient capacity in the Availability Zone you requested (eu-west-2a).";

const ARN: &str = "arn:aws:cloudformation:eu-west-2:123456789012:stack";

fn permanent(call: Call, why: impl Into<String>) -> Fault {
    Fault::new(Kind::Rejected, call, why)
}

impl Stacks {
    /// CreateStack.
    pub fn create(&mut self, new: &NewStack, template: &Template, now: Timestamp) -> Result<StackId, Fault> {
        const CALL: Call = Call::CreateStack;
        let name = new.name.as_str();
        if let Some(living) = self.living(name) {
            return if living.token != new.token {
                Err(Fault::new(Kind::Conflict, CALL, "AlreadyExistsException"))
            } else if self.refuses_repeats {
                Err(Fault::new(Kind::TokenUsed, CALL, "TokenAlreadyExistsException"))
            } else {
                Ok(living.stack.id.clone())
            };
        }
        if self.tokens.contains(&(name.to_owned(), new.token.clone())) {
            return Err(Fault::new(Kind::TokenUsed, CALL, "TokenAlreadyExistsException"));
        }
        check_name(name)?;
        check_tags(&new.tags)?;
        let parameters = check_parameters(new, template)?;
        self.tokens.insert((name.to_owned(), new.token.clone()));
        let id = StackId(format!("{ARN}/{name}/{:08}", self.all.len()));
        let stack = Stack {
            id: id.clone(),
            status: StackStatus::CreateInProgress,
            reason: None,
            tags: new.tags.clone(),
            parameters,
            outputs: BTreeMap::new(),
            parent: None,
        };
        let words = self.next_words.clone().unwrap_or_else(|| NO_CAPACITY.to_owned());
        let (behaviour, is_unreadable) = (self.next_behaviour.clone(), self.next_is_unreadable);
        let (events, history, token) = (Vec::new(), Vec::new(), new.token.clone());
        self.all.push(SimStack { stack, behaviour, events, history, words, is_unreadable, token });
        self.note(self.all.len() - 1, now);
        Ok(id)
    }

    /// DeleteStack, by id. A deleted stack, and one that never was, are no fault.
    pub fn delete(&mut self, id: &StackId, now: Timestamp) -> Result<(), Fault> {
        const CALL: Call = Call::DeleteStack;
        let Some(nth) = self.all.iter().position(|s| &s.stack.id == id) else { return Ok(()) };
        let found = &mut self.all[nth];
        match found.stack.status {
            StackStatus::DeleteComplete | StackStatus::DeleteInProgress => return Ok(()),
            _ if found.behaviour == StackBehaviour::Protected => {
                return Err(permanent(
                    CALL,
                    format!("ValidationError: Stack [{}] cannot be deleted while TerminationProtection is enabled", id.0),
                ));
            }
            // Not to be begun while another operation runs: whether AWS would take it is not certain.
            status
                if status.as_str().ends_with("IN_PROGRESS")
                    && !matches!(status, StackStatus::CreateInProgress | StackStatus::ReviewInProgress) =>
            {
                return Err(permanent(CALL, format!("ValidationError: the stack is in {status}")));
            }
            _ => found.stack.status = StackStatus::DeleteInProgress,
        }
        self.note(nth, now);
        Ok(())
    }

    /// The living stack of a name.
    pub fn living(&self, name: &str) -> Option<&SimStack> {
        self.all.iter().find(|s| s.stack.status != StackStatus::DeleteComplete && s.stack.id.name() == Some(name))
    }

    /// Any stack, by id.
    pub fn by_id(&self, id: &StackId) -> Option<&SimStack> {
        self.all.iter().find(|s| &s.stack.id == id)
    }

    /// All that are not deleted.
    pub fn all_living(&self) -> impl Iterator<Item = &SimStack> {
        self.all.iter().filter(|s| s.stack.status != StackStatus::DeleteComplete)
    }

    /// All, dead ones too.
    pub fn all(&self) -> &[SimStack] {
        &self.all
    }

    /// Puts a stack there, without a call of a function.
    pub fn plant(&mut self, stack: Stack, behaviour: StackBehaviour, token: &str, now: Timestamp) {
        self.tokens.insert((stack.id.name().unwrap_or_default().to_owned(), token.to_owned()));
        let (words, token) = (NO_CAPACITY.to_owned(), token.to_owned());
        self.all.push(SimStack { stack, behaviour, events: Vec::new(), history: Vec::new(), words, is_unreadable: false, token });
        self.note(self.all.len() - 1, now);
    }

    /// Moves a stack to a status, as an administrator's hand or CloudFormation's work would.
    pub fn set_status(&mut self, id: &StackId, status: StackStatus, now: Timestamp) {
        if let Some(nth) = self.all.iter().position(|s| &s.stack.id == id) {
            self.all[nth].stack.status = status;
            self.note(nth, now);
        }
    }

    /// Gives an output of a stack another value, or takes it away, as an update of the stack would.
    pub fn set_output(&mut self, id: &StackId, output: &str, value: Option<&str>) {
        if let Some(found) = self.all.iter_mut().find(|s| &s.stack.id == id) {
            found.stack.outputs.remove(output);
            found.stack.outputs.extend(value.map(|value| (output.to_owned(), value.to_owned())));
        }
    }

    /// Lets every stack in motion make one step; returns those that did.
    pub fn step(&mut self, login_output: &str, now: Timestamp) -> Vec<StackId> {
        let moved: Vec<usize> = (0..self.all.len()).filter(|nth| self.advance(*nth, login_output, now)).collect();
        moved.into_iter().map(|nth| self.all[nth].stack.id.clone()).collect()
    }

    /// Lets one stack make a step, if it is in motion.
    pub fn advance(&mut self, nth: usize, login_output: &str, now: Timestamp) -> bool {
        let found = &mut self.all[nth];
        let Some(next) = found.next_status() else { return false };
        if next == StackStatus::CreateComplete && found.behaviour != StackBehaviour::NoLogin {
            found.stack.outputs.insert(login_output.to_owned(), LOGIN.to_owned());
            let account = found.stack.parameters.get("AccessUsername").cloned().unwrap_or_default();
            found.stack.outputs.insert(ACCESS_COMMAND.to_owned(), format!("ssh {account}@{LOGIN}"));
        }
        if next == StackStatus::RollbackInProgress {
            found.fail(now);
        }
        if matches!(next, StackStatus::DeleteFailed | StackStatus::RollbackFailed) {
            found.stack.reason = Some("The following resource(s) failed to delete: [LoginSecurityGroup].".into());
            let reason = "resource sg-0a1b has a dependent object";
            found.event("LoginSecurityGroup", "AWS::EC2::SecurityGroup", "sg-0a1b", "DELETE_FAILED", reason, now);
        }
        found.stack.status = next;
        self.note(nth, now);
        true
    }

    /// Whether a stack's status will change by itself.
    pub fn is_in_motion(&self, nth: usize) -> bool {
        self.all[nth].next_status().is_some()
    }

    /// What will become of a stack from now on.
    pub fn set_behaviour(&mut self, nth: usize, behaviour: StackBehaviour) {
        self.all[nth].behaviour = behaviour;
    }

    fn note(&mut self, nth: usize, now: Timestamp) {
        let found = &mut self.all[nth];
        let (physical, status) = (found.stack.id.0.clone(), found.stack.status);
        let logical = found.stack.id.name().unwrap_or_default().to_owned();
        found.history.push((now, status));
        found.events.push(StackEvent {
            at: now,
            logical,
            physical,
            kind: "AWS::CloudFormation::Stack".into(),
            status: ResourceStatus::parse(status.as_str()),
            reason: String::new(),
        });
        self.turned.push(nth);
    }
}

impl SimStack {
    /// The stack as DescribeStacks shows it to one who sees the world as it was then; `None` before it was made.
    pub fn as_of(&self, at: Timestamp) -> Option<Stack> {
        let status = self.status_at(at)?;
        let mut stack = self.stack.clone();
        stack.status = status;
        if status == StackStatus::CreateInProgress {
            stack.outputs.clear();
        }
        Some(stack)
    }

    /// Its status then.
    pub fn status_at(&self, at: Timestamp) -> Option<StackStatus> {
        self.history.iter().rev().find(|(since, _)| *since <= at).map(|(_, status)| *status)
    }

    fn next_status(&self) -> Option<StackStatus> {
        use StackStatus as T;
        Some(match (self.stack.status, &self.behaviour) {
            (T::CreateInProgress, StackBehaviour::Hangs) => return None,
            (T::CreateInProgress, StackBehaviour::Fails | StackBehaviour::RollbackFails) => T::RollbackInProgress,
            (T::CreateInProgress, _) => T::CreateComplete,
            (T::RollbackInProgress, StackBehaviour::RollbackFails) => T::RollbackFailed,
            (T::RollbackInProgress, _) => T::RollbackComplete,
            (T::DeleteInProgress, StackBehaviour::DeleteFails | StackBehaviour::RollbackFails) => T::DeleteFailed,
            (T::DeleteInProgress, _) => T::DeleteComplete,
            (T::UpdateInProgress, _) => T::UpdateCompleteCleanupInProgress,
            (T::UpdateRollbackInProgress, _) => T::UpdateRollbackCompleteCleanupInProgress,
            (T::UpdateRollbackCompleteCleanupInProgress, _) => T::UpdateRollbackComplete,
            // A status that nobody knows yet passes, too.
            (T::UpdateCompleteCleanupInProgress | T::Unknown, _) => T::UpdateComplete,
            (T::ImportInProgress, _) => T::ImportComplete,
            (T::ImportRollbackInProgress, _) => T::ImportRollbackComplete,
            _ => return None,
        })
    }

    fn fail(&mut self, now: Timestamp) {
        self.stack.reason = Some("The following resource(s) failed to create: [LoginNode, ComputeGroup].".into());
        let words = self.words.clone();
        self.event("ComputeGroup", "AWS::AutoScaling::AutoScalingGroup", "", "CREATE_FAILED", "Resource creation cancelled", now);
        self.event("LoginNode", "AWS::EC2::Instance", "i-0a1b2c", "CREATE_FAILED", &words, now);
    }

    fn event(&mut self, logical: &str, kind: &str, physical: &str, status: &str, reason: &str, at: Timestamp) {
        let (logical, kind, physical) = (logical.into(), kind.into(), physical.into());
        self.events.push(StackEvent { at, logical, physical, kind, status: ResourceStatus::parse(status), reason: reason.into() });
    }
}

/// `[a-zA-Z][-a-zA-Z0-9]*`, at most 128 (API reference, `CreateStack`).
fn check_name(name: &str) -> Result<(), Fault> {
    let legal = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        && name.len() <= 128;
    if legal { Ok(()) } else { Err(permanent(Call::CreateStack, format!("ValidationError: stack name {name:?}"))) }
}

/// At most 50 tags; no empty value, no key of AWS's own (API reference, `Tag`).
fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), Fault> {
    let legal = tags.len() <= 50 && tags.iter().all(|(k, v)| !k.is_empty() && !k.starts_with("aws:") && (1..=256).contains(&v.len()));
    if legal { Ok(()) } else { Err(permanent(Call::CreateStack, "ValidationError: tags")) }
}

/// Digits, and what a minus and a point may add to them: a spelling that no reader of numbers refuses.
fn is_plain_number(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
    digits(whole) && digits(decimals) && (whole == "0" || !whole.starts_with('0'))
}

/// Unknown, missing and illegal parameters are refused (facts of the API; emulators let unknown ones pass).
fn check_parameters(new: &NewStack, template: &Template) -> Result<BTreeMap<String, String>, Fault> {
    const CALL: Call = Call::CreateStack;
    if new.template != template.key() {
        // In the minute of an upgrade it may still come.
        return Err(Fault::new(Kind::Retry, CALL, "ValidationError: S3 error: The specified key does not exist."));
    }
    if let Some(unknown) = new.parameters.keys().find(|name| !template.parameters.contains_key(*name)) {
        return Err(permanent(CALL, format!("ValidationError: Parameters: [{unknown}] do not exist in the template")));
    }
    let mut all = BTreeMap::new();
    for (name, parameter) in &template.parameters {
        let Some(value) = new.parameters.get(name).or(parameter.default.as_ref()) else {
            return Err(permanent(CALL, format!("ValidationError: Parameters: [{name}] must have values")));
        };
        if let Some(problem) = parameter.check(name, value) {
            return Err(permanent(CALL, format!("ValidationError: {problem:?}")));
        }
        // Our own check lets several spellings of a number through; here, where it is not ours to judge, only one is sure to pass.
        if parameter.is_number() && !is_plain_number(value) {
            return Err(permanent(CALL, format!("ValidationError: Parameter '{name}' must be a number not {value}")));
        }
        all.insert(name.clone(), value.clone());
    }
    Ok(all)
}
