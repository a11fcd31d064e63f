//! The functions' own keys, held by somebody who means harm: files, mail, templates, other services.

use anyhow::Result;
use cf_e2e::live::{ACCOUNT, Live, verdict};
use cf_local::deploy::{ADMIN, CUSTOMIZER_BUCKET, USER_BUCKET};

use crate::{ALLOWED, ANSWERS, Call, DENIED, FUNCTIONS, bytes, keys_below, place, text};

#[tokio::test]
async fn a18_a_function_reads_and_writes_requests_and_answers_and_nothing_else_of_a_user() -> Result<()> {
    let live = Live::from_environment().await?;
    for function in FUNCTIONS {
        let s3 = live.s3(&live.function_keys(function, "files")?).await?;
        let key = |name: &str| format!("home/files-{function}/{name}");
        for name in ["data.csv", "cf-create", "demo.cf-create.bak"] {
            place(&live, USER_BUCKET, &key(name), "private").await?;
            assert_eq!(verdict(&s3.get_object().bucket(USER_BUCKET).key(key(name)).send().await), DENIED, "{function} reads {name}");
            let put = s3.put_object().bucket(USER_BUCKET).key(key(name)).body(bytes("x")).send().await;
            assert_eq!(verdict(&put), DENIED, "{function} writes {name}");
            assert_eq!(verdict(&s3.delete_object().bucket(USER_BUCKET).key(key(name)).send().await), DENIED, "{function} deletes {name}");
            assert_eq!(text(&live, USER_BUCKET, &key(name)).await?.as_deref(), Some("private"));
        }
        for suffix in ["cf-create", "cf-delete"] {
            let key = key(&format!("demo.{suffix}"));
            place(&live, USER_BUCKET, &key, "{}").await?;
            assert_eq!(verdict(&s3.get_object().bucket(USER_BUCKET).key(&key).send().await), ALLOWED, "{function} reads {key}");
            let put = s3.put_object().bucket(USER_BUCKET).key(&key).body(bytes("{}")).send().await;
            assert_eq!(verdict(&put), DENIED, "{function} makes a request of its own, {key}");
            assert_eq!(verdict(&s3.delete_object().bucket(USER_BUCKET).key(&key).send().await), ALLOWED, "{function} removes {key}");
        }
        for suffix in ANSWERS {
            let key = key(&format!("demo.{suffix}"));
            let put = s3.put_object().bucket(USER_BUCKET).key(&key).body(bytes("x")).send().await;
            assert_eq!(verdict(&put), ALLOWED, "{function} answers with {key}");
            assert_eq!(verdict(&s3.get_object().bucket(USER_BUCKET).key(&key).send().await), ALLOWED, "{function} reads {key}");
            assert_eq!(verdict(&s3.delete_object().bucket(USER_BUCKET).key(&key).send().await), ALLOWED, "{function} removes {key}");
        }
        // What is not there is told from what may not be seen: without that, a pass could not start.
        let missing = s3.get_object().bucket(USER_BUCKET).key(key("gone.cf-create")).send().await;
        assert_eq!(verdict(&missing), "NoSuchKey", "{function}");
        let outside = s3.list_objects_v2().bucket(USER_BUCKET).prefix("private/").send().await;
        assert_eq!(verdict(&outside), DENIED, "{function} looks outside of home/");
        assert_eq!(keys_below(&live, &key("")).await?.len(), 3, "the user's own files are left");
    }
    Ok(())
}

#[tokio::test]
async fn a18_the_ledger_is_kept_and_never_dropped_and_profiles_are_only_looked_for() -> Result<()> {
    let live = Live::from_environment().await?;
    let script = "customizer/ledger-user/configure.d/user.sh";
    place(&live, CUSTOMIZER_BUCKET, script, "#!/bin/bash").await?;
    for function in FUNCTIONS {
        let s3 = live.s3(&live.function_keys(function, "ledger")?).await?;
        let (bucket, key) = (live.system_bucket(), format!("ledger/{function}.json"));
        let missing = s3.get_object().bucket(bucket).key(&key).send().await;
        assert_eq!(verdict(&missing), "NoSuchKey", "{function}: no ledger yet");
        assert_eq!(verdict(&s3.put_object().bucket(bucket).key(&key).body(bytes("{}")).send().await), ALLOWED, "{function}");
        assert_eq!(verdict(&s3.get_object().bucket(bucket).key(&key).send().await), ALLOWED, "{function}");
        assert_eq!(verdict(&s3.delete_object().bucket(bucket).key(&key).send().await), DENIED, "{function} forgets a ledger");
        assert_eq!(text(&live, bucket, &key).await?.as_deref(), Some("{}"));
        let listed = s3.list_objects_v2().bucket(CUSTOMIZER_BUCKET).prefix("customizer/ledger-user/configure.d/").send().await;
        assert_eq!(verdict(&listed), ALLOWED, "{function} looks for a profile");
        let read = s3.get_object().bucket(CUSTOMIZER_BUCKET).key(script).send().await;
        assert_eq!(verdict(&read), DENIED, "{function} reads a script");
        let put = s3.put_object().bucket(CUSTOMIZER_BUCKET).key(script).body(bytes("evil")).send().await;
        assert_eq!(verdict(&put), DENIED, "{function} writes a script that runs as root");
        assert_eq!(text(&live, CUSTOMIZER_BUCKET, script).await?.as_deref(), Some("#!/bin/bash"));
    }
    Ok(())
}

