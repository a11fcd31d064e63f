//! The caller's own AWS credentials: those of the environment, or of a profile in the caller's files. Never those of the machine: the
//! SDK's usual chain ends with the node's role, which is every user's of the node and may write nothing below `customizer/` (decision 18).

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;

/// Where the caller's credentials are looked for, in this order. `config` has an HTTP client, for a profile that assumes a role.
pub fn of_caller(config: &ProviderConfig) -> CredentialsProviderChain {
    CredentialsProviderChain::first_try("Environment", EnvironmentVariableCredentialsProvider::new())
        .or_else("Profile", ProfileFileCredentialsProvider::builder().configure(config).build())
}
