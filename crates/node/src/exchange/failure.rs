//! Why a round failed, in words; and what of a node's result makes one fail.

use std::fmt;

use cf_core::node_report::{FailedScript, LINES_MAX};
use serde::{Deserialize, Serialize};

use crate::exchange::declaration::{MissingOutput, Step};
use crate::exchange::standing::failed_script;
use crate::exchange::wire::{End, Phase, RunResult};
use crate::node::NodeName;

/// The most bytes of a script's errors that a reason repeats; all that is kept is in the status.
const SHOWN_BYTES_MAX: usize = 600;

/// So many silent nodes are named.
const NAMED_MAX: usize = 20;

/// Why a round failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "reason")]
pub enum Failure {
    /// A node's script did not end well.
    Script {
        /// The node.
        node: NodeName,
        /// Which script.
        phase: Phase,
        /// How it ended.
        end: End,
        /// The last of its errors.
        stderr: String,
    },
    /// A node wrote an output that is declared an error.
    ErrorOutput {
        /// The node.
        node: NodeName,
        /// Which script.
        phase: Phase,
        /// The output.
        output: String,
        /// The beginning of what it wrote.
        text: String,
    },
    /// A node's export did not write an output, and the step refuses that.
    MissingOutput {
        /// The node.
        node: NodeName,
        /// The output.
        output: String,
    },
    /// Nodes whose result did not come in time.
    Silent {
        /// What they owe.
        phase: Phase,
        /// The time that was over, in seconds.
        seconds: u64,
        /// Each node, and what is known of it.
        nodes: Vec<(NodeName, Silence)>,
    },
    /// Nodes that the cluster gave up, or suspended, while the round was open.
    Gone {
        /// The nodes.
        nodes: Vec<NodeName>,
    },
    /// Another machine took a node's name while the round was open.
    Replaced {
        /// The node.
        node: NodeName,
    },
    /// The profile changed while the round was open.
    OtherProfile,
    /// What all nodes wrote does not fit into an environment variable.
    MapTooLarge {
        /// The output.
        output: String,
        /// Its JSON's bytes so far.
        bytes: usize,
        /// The most that it may have.
        bytes_max: usize,
    },
    /// What all nodes wrote to all outputs does not fit into a process's variables.
    MapsTooLarge {
        /// Its JSON's bytes so far.
        bytes: usize,
        /// The most that it may have.
        bytes_max: usize,
    },
}

/// What is known of a node that did not answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Silence {
    /// It did not ask in this time.
    NotAsking,
    /// Its profile has another configuration of the step, or no such step.
    OtherProfile,
    /// It was asked to run the script.
    Asked,
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAsking => "did not ask for the script; is its agent running?",
            Self::OtherProfile => "has another version of the profile",
            Self::Asked => "got the script and did not report its end",
        })
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited { code } => write!(f, "ended with exit code {code}"),
            Self::Killed { signal } => write!(f, "was ended by signal {signal}"),
            Self::TimedOut => f.write_str("ran longer than the step's timeout-seconds, and was ended"),
            Self::Interrupted => {
                f.write_str("was interrupted by the end of the agent or the node; it is not run again for this configuration")
            }
            Self::NotRun { why } => write!(f, "could not be started: {why}"),
            Self::BadOutput { why } => write!(f, "left an output that cannot be used: {why}"),
        }
    }
}

impl Failure {
    /// The node and the script that made the round fail, where it was one.
    pub fn culprit(&self) -> Option<(NodeName, Phase)> {
        match self {
            Self::Script { node, phase, .. } | Self::ErrorOutput { node, phase, .. } => Some((*node, *phase)),
            Self::MissingOutput { node, .. } => Some((*node, Phase::Export)),
            _ => None,
        }
    }

    /// What a report says of it; `result`: that of the culprit.
    pub fn failed_script(&self, step: &Step, result: Option<&RunResult>) -> FailedScript {
        let phase = if let Self::Silent { phase, .. } = self { Some(*phase) } else { self.culprit().map(|(_, phase)| phase) };
        let name = phase.and_then(|phase| step.script(phase)).unwrap_or(&step.name);
        let sentence = match self {
            // The lines that the script printed are beside it.
            Self::Script { node, end, .. } => format!("of step {} {end} on {node}", step.name),
            other => format!("of step {} failed: {other}", step.name),
        };
        let exit_code = match result.map(|result| &result.end) {
            Some(End::Exited { code }) => Some(*code),
            _ => None,
        };
        let last_lines = result.map(last_lines).unwrap_or_default();
        FailedScript { outcome: sentence, exit_code, last_lines, ..failed_script(step.profile(), name) }
    }
}