#[tokio::test]
async fn a18_only_cf_watch_publishes_templates() -> Result<()> {
    let live = Live::from_environment().await?;
    for function in FUNCTIONS {
        let s3 = live.s3(&live.function_keys(function, "templates")?).await?;
        let key = format!("templates/by-{function}.yaml");
        let put = s3.put_object().bucket(live.system_bucket()).key(&key).body(bytes("x")).send().await;
        let expected = if function == "cf-watch" { ALLOWED } else { DENIED };
        assert_eq!(verdict(&put), expected, "{function}");
        assert_eq!(text(&live, live.system_bucket(), &key).await?.is_some(), function == "cf-watch");
        let put = s3.put_object().bucket(live.system_bucket()).key("elsewhere.yaml").body(bytes("x")).send().await;
        assert_eq!(verdict(&put), DENIED, "{function}");
    }
    Ok(())
}

#[tokio::test]
async fn a18_mail_goes_from_the_sender_to_the_admin_and_to_nobody_else() -> Result<()> {
    let live = Live::from_environment().await?;
    for function in FUNCTIONS {
        let keys = live.function_keys(function, "mail")?;
        let send = |from: &str, to: &[(&str, &str)]| {
            let letter = [("Source", from), ("Message.Subject.Data", "s"), ("Message.Body.Text.Data", "t")];
            live.query(&keys, "ses", "SendEmail", &[&letter[..], to].concat()).map(|(_, verdict)| verdict)
        };
        let outsider = "outsider@elsewhere.example";
        let to_admin = ("Destination.ToAddresses.member.1", ADMIN);
        assert_eq!(send(ADMIN, &[to_admin])?, ALLOWED, "{function} tells the admin");
        assert_eq!(send(ADMIN, &[("Destination.ToAddresses.member.1", outsider)])?, DENIED, "{function} writes to an outsider");
        for list in ["ToAddresses.member.2", "CcAddresses.member.1", "BccAddresses.member.1"] {
            let list = format!("Destination.{list}");
            assert_eq!(send(ADMIN, &[to_admin, (&list, outsider)])?, DENIED, "{function} writes to {list} as well");
        }
        assert_eq!(send(ADMIN, &[])?, DENIED, "{function} writes to nobody");
        assert_eq!(send("boss@site.example", &[to_admin])?, DENIED, "{function} writes as somebody else");
    }
    Ok(())
}

#[tokio::test]
async fn a18_a_function_starts_no_instance_and_makes_no_right() -> Result<()> {
    let live = Live::from_environment().await?;
    for function in FUNCTIONS {
        let keys = live.function_keys(function, "services")?;
        let role = format!("clusterdrop-{function}");
        let service_role = format!("arn:aws:iam::{ACCOUNT}:role/clusterdrop-service");
        let calls: [Call; 6] = [
            ("ec2", "RunInstances", &[("ImageId", "ami-12345678"), ("MinCount", "1"), ("MaxCount", "1")]),
            ("ec2", "DescribeInstances", &[]),
            ("iam", "ListUsers", &[]),
            ("iam", "AttachRolePolicy", &[("RoleName", &role), ("PolicyArn", "arn:aws:iam::aws:policy/AdministratorAccess")]),
            ("iam", "CreateAccessKey", &[("UserName", "somebody")]),
            ("sts", "AssumeRole", &[("RoleArn", &service_role), ("RoleSessionName", "me")]),
        ];
        for (service, action, parameters) in calls {
            assert_eq!(live.query(&keys, service, action, parameters)?.1, DENIED, "{function}: {service}:{action}");
        }
    }
    Ok(())
}
