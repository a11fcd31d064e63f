//! AWS's addresses as nodes of the bed have them: the one list of what is not as it is written in user data.

use anyhow::{Result, bail};

/// The port of the bed's own address at which AWS answers.
pub const PORT: u16 = 4566;

/// The variable by which the SDK, the agent's and the AWS CLI's, finds AWS.
pub const ENDPOINT: &str = "AWS_ENDPOINT_URL";

/// User data with AWS at this address. A host that they do not name any more is an error, and so is any other one: without a name server
/// it would be reached by nobody.
pub fn in_bed(user_data: &str, endpoint: &str) -> Result<String> {
    let mut text = user_data.to_owned();
    for host in ["https://s3.$region.$suffix", "https://cloudformation.$region.$suffix", "https://ec2.$region.$suffix"] {
        if !text.contains(host) {
            bail!("the user data have no {host} any more: bring crates/bed-cloud/src/aws.rs up to date");
        }
        text = text.replace(host, endpoint);
    }
    match text.lines().find(|line| line.contains("https://")) {
        Some(line) => bail!("the user data go to a host that the bed does not know: {line}"),
        None => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "call s3 https://s3.$region.$suffix/$system/x\ncall cloudformation https://cloudformation.$region.$suffix/\n\
                        call ec2 https://ec2.$region.$suffix/\n";

    #[test]
    fn all_hosts_are_the_beds_own_and_nothing_else_changes() {
        let changed = in_bed(TEXT, "http://10.75.0.1:4566").expect("user data");
        assert_eq!(
            changed,
            "call s3 http://10.75.0.1:4566/$system/x\ncall cloudformation http://10.75.0.1:4566/\n\
             call ec2 http://10.75.0.1:4566/\n"
        );
    }

    #[test]
    fn hosts_that_nobody_would_answer_for_are_refused() {
        let refused = |text: &str| in_bed(text, "http://10.75.0.1:4566").unwrap_err().to_string();
        assert!(refused("call s3 https://s3.$region.$suffix/").contains("no https://cloudformation."));
        assert!(refused(&format!("{TEXT}curl https://example.com\n")).contains("that the bed does not know: curl https://example.com"));
    }
}
