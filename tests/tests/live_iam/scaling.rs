//! What a policy can say of Auto Scaling groups, as those of a cluster's nodes do: one group, by its name and its tags, and no other.

use anyhow::{Context, Result};
use cf_e2e::live::{Live, element, root_keys};
use cf_local::emulator::REGION;
use serde_json::json;

use crate::{ALLOWED, DENIED};

/// Makes a group with one instance; the instance.
fn make(live: &Live, group: &str, cluster: &str) -> Result<String> {
    let root = |service: &str, action: &str, parameters: &[(&str, &str)]| -> Result<String> {
        let (text, verdict) = live.query(&root_keys(), service, action, parameters)?;
        (verdict == ALLOWED).then_some(text.clone()).with_context(|| format!("{action}: {text}"))
    };
    let images = root("ec2", "DescribeImages", &[])?;
    let image = element(&images, "imageId").context("LocalEmu has an image")?;
    let template = [("LaunchTemplateName", group), ("LaunchTemplateData.ImageId", image), ("LaunchTemplateData.InstanceType", "t3.micro")];
    root("ec2", "CreateLaunchTemplate", &template)?;
    let zone = format!("{REGION}a");
    let made = [
        ("AutoScalingGroupName", group),
        ("LaunchTemplate.LaunchTemplateName", group),
        ("AvailabilityZones.member.1", zone.as_str()),
        ("MinSize", "0"),
        ("MaxSize", "3"),
        ("DesiredCapacity", "1"),
        ("Tags.member.1.Key", "cluster"),
        ("Tags.member.1.Value", cluster),
        ("Tags.member.1.PropagateAtLaunch", "true"),
    ];
    root("autoscaling", "CreateAutoScalingGroup", &made)?;
    let told = root("autoscaling", "DescribeAutoScalingGroups", &[("AutoScalingGroupNames.member.1", group)])?;
    Ok(element(&told, "InstanceId").context("the group has an instance")?.to_owned())
}

#[tokio::test]
async fn a_group_is_judged_by_its_name_and_its_tags() -> Result<()> {
    let live = Live::from_environment().await?;
    let groups = [("scaled-own", "demo", ALLOWED), ("scaled-own-of-another", "other", DENIED), ("scaled-elsewhere", "demo", DENIED)];
    let keys = live.user_who_may(
        "scaler",
        &json!([{
            "Effect": "Allow",
            "Action": ["autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup"],
            "Resource": format!("arn:aws:autoscaling:{REGION}:*:autoScalingGroup:*:autoScalingGroupName/scaled-own*"),
            "Condition": {"StringEquals": {"autoscaling:ResourceTag/cluster": "demo"}},
        }]),
    )?;
    for (group, cluster, expected) in groups {
        let instance = make(&live, group, cluster)?;
        let verdict =
            |action: &str, parameters: &[(&str, &str)]| Ok::<_, anyhow::Error>(live.query(&keys, "autoscaling", action, parameters)?.1);
        let end = [("InstanceId", instance.as_str()), ("ShouldDecrementDesiredCapacity", "true")];
        assert_eq!(verdict("TerminateInstanceInAutoScalingGroup", &end)?, expected, "{group}: an instance is ended");
        let more = [("AutoScalingGroupName", group), ("DesiredCapacity", "2")];
        assert_eq!(verdict("SetDesiredCapacity", &more)?, expected, "{group}: another capacity");
        assert_eq!(
            verdict("UpdateAutoScalingGroup", &[("AutoScalingGroupName", group), ("MaxSize", "9")])?,
            DENIED,
            "{group}: another bound"
        );
        let (told, _) =
            live.query(&root_keys(), "autoscaling", "DescribeAutoScalingGroups", &[("AutoScalingGroupNames.member.1", group)])?;
        let after = if expected == ALLOWED { ("2", "3") } else { ("1", "3") };
        assert_eq!((element(&told, "DesiredCapacity"), element(&told, "MaxSize")), (Some(after.0), Some(after.1)), "{group} after it");
        assert_eq!(told.contains(&instance), expected != ALLOWED, "{group}: its first instance");
    }
    let stranger = [("InstanceId", "i-0123456789abcdef0"), ("ShouldDecrementDesiredCapacity", "true")];
    assert_eq!(live.query(&keys, "autoscaling", "TerminateInstanceInAutoScalingGroup", &stranger)?.1, DENIED, "an instance of no group");
    Ok(())
}
