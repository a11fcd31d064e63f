//! What follows from the verbs in template.yaml and `iam/`: for each a rule of EventBridge and notifications of a bucket, and its
//! suffix in every policy that names uploads.

use std::fmt::Write as _;

use cf_core::key::{Answer, STATUS_SUFFIX, Verb};

/// Rules of EventBridge, with the permission of each.
pub fn rules() -> String {
    Verb::ALL.map(rule).join("\n")
}

/// One rule for each verb: the endings of one verb fill most of what a pattern may have.
fn rule(verb: Verb) -> String {
    let (word, suffix, function) = (capital(verb), verb.suffix(), verb.spec().function);
    let (name, resource) = (function.name(), function.resource());
    let endings = verb.lookalikes().iter().fold(String::new(), |mut text, ending| {
        let _ = writeln!(text, "            - suffix: {{equals-ignore-case: \"{ending}\"}}");
        text
    });
    format!(
        "\
{word}s:
  Type: AWS::Events::Rule
  Condition: TriggerIsBus
  Properties:
    Name: !Sub ${{Prefix}}-{verb}s
    Description: Uploads of {suffix}
    EventPattern:
      source: [aws.s3]
      account: [!Ref AWS::AccountId]
      detail-type: [Object Created]
      detail:
        bucket: {{name: [!Ref UserBucket]}}
        object:
          key:
            - wildcard: home/*{suffix}
{endings}    Targets:
      - Id: {name}
        Arn: !GetAtt {resource}.Arn
        DeadLetterConfig: {{Arn: !GetAtt FailureQueue.Arn}}
        RetryPolicy: {{MaximumRetryAttempts: 185, MaximumEventAgeInSeconds: 86400}}

Cf{word}FromBus:
  Type: AWS::Lambda::Permission
  Condition: TriggerIsBus
  Properties:
    FunctionName: !Ref {resource}
    Action: lambda:InvokeFunction
    Principal: events.amazonaws.com
    SourceArn: !GetAtt {word}s.Arn
"
    )
}

fn capital(verb: Verb) -> String {
    let (first, rest) = verb.spec().word.split_at(1);
    first.to_ascii_uppercase() + rest
}

/// A bucket's own notifications: the verbs, and then the names that look like theirs.
pub fn notifications() -> String {
    let rule = |verb: Verb, ending: &str| {
        let function = format!(
            "arn:${{AWS::Partition}}:lambda:${{AWS::Region}}:${{AWS::AccountId}}:function:${{Prefix}}-{}",
            verb.spec().function.name()
        );
        let filter = format!("{{S3Key: {{Rules: [{{Name: prefix, Value: home/}}, {{Name: suffix, Value: {ending}}}]}}}}");
        format!("- Event: s3:ObjectCreated:*\n  Function: !Sub {function}\n  Filter: {filter}\n")
    };
    let right = Verb::ALL.into_iter().map(|verb| rule(verb, verb.suffix()));
    let lookalikes = Verb::ALL.into_iter().flat_map(|verb| verb.lookalikes_reported_by_buckets().map(|ending| rule(verb, &ending)));
    right.chain(lookalikes).collect()
}

/// A policy with every list of uploads, and every list of answers, in full: lines that end in `/home/*<suffix>"`, one below the
/// other. Which lists a policy has is its own affair.
pub fn named_in_full(policy: &str) -> String {
    let uploads: Vec<&str> = Verb::ALL.map(Verb::suffix).to_vec();
    let answers: Vec<&str> = Answer::ALL.map(Answer::suffix).into_iter().chain([STATUS_SUFFIX]).collect();
    let lines: Vec<&str> = policy.lines().collect();
    let mut out: Vec<String> = Vec::new();
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        let Some(before) = named(line).map(|(before, _)| before) else {
            out.push((*line).to_owned());
            at += 1;
            continue;
        };
        let list: Vec<&str> = lines[at..].iter().map_while(|line| named(line).filter(|(b, _)| *b == before)).map(|(_, s)| s).collect();
        at += list.len();
        let kinds = [&uploads, &answers].into_iter().filter(|kind| list.iter().any(|suffix| kind.contains(suffix)));
        let full: Vec<&str> = kinds.flatten().copied().collect();
        let is_last = !lines[at - 1].ends_with(',');
        for (nth, suffix) in full.iter().enumerate() {
            let comma = if is_last && nth + 1 == full.len() { "" } else { "," };
            out.push(format!("{before}{suffix}\"{comma}"));
        }
    }
    out.join("\n") + "\n"
}

/// A line of a list that names files by their suffix: what is before it, and the suffix.
fn named(line: &str) -> Option<(&str, &str)> {
    let inner = line.trim_end_matches(',').strip_suffix('"')?;
    let at = inner.find("/home/*.")? + "/home/*".len();
    line.trim_start().starts_with('"').then_some((&line[..at], &inner[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// EventBridge's quota for a pattern, in characters (EventBridge User Guide, "Amazon EventBridge quotas"). The longest
    /// name of a bucket and everything else of the pattern stay below the rest.
    const PATTERN_CHARACTERS_MAX: usize = 2048;
    const REST_OF_PATTERN: usize = 270;

    #[test]
    fn the_patterns_fit_into_a_rule() {
        for verb in Verb::ALL {
            let written: usize =
                verb.lookalikes().iter().map(|e| format!("{{\"suffix\":{{\"equals-ignore-case\":\"{e}\"}}}},").len()).sum();
            assert!(written + REST_OF_PATTERN <= PATTERN_CHARACTERS_MAX, "{verb}: {written}");
        }
    }

    #[test]
    fn a_list_of_a_policy_names_every_verb_and_every_answer() {
        let old = "[\n  \"a/home/*.cf-delete\",\n  \"a/home/*.cf-failed\"\n]\n\"b/home/*.cf-status\"\n\"a/home/*\"\n";
        let new = named_in_full(old);
        let list = |lead: &str, suffixes: Vec<&str>| suffixes.iter().map(|s| format!("{lead}/home/*{s}\"")).collect::<Vec<_>>().join(",\n");
        let answers = || Answer::ALL.map(Answer::suffix).into_iter().chain([STATUS_SUFFIX]);
        let both = list("  \"a", Verb::ALL.map(Verb::suffix).into_iter().chain(answers()).collect());
        assert_eq!(new, format!("[\n{both}\n]\n{}\n\"a/home/*\"\n", list("\"b", answers().collect())));
        assert_eq!(named_in_full(&new), new);
    }
}
