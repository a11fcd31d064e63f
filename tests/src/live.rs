//! The deployment on LocalEmu, and everybody who calls it with keys of their own: users, functions, a careless admin.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::CreateBucketConfiguration;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use cf_core::settings;
use serde_json::{Value, json};

use crate::function::Function;
use crate::wait;
use cf_local::deploy::{ADMIN, CUSTOMIZER_BUCKET, DEPLOYMENT, PREFIX, USER_BUCKET};
use cf_local::emulator::REGION;
use cf_local::localemu::certificate;
use cf_local::tools::Tool;
use cf_local::{LOCALEMU_PORT, children, root};

/// LocalEmu's own.
pub const ACCOUNT: &str = "000000000000";

/// Everything waited for here comes within seconds.
const WAIT_SECONDS_MAX: u64 = 90;

/// What somebody signs calls with.
#[derive(Debug, Clone)]
pub struct Keys {
    /// AWS_ACCESS_KEY_ID
    pub id: String,
    /// AWS_SECRET_ACCESS_KEY
    pub secret: String,
    /// AWS_SESSION_TOKEN, of a role's session.
    pub token: Option<String>,
}

/// The deployment.
#[derive(Debug)]
pub struct Live {
    /// LocalEmu's port.
    pub port: u16,
    /// The environment that template.yaml sets for the functions.
    pub settings: BTreeMap<String, String>,
}

impl Live {
    /// Deploys what LocalEmu can take of template.yaml, and has cf-watch publish the clusters' template.
    pub async fn deploy(port: u16) -> Result<()> {
        let bare = Self { port, settings: BTreeMap::new() };
        let printed = children::output(Command::new(Tool::LocalEmu.program("python")).arg(root().join("tools/localemu/foundation.py")))?;
        if !printed.status.success() {
            bail!("tools/localemu/foundation.py failed: {}", String::from_utf8_lossy(&printed.stderr));
        }
        let s3 = bare.s3(&root_keys()).await?;
        let here = CreateBucketConfiguration::builder().location_constraint(REGION.into()).build();
        s3.create_bucket().bucket("build-results").create_bucket_configuration(here).send().await?;
        s3.put_object().bucket("build-results").key("foundation.json").body(printed.stdout.into()).send().await?;
        let mut stack = bare.cloudformation(&root_keys()).await?.create_stack().stack_name(DEPLOYMENT);
        for (key, value) in [
            ("UserBucket", USER_BUCKET),
            ("CustomizerBucket", CUSTOMIZER_BUCKET),
            ("AdminEmail", ADMIN),
            ("MailSender", ADMIN),
            ("AccessNetwork", "192.0.2.0/24"),
        ] {
            stack = stack.parameters(aws_sdk_cloudformation::types::Parameter::builder().parameter_key(key).parameter_value(value).build());
        }
        let url = format!("https://s3.{REGION}.amazonaws.com/build-results/foundation.json");
        stack.template_url(url).capabilities("CAPABILITY_NAMED_IAM".into()).send().await?;
        bare.stack_becomes(DEPLOYMENT, "CREATE_COMPLETE").await?;
        bare.root("ses", "VerifyEmailIdentity", &[("EmailAddress", ADMIN)])?;
        Self::at(port).await?.publish().await
    }

    /// The custom resource of template.yaml, answered by cf-watch with its own rights.
    async fn publish(&self) -> Result<()> {
        let mut watch = Function::start(self, settings::Function::Watch, &self.function_keys("cf-watch", "deployment")?).await?;
        let template = cf_core::template::default_template();
        let request = json!({
            "RequestType": "Create", "ResponseURL": watch.answer_url(), "StackId": "s", "RequestId": "r",
            "LogicalResourceId": "ClusterTemplate", "ResourceType": "Custom::ClusterTemplate",
            "ResourceProperties": {"Digest": template.digest},
        });
        watch.invoke(&request).await?;
        let answer = watch.answer()?;
        if answer["Status"] == "SUCCESS" { Ok(()) } else { bail!("cf-watch has not published the template: {}", answer["Reason"]) }
    }

    /// The one that `cargo xtask test` has started.
    pub async fn from_environment() -> Result<Self> {
        let port = std::env::var(LOCALEMU_PORT).context("these tests need LocalEmu: run them with `cargo xtask test live`")?;
        Self::at(port.parse()?).await
    }

    async fn at(port: u16) -> Result<Self> {
        let mut live = Self { port, settings: BTreeMap::new() };
        let found = live.cloudformation(&root_keys()).await?.describe_stacks().stack_name(DEPLOYMENT).send().await?;
        let outputs = found.stacks().first().context("the deployment is there")?.outputs();
        let told = outputs.iter().filter_map(|o| Some((setting(o.output_key()?), o.output_value()?.to_owned())));
        live.settings = told.collect();
        Ok(live)
    }

    /// Its address, by TLS.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The bucket with ledger and templates.
    pub fn system_bucket(&self) -> &str {
        self.settings.get("CLUSTERDROP_SYSTEM_BUCKET").map_or("", String::as_str)
    }

