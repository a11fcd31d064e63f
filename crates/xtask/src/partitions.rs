//! Partitions: what ships names no ARN and no host of one partition (`arn:aws:`, `amazonaws.com`), but for service principals
//! that are spelled so everywhere. China and GovCloud have other ARNs, China other hosts as well.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use cf_local::root;

use crate::transcript::Transcript;

/// Principals that are the same in every partition. (`aws-cdk`, `region-info/lib/default.ts`: of those that we use, only EC2's
/// ends in the partition's own suffix.)
const PRINCIPALS: [(&str, &str); 7] = [
    ("autoscaling.amazonaws.com", "owner of a service-linked role; the same in every partition"),
    ("cloudformation.amazonaws.com", "takes the service role"),
    ("cloudwatch.amazonaws.com", "publishes alarms"),
    ("events.amazonaws.com", "calls functions and fills queues"),
    ("lambda.amazonaws.com", "takes the functions' roles"),
    ("s3.amazonaws.com", "calls functions, where Trigger is s3"),
    ("spot.amazonaws.com", "owner of a service-linked role; the same in every partition"),
];

/// What ships. Rust files that hold tests or made-up deployments are left out below.
const SHIPPED: [&str; 10] = [
    "template.yaml",
    "templates",
    "iam",
    "crates/core/src",
    "crates/aws/src",
    "crates/cf-create/src",
    "crates/cf-delete/src",
    "crates/cf-watch/src",
    "crates/cli/src",
    "crates/node/src",
];

/// Not part of any program: sites and names for tests.
const MADE_UP: &str = "crates/core/src/testing.rs";

pub fn check(out: &Transcript) -> Result<()> {
    let mut files = Vec::new();
    for place in SHIPPED {
        gather(&root().join(place), &mut files)?;
    }
    let (mut wrong, mut used) = (Vec::new(), BTreeSet::new());
    for path in &files {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let name = path.strip_prefix(root())?.display().to_string();
        wrong.extend(findings(shipped(&text), &mut used).into_iter().map(|(line, what)| format!("{name}:{line}: {what}")));
    }
    wrong.extend(PRINCIPALS.iter().filter(|(p, _)| !used.contains(p)).map(|(p, _)| format!("{p} is an exception that nothing needs")));
    if !wrong.is_empty() {
        bail!("these hold in one partition only; use ${{AWS::Partition}} and ${{AWS::URLSuffix}}:\n  {}", wrong.join("\n  "));
    }
    out.say(&format!("  {} files name no partition; {} principals are the same in all", files.len(), PRINCIPALS.len()));
    Ok(())
}

fn gather(path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            gather(&entry?.path(), files)?;
        }
    } else if !path.ends_with(MADE_UP) && !path.to_string_lossy().ends_with("_tests.rs") {
        files.push(path.to_owned());
    }
    Ok(())
}

/// A Rust file up to its tests, which stand at the end.
fn shipped(text: &str) -> &str {
    text.split_once("#[cfg(test)]").map_or(text, |(before, _)| before)
}

/// Lines, by number, that name a partition, and what of them does.
fn findings(text: &str, used: &mut BTreeSet<&'static str>) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (nth, line) in text.lines().enumerate() {
        let says = line.trim_start();
        if says.starts_with("//") || says.starts_with('#') {
            continue;
        }
        for word in says.split(|c: char| !(c.is_ascii_alphanumeric() || ".-:/${}*".contains(c))) {
            let word = word.trim_matches(|c| "{}.:".contains(c));
            // A service-linked role lies in a folder of its owner's name.
            let owner = word.split_once(":role/aws-service-role/").and_then(|(before, rest)| {
                let known = !before.contains("arn:aws:");
                rest.split('/').next().filter(|_| known)
            });
            match PRINCIPALS.iter().find(|(principal, _)| *principal == owner.unwrap_or(word)) {
                Some((principal, _)) => {
                    used.insert(principal);
                }
                None if word.contains("arn:aws:") || word.contains("amazonaws.com") => found.push((nth + 1, word.to_owned())),
                None => {}
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_one_partition_is_found() {
        for planted in [
            "Resource: arn:aws:s3:::bucket/*",
            "Resource: !Sub arn:aws:iam::${AWS::AccountId}:role/x",
            "  \"https://${SystemBucket}.s3.${AWS::Region}.amazonaws.com/templates/*\"",
            "Principal: {Service: ec2.amazonaws.com}",
            "Principal: {Service: ec2.amazonaws.com.cn}",
            "Principal: {Service: lambda.amazonaws.com.cn}",
            "let suffix = if china { \"amazonaws.com.cn\" } else { \"amazonaws.com\" };",
            "Description: \"see s3.amazonaws.com/x\"",
            "arn:aws:iam::${AWS::AccountId}:role/aws-service-role/spot.amazonaws.com/x",
            "arn:${AWS::Partition}:iam::${AWS::AccountId}:role/aws-service-role/ec2.amazonaws.com/x",
        ] {
            assert!(!findings(planted, &mut BTreeSet::new()).is_empty(), "{planted}");
        }
    }

    #[test]
    fn what_holds_everywhere_is_not() {
        for sound in [
            "Principal: {Service: lambda.amazonaws.com}",
            "Principal: s3.amazonaws.com",
            "            \"spot.amazonaws.com\"",
            "Resource: !Sub arn:${AWS::Partition}:s3:::${UserBucket}",
            "Principal: {Service: !Sub \"ec2.${AWS::URLSuffix}\"}",
            "AllowedPattern: ^(arn:aws[-a-z]*:iam::[0-9]{12}:policy/x)?$",
            "/// such as arn:aws:s3:::bucket",
            "\"arn:${AWS::Partition}:iam::${AWS::AccountId}:role/aws-service-role/spot.amazonaws.com/AWSServiceRoleForEC2Spot\"",
            "ServiceName: !Sub com.amazonaws.${AWS::Region}.s3",
        ] {
            assert_eq!(findings(sound, &mut BTreeSet::new()), [], "{sound}");
        }
    }

    #[test]
    fn tests_are_no_part_of_what_ships() {
        assert_eq!(shipped("a\n#[cfg(test)]\nmod tests {}"), "a\n");
        assert_eq!(shipped("a"), "a");
    }
}
