//! A Lambda function from start to end: settings, clients, then one event after the other.

use cf_core::settings::Function;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::Value;

use crate::client::Aws;
use crate::reports::Deadline;
use crate::{handle, log, settings};

/// Runs a function until Lambda ends it.
pub async fn run(function: Function) -> Result<(), Error> {
    log::init();
    let lookup = |name: &str| std::env::var(name).ok();
    let settings = settings::settings_from(lookup, function)?;
    let required = |name: &str| lookup(name).filter(|v| !v.is_empty()).ok_or_else(|| format!("the setting {name} is missing"));
    let aws = Aws::from_environment(settings, required("CLUSTERDROP_ACCOUNT")?, required("AWS_REGION")?).await;
    lambda_runtime::run(service_fn(|event: LambdaEvent<Value>| {
        let aws = &aws;
        // Boxed: the type is deeper than the compiler likes.
        Box::pin(async move { handle::handle(aws, &event.payload, Deadline::at(event.context.deadline)).await })
    }))
    .await
}
