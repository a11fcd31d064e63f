//! Acting on AWS: one effect, one call.

use aws_sdk_cloudformation::config;
use aws_sdk_cloudformation::types::{Capability, OnFailure, Parameter, Tag};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_ses::types::{Body, Content, Destination, Message};
use cf_core::effect::Execute;
use cf_core::effect::{Effect, Expect, NewStack};
use cf_core::fault::{Call, Fault, Kind};
use cf_core::first_hour;
use cf_core::ledger;
use cf_core::ledger_cache::{self, LedgerCache};
use cf_core::message::Mail;
use cf_core::request::ETag;
use cf_core::stack::StackId;

use crate::client::{self, Aws, CREATE_ATTEMPT_SECONDS_MAX, CREATE_SECONDS_MAX};
use crate::fault::{code, fault};
use crate::queries::{etag, of_a_file};

impl Execute for Aws {
    async fn execute(&self, effect: &Effect) -> Result<Option<ETag>, Fault> {
        match effect {
            Effect::WriteLedger { user, ledger, expect } => {
                let bytes = serde_json::to_vec(ledger).map_err(|e| Fault::new(Kind::Retry, Call::PutObject, e.to_string()))?;
                self.put(&self.settings.system_bucket, &ledger::key(user), bytes, "application/json", expect).await
            }
            Effect::CreateStack(new) => self.create_stack(new).await,
            Effect::DeleteStack { id } => self.delete_stack(id).await,
            Effect::WriteStatus { key, status, expect } => {
                self.put(&self.settings.user_bucket, key, status.text().into_bytes(), "application/json", expect).await
            }
            Effect::WriteAnswer { key, message, expect } => {
                self.put(&self.settings.user_bucket, key, message.to_string().into_bytes(), "text/plain; charset=utf-8", expect).await
            }
            Effect::RemoveAnswer { key, etag } => self.remove(key, etag).await,
            Effect::RemoveUpload { key, etag } => self.remove(key, etag).await,
            Effect::SendMail(mail) => self.send(mail).await,
            Effect::WriteLedgerCache(seen) => self.remember(seen).await,
            Effect::WriteFirstHour { record, expect } => {
                self.put(&self.settings.system_bucket, first_hour::KEY, record.bytes(), "application/json", expect).await
            }
            Effect::WriteProbe => self.put_probe().await,
        }
    }
}

impl Aws {
    async fn put(&self, bucket: &str, key: &str, bytes: Vec<u8>, kind: &str, expect: &Expect) -> Result<Option<ETag>, Fault> {
        let request = self.s3.put_object().bucket(bucket).key(key).body(ByteStream::from(bytes)).content_type(kind);
        let request = request.expected_bucket_owner(&self.account);
        let request = match expect {
            Expect::Absent => request.if_none_match("*"),
            Expect::Is(etag) => request.if_match(&etag.0),
            // The pass puts its own version in before it comes here.
            Expect::OwnWrite => return Err(Fault::new(Kind::Conflict, Call::PutObject, "there was no earlier write of this plan")),
        };
        match request.send().await {
            Ok(output) => etag(Call::PutObject, output.e_tag()).map(Some),
            // If-Match on what was removed since: 404, not 412.
            Err(e) if code(&e) == "NoSuchKey" => Err(Fault::new(Kind::Conflict, Call::PutObject, "what was to be replaced is gone")),
            Err(e) => Err(fault(&e)),
        }
    }

    /// On no condition: each line of it stands for itself (`cf_core::ledger_cache`).
    async fn remember(&self, seen: &LedgerCache) -> Result<Option<ETag>, Fault> {
        let request = self.s3.put_object().bucket(&self.settings.system_bucket).key(ledger_cache::KEY).content_type("application/json");
        let request = request.body(ByteStream::from(seen.bytes())).expected_bucket_owner(&self.account);
        request.send().await.map(|_| None).map_err(|e| fault(&e))
    }

    async fn remove(&self, key: &str, etag: &ETag) -> Result<Option<ETag>, Fault> {
        let request = self.s3.delete_object().bucket(&self.settings.user_bucket).key(key).if_match(&etag.0);
        match request.expected_bucket_owner(&self.account).send().await {
            Ok(_) => Ok(None),
            // Gone already, or another upload by now: that one has its own event, and stays.
            Err(e) if matches!(code(&e).as_str(), "NoSuchKey" | "404" | "PreconditionFailed" | "412") => Ok(None),
            // Of a file that S3 does not give out this stays so: the condition needs the right to read it (S3 User Guide,
            // "Enforce conditional deletes").
            Err(e) => Err(of_a_file(fault(&e), &code(&e))),
        }
    }

    async fn create_stack(&self, new: &NewStack) -> Result<Option<ETag>, Fault> {
        let parameter = |(k, v): (&String, &String)| Parameter::builder().parameter_key(k).parameter_value(v).build();
        let tag = |(k, v): (&String, &String)| Tag::builder().key(k).value(v).build();
        let request = self
            .cloudformation
            .create_stack()
            .stack_name(new.name.as_str())
            .template_url(self.template_url(&new.template))
            .set_parameters(Some(new.parameters.iter().map(parameter).collect()))
            .set_tags(Some(new.tags.iter().map(tag).collect()))
            .client_request_token(&new.token)
            .role_arn(&self.settings.service_role)
            .capabilities(Capability::CapabilityIam)
            .on_failure(OnFailure::Rollback);
        let patient = config::Builder::new().timeout_config(client::patience(CREATE_ATTEMPT_SECONDS_MAX, CREATE_SECONDS_MAX));
        let sent = request.customize().config_override(patient).send().await;
        sent.map(|_| None).map_err(|e| fault(&e))
    }

    /// Without a role: the stack keeps the one that it was created with. Without a token: AWS remembers tokens, and a second
    /// removal of a stack that got stuck must not pass for the first one.
    async fn delete_stack(&self, id: &StackId) -> Result<Option<ETag>, Fault> {
        let request = self.cloudformation.delete_stack().stack_name(&id.0);
        request.send().await.map(|_| None).map_err(|e| fault(&e))
    }

    async fn send(&self, mail: &Mail) -> Result<Option<ETag>, Fault> {
        let Some(route) = &self.settings.mail else { return Ok(None) };
        let content = |text: &str| Content::builder().data(text).charset("UTF-8").build();
        let build = |e: &dyn std::fmt::Display| Fault::new(Kind::Rejected, Call::SendEmail, e.to_string());
        let message = Message::builder()
            .subject(content(&mail.subject()).map_err(|e| build(&e))?)
            .body(Body::builder().text(content(&mail.body()).map_err(|e| build(&e))?).build())
            .build();
        let request = self.ses.send_email().source(&route.from).destination(Destination::builder().to_addresses(&route.to).build());
        request.message(message).send().await.map(|_| None).map_err(|e| fault(&e))
    }
}