    /// Who may do as little as the user policy says: an IAM user of this name.
    pub fn iam_user(&self, name: &str) -> Result<Keys> {
        let policy = format!("arn:aws:iam::{ACCOUNT}:policy/{PREFIX}-user");
        self.user_with(name, "AttachUserPolicy", &[("PolicyArn", &policy)])
    }

    /// An IAM user who may do anything to any bucket.
    pub fn careless_admin(&self, name: &str) -> Result<Keys> {
        self.user_who_may(name, &json!([{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]))
    }

    /// An IAM user with these statements for a policy.
    pub fn user_who_may(&self, name: &str, statements: &Value) -> Result<Keys> {
        let policy = json!({"Version": "2012-10-17", "Statement": statements});
        self.user_with(name, "PutUserPolicy", &[("PolicyName", "may"), ("PolicyDocument", &policy.to_string())])
    }

    fn user_with(&self, name: &str, action: &str, policy: &[(&str, &str)]) -> Result<Keys> {
        let user = [("UserName", name)];
        self.root("iam", "CreateUser", &user)?;
        self.root("iam", action, &[&user, policy].concat())?;
        keys(&self.root("iam", "CreateAccessKey", &user)?)
    }

    /// Who comes by single sign-on: the session of a role that many share, told apart by a tag, or without one.
    pub fn signed_on(&self, role: &str, tag: Option<&str>) -> Result<Keys> {
        let trust = json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"AWS": format!("arn:aws:iam::{ACCOUNT}:root")}, "Action": ["sts:AssumeRole", "sts:TagSession"],
        }]});
        let policy = format!("arn:aws:iam::{ACCOUNT}:policy/{PREFIX}-user-sso");
        self.root("iam", "CreateRole", &[("RoleName", role), ("AssumeRolePolicyDocument", &trust.to_string())])?;
        self.root("iam", "AttachRolePolicy", &[("RoleName", role), ("PolicyArn", &policy)])?;
        let tags: Vec<_> = tag.iter().flat_map(|tag| [("Tags.member.1.Key", "clusterdrop-user"), ("Tags.member.1.Value", tag)]).collect();
        self.assume(role, "somebody@site.example", &tags)
    }

    /// The keys that Lambda gives a function: those of its own role. `session` tells the tests' verdicts apart.
    pub fn function_keys(&self, function: &str, session: &str) -> Result<Keys> {
        self.assume(&format!("{PREFIX}-{function}"), session, &[])
    }

    fn assume(&self, role: &str, session: &str, tags: &[(&str, &str)]) -> Result<Keys> {
        let arn = format!("arn:aws:iam::{ACCOUNT}:role/{role}");
        keys(&self.root("sts", "AssumeRole", &[&[("RoleArn", arn.as_str()), ("RoleSessionName", session)], tags].concat())?)
    }

    /// Gives a user a profile.
    pub async fn give_profile(&self, user: &str) -> Result<()> {
        let key = format!("customizer/{user}/configure.d/user.sh");
        let script = ByteStream::from_static(b"#!/bin/bash\n");
        self.s3(&root_keys()).await?.put_object().bucket(CUSTOMIZER_BUCKET).key(key).body(script).send().await?;
        Ok(())
    }

    /// S3 with somebody's keys.
    pub async fn s3(&self, keys: &Keys) -> Result<aws_sdk_s3::Client> {
        Ok(s3(&self.config(keys, &self.url()).await?))
    }

    /// S3 without TLS.
    pub async fn s3_in_the_clear(&self, keys: &Keys) -> Result<aws_sdk_s3::Client> {
        Ok(s3(&self.config(keys, &format!("http://127.0.0.1:{}", self.port)).await?))
    }

    /// CloudFormation with somebody's keys.
    pub async fn cloudformation(&self, keys: &Keys) -> Result<aws_sdk_cloudformation::Client> {
        Ok(aws_sdk_cloudformation::Client::new(&self.config(keys, &self.url()).await?))
    }

    async fn config(&self, keys: &Keys, url: &str) -> Result<SdkConfig> {
        let trust = TrustStore::empty().with_pem_certificate(fs::read(certificate(self.port))?);
        let context = TlsContext::builder().with_trust_store(trust).build()?;
        let http =
            aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).tls_context(context).build_https();
        let credentials = Credentials::new(&keys.id, &keys.secret, keys.token.clone(), None, "live");
        let config = aws_config::defaults(BehaviorVersion::latest()).region(Region::new(REGION));
        Ok(config.credentials_provider(credentials).http_client(http).endpoint_url(url).load().await)
    }

    /// A call in AWS's query protocol with somebody's keys: the answer, and "allowed" or the code of the refusal. It
    /// spares an SDK for each of the services that are called to be refused. LocalEmu does not verify signatures.
    pub fn query(&self, keys: &Keys, service: &str, action: &str, parameters: &[(&str, &str)]) -> Result<(String, String)> {
        let version = match service {
            "autoscaling" => "2011-01-01",
            "cloudformation" => "2010-05-15",
            "ec2" => "2016-11-15",
            "iam" => "2010-05-08",
            "ses" => "2010-12-01",
            "sts" => "2011-06-15",
            other => bail!("the version of {other} is not known here"),
        };
        let signed =
            format!("AWS4-HMAC-SHA256 Credential={}/20261121/{REGION}/{service}/aws4_request, SignedHeaders=host, Signature=0", keys.id);
        let call = ureq::post(format!("http://127.0.0.1:{}/", self.port)).header("Authorization", signed);
        let call = keys.token.iter().fold(call, |call, token| call.header("X-Amz-Security-Token", token));
        let form = [("Action", action), ("Version", version)].into_iter().chain(parameters.iter().copied());
        let mut answer = call.config().http_status_as_error(false).build().send_form(form)?;
        let text = answer.body_mut().read_to_string()?;
        let verdict = if answer.status().is_success() { "allowed" } else { element(&text, "Code").unwrap_or("an error without a code") };
        Ok((text.clone(), verdict.to_owned()))
    }

    /// The tests' own hand, which IAM does not judge.
    fn root(&self, service: &str, action: &str, parameters: &[(&str, &str)]) -> Result<String> {
        match self.query(&root_keys(), service, action, parameters)? {
            (text, verdict) if verdict == "allowed" => Ok(text),
            (text, _) => bail!("{service}:{action}: {text}"),
        }
    }

    /// The AWS CLI with somebody's keys; whether it did what it was told to.
    pub fn aws(&self, keys: &Keys, args: &[&str]) -> Result<()> {
        let mut command = Command::new(Tool::Emulator.program("aws"));
        command
            .args(args)
            .env("AWS_ENDPOINT_URL", self.url())
            .env("AWS_CA_BUNDLE", certificate(self.port))
            .env("AWS_DEFAULT_REGION", REGION)
            .env("AWS_ACCESS_KEY_ID", &keys.id)
            .env("AWS_SECRET_ACCESS_KEY", &keys.secret)
            .env_remove("AWS_SESSION_TOKEN")
            .env_remove("AWS_PROFILE");
        command.envs(keys.token.iter().map(|token| ("AWS_SESSION_TOKEN", token)));
        let output = children::output(&mut command)?;
        if output.status.success() { Ok(()) } else { bail!("aws {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr)) }
    }

    /// IAM's verdicts on a caller: action, resource, and whether it was allowed.
    pub fn verdicts(&self, caller: &str) -> Result<Vec<Verdict>> {
        let url = format!("http://127.0.0.1:{}/_clusterdrop/decisions?caller={caller}", self.port);
        let all: Value = ureq::get(url).call()?.body_mut().read_json()?;
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        let read = |v: &Value| Verdict { action: text(&v["action"]), resource: text(&v["resource"]), allowed: v["allowed"] == true };
        Ok(all["decisions"].as_array().into_iter().flatten().map(read).collect())
    }

    /// Waits until a stack, by name or id, has a status.
    pub async fn stack_becomes(&self, stack: &str, status: &str) -> Result<()> {
        let client = self.cloudformation(&root_keys()).await?;
        let mut last = None;
        let what = format!("{status} of {stack}");
        let reached = wait::until(&what, Duration::from_secs(WAIT_SECONDS_MAX), async || {
            let found = client.describe_stacks().stack_name(stack).send().await?;
            last = found.stacks().first().and_then(|s| s.stack_status()).map(|s| s.as_str().to_owned());
            Ok((last.as_deref() == Some(status)).then_some(()))
        });
        let reached = reached.await;
        reached.with_context(|| format!("it is {last:?}"))
    }
}

/// One decision of IAM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What was to be done.
    pub action: String,
    /// To what.
    pub resource: String,
    /// Whether it was.
    pub allowed: bool,
}