/// The last lines of a script: of its errors, and before them of what else it printed.
fn last_lines(result: &RunResult) -> Vec<String> {
    let lines: Vec<&str> = result.stdout.lines().chain(result.stderr.lines()).collect();
    lines[lines.len().saturating_sub(LINES_MAX)..].iter().map(|line| (*line).to_owned()).collect()
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Script { node, phase, end, stderr } => {
                write!(f, "{node}: the {phase} script {end}")?;
                if stderr.trim().is_empty() { Ok(()) } else { write!(f, "; its errors end with: {}", stderr.trim()) }
            }
            Self::ErrorOutput { node, phase, output, text } => {
                write!(f, "{node}: the {phase} script wrote the error output {output}: {}", text.trim())
            }
            Self::MissingOutput { node, output } => {
                write!(f, "{node}: the export script ended well, but did not write the output {output} (missing-output = \"refuse\")")
            }
            Self::Silent { phase, seconds, nodes } => {
                write!(f, "no result of the {phase} script within {seconds} s from ")?;
                let named: Vec<String> = nodes.iter().take(NAMED_MAX).map(|(node, silence)| format!("{node} ({silence})")).collect();
                f.write_str(&named.join(", "))?;
                if nodes.len() > NAMED_MAX { write!(f, " and {} more", nodes.len() - NAMED_MAX) } else { Ok(()) }
            }
            Self::Gone { nodes } => {
                let named: Vec<String> = nodes.iter().take(NAMED_MAX).map(ToString::to_string).collect();
                write!(f, "{} left the cluster before the round was complete", named.join(", "))
            }
            Self::Replaced { node } => write!(f, "another machine took the place of {node} before the round was complete"),
            Self::OtherProfile => f.write_str("the profile changed before the round was complete"),
            Self::MapTooLarge { output, bytes, bytes_max } => write!(
                f,
                "what all nodes wrote to the output {output} has {bytes} bytes as JSON, and an environment variable holds {bytes_max}; write less, or share a file"
            ),
            Self::MapsTooLarge { bytes, bytes_max } => {
                write!(
                    f,
                    "what all nodes wrote to all outputs has {bytes} bytes as JSON, and {bytes_max} is the most; write less, or share a file"
                )
            }
        }
    }
}

/// Judges one node's result: any end but 0, an error output, or a missing one where that is refused.
pub fn judge(step: &Step, phase: Phase, node: NodeName, result: &RunResult) -> Result<(), Failure> {
    if result.end != (End::Exited { code: 0 }) {
        return Err(Failure::Script { node, phase, end: result.end.clone(), stderr: last(&result.stderr, SHOWN_BYTES_MAX) });
    }
    for output in &step.outputs {
        match result.outputs.get(&output.name) {
            Some(text) if output.error => {
                return Err(Failure::ErrorOutput { node, phase, output: output.name.clone(), text: first(text, SHOWN_BYTES_MAX) });
            }
            None if !output.error && phase == Phase::Export && step.missing_output == MissingOutput::Refuse => {
                return Err(Failure::MissingOutput { node, output: output.name.clone() });
            }
            _ => {}
        }
    }
    Ok(())
}

/// The end of a text, from a character's border on.
pub(super) fn last(text: &str, bytes_max: usize) -> String {
    let from = (text.len().saturating_sub(bytes_max)..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    text[from..].to_owned()
}

fn first(text: &str, bytes_max: usize) -> String {
    let to = (0..=bytes_max.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text[..to].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_at_a_characters_border() {
        assert_eq!(
            (last("aéb", 3).as_str(), last("aéb", 2).as_str(), last("aéb", 9).as_str(), last("é", 0).as_str()),
            ("éb", "b", "aéb", "")
        );
        assert_eq!((first("aéb", 3).as_str(), first("aéb", 2).as_str(), first("", 2).as_str()), ("aé", "a", ""));
    }

    #[test]
    fn a_reason_names_node_code_and_errors() {
        let node = NodeName::LOGIN;
        let failure = Failure::Script { node, phase: Phase::Export, end: End::Exited { code: 7 }, stderr: "no address\n".to_owned() };
        assert_eq!(failure.to_string(), "login1: the export script ended with exit code 7; its errors end with: no address");
        let nodes = (1..=22).filter_map(NodeName::compute).map(|node| (node, Silence::NotAsking)).collect();
        let text = Failure::Silent { phase: Phase::Export, seconds: 600, nodes }.to_string();
        assert!(text.starts_with("no result of the export script within 600 s from compute-1 (did not ask"), "{text}");
        assert!(text.contains("compute-20 (") && text.ends_with(" and 2 more"), "{text}");
    }
}
