//! What a clause needs of a world besides the domain's two traits: other people's hands, and time.

use anyhow::{Context, Result};
use cf_core::body::Choices;
use cf_core::effect::Execute;
use cf_core::effect::{Effect, Expect, NewStack};
use cf_core::fault::Fault;
use cf_core::key::{AnswerKey, RequestFileKey};
use cf_core::message::Message;
use cf_core::names::Cluster;
use cf_core::observe::query::{ListFolder, ReadUpload, StackById, StackByName};
use cf_core::observe::{Listed, Object, Observe, Page, Query, RunQuery};
use cf_core::request::{ETag, RequestId};
use cf_core::settings::Settings;
use cf_core::stack::{Stack, StackId, tags};
use cf_core::testing;

/// One of the deployment's buckets.
#[derive(Debug, Clone, Copy)]
pub enum Place {
    User,
    Customizer,
    System,
}

/// What is to become of the next stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StackOutcome {
    Completes,
    Fails,
    /// It completes, and somebody protects it from termination.
    IsProtected,
}

/// A world on which the contract is tried.
pub trait ContractWorld: Observe + Execute + Sized {
    /// Nothing is there but a deployment with its template.
    async fn fresh(is_versioned: bool) -> Result<Self>;
    fn settings(&self) -> &Settings;
    /// Somebody puts an object there.
    async fn put(&self, place: Place, key: &str, bytes: &[u8]) -> Result<()>;
    /// Somebody takes an object out of the users' bucket.
    async fn take_away(&self, key: &str) -> Result<()>;
    /// To be said before the stack is created.
    async fn set_outcome(&self, name: &str, destiny: StackOutcome) -> Result<()>;
    /// Waits until no stack is in motion.
    async fn settle(&self) -> Result<()>;
    /// Stacks of others, named `other-<number>`.
    async fn plant(&self, count: usize) -> Result<()>;
    /// Mails that arrived: subject and text.
    async fn mails(&self) -> Result<Vec<(String, String)>>;
}

/// What the clauses say over and over.
pub trait Words: ContractWorld {
    fn cluster(&self) -> Cluster {
        testing::cluster("alice", "demo")
    }

    /// The stack that alice's `demo` would have, for the request of this name.
    fn new_stack(&self, request: &str) -> NewStack {
        let (settings, cluster) = (self.settings(), self.cluster());
        let (key, request) = (testing::create_key(&cluster), RequestId::from_tag(request));
        let parameters = &settings.template.metadata.system_parameters;
        NewStack {
            name: settings.stack_name(&cluster),
            token: request.token("create"),
            parameters: parameters
                .iter()
                .map(|(name, value)| (name.clone(), settings.system_value(*value, &key, &request, &Choices::new())))
                .collect(),
            tags: tags(&cluster, &request, &settings.deployment),
            template: settings.template.key(),
        }
    }

    async fn create(&self, new: NewStack) -> Result<(), Fault> {
        self.execute(&Effect::CreateStack(Box::new(new))).await.map(drop)
    }

    async fn delete(&self, id: &StackId) -> Result<(), Fault> {
        self.execute(&Effect::DeleteStack { id: id.clone() }).await.map(drop)
    }

    /// Writes an answer: this login address, and a newline.
    async fn answer(&self, key: &str, login: &str, expect: Expect) -> Result<ETag, Fault> {
        let message = Message::Created { login: login.to_owned() };
        let written = self.execute(&Effect::WriteAnswer { key: AnswerKey::read(key).expect("an answer's key"), message, expect }).await?;
        Ok(written.expect("a write gives the new version"))
    }

    async fn remove(&self, key: &str, etag: &ETag) -> Result<(), Fault> {
        let etag = etag.clone();
        let effect = match AnswerKey::read(key) {
            Some(key) => Effect::RemoveAnswer { key, etag },
            None => Effect::RemoveUpload { key: RequestFileKey::read(key).expect("an answer's key, or a request's"), etag },
        };
        self.execute(&effect).await.map(drop)
    }

    async fn object(&self, key: &str, body: bool) -> Result<Option<Object>> {
        Ok(self.run_query(ReadUpload { key: key.to_owned(), body }).await?)
    }

    async fn there(&self, key: &str) -> Result<Object> {
        self.object(key, true).await?.with_context(|| format!("{key} is there"))
    }

    async fn folder(&self, prefix: &str) -> Result<Vec<Listed>> {
        Ok(self.run_query(ListFolder(prefix.to_owned())).await?.items)
    }

    /// The living stack of alice's `demo`.
    async fn named(&self) -> Result<Option<Box<Stack>>> {
        Ok(self.run_query(StackByName(self.settings().stack_name(&self.cluster()))).await?)
    }

    async fn by_id(&self, id: &StackId) -> Result<Option<Box<Stack>>> {
        Ok(self.run_query(StackById(id.clone())).await?)
    }

    /// Its id, once it has been created for the request of this name and has come to rest.
    async fn settled(&self, request: &str, destiny: StackOutcome) -> Result<StackId> {
        let new = self.new_stack(request);
        self.set_outcome(new.name.as_str(), destiny).await?;
        self.create(new).await?;
        self.settle().await?;
        Ok(self.named().await?.context("the stack is there")?.id)
    }

    /// Every page of a list.
    async fn pages<Q, T>(&self, query: impl Fn(Option<String>) -> Q) -> Result<Vec<T>>
    where
        T: Send + 'static,
        Q: Query<Output = Page<T>>,
        Self: RunQuery<Q>,
    {
        let (mut all, mut token) = (Vec::new(), None);
        loop {
            let seen = self.run_query(query(token)).await?;
            all.extend(seen.items);
            token = seen.next;
            if token.is_none() {
                return Ok(all);
            }
        }
    }
}

impl<S: ContractWorld> Words for S {}