/// The key that LocalEmu takes for the account's root.
pub fn root_keys() -> Keys {
    Keys { id: "test".into(), secret: "test".into(), token: None }
}

/// "allowed", or the code of the refusal.
pub fn verdict<T, E: ProvideErrorMetadata>(result: &Result<T, E>) -> String {
    match result {
        Ok(_) => "allowed".to_owned(),
        Err(error) => error.code().unwrap_or("an error without a code").to_owned(),
    }
}

fn s3(config: &SdkConfig) -> aws_sdk_s3::Client {
    aws_sdk_s3::Client::from_conf(aws_sdk_s3::config::Builder::from(config).force_path_style(true).build())
}

/// The text of the first XML element of a name.
pub fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    Some(rest.split_once(&format!("</{name}>"))?.0)
}

fn keys(told: &str) -> Result<Keys> {
    let text = |name: &str| element(told, name).map(str::to_owned);
    let (id, secret) = (text("AccessKeyId").context("no key was made")?, text("SecretAccessKey").context("no key was made")?);
    Ok(Keys { id, secret, token: text("SessionToken") })
}

/// `ClusterdropUserBucket` is how an output tells of `CLUSTERDROP_USER_BUCKET`.
fn setting(output: &str) -> String {
    let mut name = String::new();
    for c in output.chars() {
        if c.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(c.to_ascii_uppercase());
    }
    name
}
