//! A17 and A18 live: on LocalEmu with IAM enforced, with the users' and the functions' own keys. What a policy forbids is
//! asked for and refused, what it is there for is done; and each time the world is looked at afterwards.

mod functions;
mod life;
mod scaling;
mod stacks;
mod users;

use anyhow::Result;
use aws_sdk_s3::operation::get_object::GetObjectError;
use aws_sdk_s3::primitives::ByteStream;
use cf_e2e::live::{Keys, Live, root_keys};
use cf_local::deploy::USER_BUCKET;

/// What S3, CloudFormation, SES and IAM answer where a policy does not allow a call.
const DENIED: &str = "AccessDenied";
const ALLOWED: &str = "allowed";

/// The suffixes that only the functions write.
const ANSWERS: [&str; 4] = ["cf-created", "cf-deleted", "cf-failed", "cf-status"];

/// The three functions.
const FUNCTIONS: [&str; 3] = ["cf-create", "cf-delete", "cf-watch"];

/// A service, an action, and its parameters.
type Call<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);

fn bytes(text: &str) -> ByteStream {
    ByteStream::from(text.as_bytes().to_vec())
}

/// Puts something there by the tests' own hand.
async fn place(live: &Live, bucket: &str, key: &str, text: &str) -> Result<()> {
    live.s3(&root_keys()).await?.put_object().bucket(bucket).key(key).body(bytes(text)).send().await?;
    Ok(())
}

/// The text that stands there, to the tests' own eye.
async fn text(live: &Live, bucket: &str, key: &str) -> Result<Option<String>> {
    let got = live.s3(&root_keys()).await?.get_object().bucket(bucket).key(key).send().await;
    match got {
        Ok(object) => Ok(Some(String::from_utf8(object.body.collect().await?.to_vec())?)),
        Err(e) if e.as_service_error().is_some_and(GetObjectError::is_no_such_key) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// All keys below a prefix of the users' bucket, to the tests' own eye.
async fn keys_below(live: &Live, prefix: &str) -> Result<Vec<String>> {
    let listed = live.s3(&root_keys()).await?.list_objects_v2().bucket(USER_BUCKET).prefix(prefix).send().await?;
    Ok(listed.contents().iter().filter_map(|o| o.key().map(str::to_owned)).collect())
}

/// A user by both ways that there are: as an IAM user, and by single sign-on.
fn both_ways(live: &Live, user: &str) -> Result<[(String, Keys); 2]> {
    let (iam, sso) = (format!("{user}-iam"), format!("{user}-sso"));
    let keys = [live.iam_user(&iam)?, live.signed_on(&format!("{user}-people"), Some(&sso))?];
    let [first, second] = keys;
    Ok([(iam, first), (sso, second)])
}
