//! The caller's own AWS credentials: those of the environment, or of a profile in the caller's files. Never those of the machine: the
//! SDK's usual chain ends with the node's role, which is every user's of the node and may write nothing below `customizer/` (decision 18).

use anyhow::anyhow;
use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_types::error::display::DisplayErrorContext;
use cf_core::plain::plain;

/// Characters of the SDK's words.
const WORDS_MAX: usize = 300;

/// Where the caller's credentials are looked for, in this order. `config` has an HTTP client, for a profile that assumes a role.
pub fn of_caller(config: &ProviderConfig) -> CredentialsProviderChain {
    CredentialsProviderChain::first_try("Environment", EnvironmentVariableCredentialsProvider::new())
        .or_else("Profile", ProfileFileCredentialsProvider::builder().configure(config).build())
}

/// Why a command cannot work for the caller.
pub fn refusal(error: CredentialsError) -> anyhow::Error {
    let found = match error {
        CredentialsError::CredentialsNotLoaded(_) => "none are found".to_owned(),
        error => format!("those that are found cannot be used ({})", plain(&DisplayErrorContext(error).to_string(), WORDS_MAX)),
    };
    anyhow!(
        "this works with your own AWS credentials, and {found}: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. \
         The node's role is not taken, for it may write no profile"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_credentials_and_broken_ones_are_told_apart_and_both_with_what_to_do() {
        let missing = refusal(CredentialsError::not_loaded("no credentials found in chain")).to_string();
        assert!(missing.contains("and none are found: set AWS_PROFILE"), "{missing}");
        let broken = refusal(CredentialsError::invalid_configuration("the profile \u{1b}[2Jjane has no source")).to_string();
        assert!(broken.contains("cannot be used (") && broken.contains("set AWS_PROFILE") && !broken.contains('\u{1b}'), "{broken}");
    }
}
