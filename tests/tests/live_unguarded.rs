//! Without the bucket's policy, which an existing bucket may lack: the users' own policies forbid forging as well. This
//! takes the policy away from everybody, so it runs alone, after `live_iam`.

use anyhow::Result;
use aws_sdk_s3::primitives::ByteStream;
use cf_e2e::live::{Live, root_keys, verdict};
use cf_local::deploy::USER_BUCKET;

#[tokio::test]
async fn a18_the_users_own_policies_forbid_forging_as_well() -> Result<()> {
    let live = Live::from_environment().await?;
    live.s3(&root_keys()).await?.delete_bucket_policy().bucket(USER_BUCKET).send().await?;
    let put = async |keys, key: &str| -> Result<String> {
        let body = ByteStream::from_static(b"203.0.113.1\n");
        Ok(verdict(&live.s3(keys).await?.put_object().bucket(USER_BUCKET).key(key).body(body).send().await))
    };
    let people = [("alone-iam", live.iam_user("alone-iam")?), ("alone-sso", live.signed_on("alone-people", Some("alone-sso"))?)];
    for (me, keys) in &people {
        assert_eq!(put(keys, &format!("home/{me}/demo.cf-create")).await?, "allowed", "{me} uploads");
        for suffix in ["cf-created", "cf-deleted", "cf-failed", "cf-status"] {
            assert_eq!(put(keys, &format!("home/{me}/demo.{suffix}")).await?, "AccessDenied", "{me} forges {suffix}");
        }
    }
    // And it was the bucket's policy that kept this one from it.
    let careless = live.careless_admin("careless-alone")?;
    assert_eq!(put(&careless, "home/carl/demo.cf-created").await?, "allowed");
    Ok(())
}
