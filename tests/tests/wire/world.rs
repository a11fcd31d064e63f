//! What there is in an account in the end, written so that two runs of the same path read alike: times, ids, addresses and
//! the account's own number are taken out, and nothing else.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use anyhow::{Context, Result, bail};
use cf_core::key::Answer;
use cf_core::ledger;
use cf_core::message::{Message, Rest, StackReason};
use cf_e2e::messages;
use regex_lite::Regex;

use crate::bare::Account;
use crate::path::Path;

/// All that a run can leave behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct World {
    /// The users' bucket, and the ledgers.
    pub objects: BTreeMap<String, String>,
    /// Every stack that there ever was: name, status, tags, parameters.
    pub stacks: Vec<String>,
    /// Subjects of the mails that were sent.
    pub mails: Vec<String>,
}

/// What differs between two runs of the same path, and what stands in its place.
static OWN: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    [
        (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z| UTC)", "<time>"),
        (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<uuid>"),
        (r"\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b", "<address>"),
        (r"\b(i|vpc|subnet|sg)-[0-9a-f]{8,}\b", "<resource>"),
        (r"\b[0-9a-f]{8,}\b", "<hash>"),
        // How often the ledger was written: a pass that was given back has written it once more.
        (r#""(revision|seen)":\d+"#, r#""$1":<count>"#),
    ]
    .into_iter()
    .map(|(pattern, instead)| (Regex::new(pattern).expect("a pattern of ours"), instead))
    .collect()
});

fn plain(text: &str, account: &Account) -> String {
    // A failure is told as soon as it is seen: during the rollback, or after it.
    let text = text.replace(&account.id, "<account>").replace(&Rest::Gone.to_string(), &Rest::Going.to_string());
    OWN.iter().fold(text, |text, (pattern, instead)| pattern.replace_all(&text, *instead).into_owned())
}

/// Whether an answer has the stack's own reason where the causes would be, because their list could not be read.
fn is_without_causes(key: &str, text: &str) -> bool {
    let Some(cluster) = key.rsplit('/').next().and_then(|name| name.strip_suffix(Answer::Failed.suffix())) else { return false };
    let told = |reason| Message::Failed {
        cluster: messages::name(cluster),
        causes: vec![],
        stack: Some(StackReason { reason, is_unread: true }),
        rest: Rest::Going,
    };
    text == told(None).to_string() || messages::in_place_of("<reason>", &told(Some("<reason>".into())), text).is_some()
}

impl World {
    pub async fn of(account: &Account, path: Path) -> Result<Self> {
        let (mut objects, mut login) = (BTreeMap::new(), None);
        for (bucket, prefix) in [(&account.settings.user_bucket, ""), (&account.settings.system_bucket, ledger::PREFIX)] {
            for (key, text) in account.objects(bucket, prefix).await? {
                if key.ends_with(Answer::Created.suffix()) {
                    login = Some(text.clone());
                }
                objects.insert(key, plain(&text, account));
            }
        }
        let mut stacks = Vec::new();
        for (id, _) in account.stacks().await? {
            let described = account.cloudformation.describe_stacks().stack_name(id).send().await?;
            let stack = described.stacks().first().context("a stack is found by its id")?;
            let output = |name: &str| stack.outputs().iter().find(|o| o.output_key() == Some(name)).and_then(|o| o.output_value());
            let login_output = &account.settings.template.metadata.login_output;
            if let Some(told) = &login
                && Some(told.trim_end()) != output(login_output)
            {
                bail!("users are told to go to {told:?}, and the stack has {:?}", output(login_output));
            }
            let mut snapshot: Vec<String> = stack.tags().iter().map(|t| format!("{:?}={:?}", t.key(), t.value())).collect();
            snapshot.extend(stack.parameters().iter().map(|p| format!("{:?}={:?}", p.parameter_key(), p.parameter_value())));
            snapshot.sort();
            stacks.push(plain(&format!("{:?} {:?} {snapshot:?}", stack.stack_name(), stack.stack_status()), account));
        }
        stacks.sort();
        let mut mails: Vec<String> = account.mails()?.into_iter().map(|(subject, _)| subject).collect();
        mails.sort();
        let world = Self { objects, stacks, mails };
        world.check(path)?;
        Ok(world)
    }

    /// Whether nothing but mails differs.
    pub fn is_like(&self, other: &Self) -> bool {
        (&self.objects, &self.stacks) == (&other.objects, &other.stacks)
    }

    /// The same where the list of a stack's events was spoiled: of a stack at rest nobody hears again, so the answer does not wait
    /// for the list. It gives the stack's own reason, says that the list is missing, and nothing else differs.
    pub fn is_like_but_for_the_causes(&self, other: &Self) -> bool {
        let mut mine = self.clone();
        for (key, text) in mine.objects.iter_mut().filter(|(key, _)| key.ends_with(Answer::Failed.suffix())) {
            if is_without_causes(key, text) {
                text.clone_from(other.objects.get(key).unwrap_or(&String::new()));
            }
        }
        mine.is_like(other)
    }

    /// What holds at the end of any run, whatever it is compared with.
    fn check(&self, path: Path) -> Result<()> {
        let uploads: Vec<_> = self.objects.keys().filter(|k| k.ends_with(".cf-create") || k.ends_with(".cf-delete")).collect();
        if !uploads.is_empty() {
            bail!("not answered: {uploads:?}");
        }
        let answers: Vec<_> = self.objects.keys().filter(|k| Answer::ALL.iter().any(|a| k.ends_with(a.suffix()))).collect();
        if answers.len() != 1 || !answers[0].ends_with(path.answer().suffix()) {
            bail!("there are the answers {answers:?}");
        }
        let twice: Vec<_> = self.mails.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| &pair[0]).collect();
        if !twice.is_empty() {
            bail!("sent twice: {twice:?}");
        }
        Ok(())
    }
}
