//! The deployment: what the administrator chose. Read once, at the start of a function.

use std::collections::BTreeMap;

use crate::body::Choices;
use crate::names::{Cluster, StackName};
use crate::region::Region;
use crate::template::{SystemValue, Template};

/// What only some functions may do. What a function may not is left on the ledger for cf-watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::VariantArray)]
pub enum Right {
    /// `cloudformation:CreateStack`.
    CreateStack,
    /// `cloudformation:DeleteStack`.
    DeleteStack,
}

/// One of the functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, strum::VariantArray)]
pub enum Function {
    /// Starts stacks.
    Create,
    /// Deletes stacks.
    Delete,
    /// Does what the others have left, and what events of stacks and the clock ask for.
    Watch,
}

impl Function {
    /// Its name, without the deployment's prefix.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "cf-create",
            Self::Delete => "cf-delete",
            Self::Watch => "cf-watch",
        }
    }

    /// The name of its resource in template.yaml.
    pub const fn resource(self) -> &'static str {
        match self {
            Self::Create => "CfCreate",
            Self::Delete => "CfDelete",
            Self::Watch => "CfWatch",
        }
    }

    /// Whether it has a right. IAM holds it to that (`iam/`, one policy for each function).
    pub const fn may(self, right: Right) -> bool {
        match (self, right) {
            (Self::Watch, _) | (Self::Create, Right::CreateStack) | (Self::Delete, Right::DeleteStack) => true,
            (Self::Create, Right::DeleteStack) | (Self::Delete, Right::CreateStack) => false,
        }
    }
}

/// The settings of one deployment.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What every stack's name begins with.
    pub prefix: String,
    /// The deployment's own stack name; the value of the tag by which its clusters are known.
    pub deployment: String,
    /// What the names of AWS's hosts end in, in this partition (`AWS::URLSuffix`).
    pub url_suffix: String,
    /// Where users drop files.
    pub user_bucket: String,
    /// Where the profiles lie: `customizer/<user>/configure.d/…`.
    pub customizer_bucket: String,
    /// Where the ledger and the templates lie; users cannot reach it.
    pub system_bucket: String,
    /// The role that CloudFormation works under.
    pub service_role: String,
    /// The most compute nodes that one cluster may have.
    pub nodes_max: u32,
    /// Values for the template's system parameters that are the same for every cluster.
    pub fixed: BTreeMap<SystemValue, String>,
    /// The longest of the functions' timeouts: no pass lives longer.
    pub timeout_seconds: i64,
    /// Sender and recipient of mails; none where the deployment wants no mail.
    pub mail: Option<MailRoute>,
    /// Which function runs.
    pub function: Function,
    /// The template that a plain `{}` starts.
    pub template: &'static Template,
    /// Where the clusters are, and which machines there are.
    pub region: Region,
}

/// Who writes to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailRoute {
    /// An identity that SES has verified.
    pub from: String,
    /// The administrator.
    pub to: String,
}

impl Settings {
    /// The name of a cluster's stack.
    pub fn stack_name(&self, cluster: &Cluster) -> StackName {
        StackName::of(&self.prefix, &self.user_bucket, cluster)
    }

    /// The value of a system parameter for one cluster. An unset one is empty: the template's pattern judges it.
    pub fn system_value(&self, value: SystemValue, cluster: &Cluster) -> String {
        match value {
            SystemValue::Cluster => cluster.name.to_string(),
            SystemValue::User => cluster.user.to_string(),
            SystemValue::LoginName => cluster.user.login(),
            SystemValue::Deployment => self.deployment.clone(),
            SystemValue::CustomizerBucket => self.customizer_bucket.clone(),
            fixed => self.fixed.get(&fixed).cloned().unwrap_or_default(),
        }
    }

    /// A user parameter's value: the one given, the Region's default, or the template's.
    pub fn effective<'a>(&'a self, given: &'a Choices, name: &str) -> Option<&'a str> {
        given.get(name).map(String::as_str).or_else(|| self.region.default_of(name)).or_else(|| self.template.effective(given, name))
    }

    /// How long a create that nobody sees may still be on its way: the longest timeout, and a minute.
    pub const fn flight_seconds_max(&self) -> i64 {
        self.timeout_seconds + 60
    }
}

#[cfg(test)]
mod tests {
    use strum::VariantArray;

    use super::*;

    /// The table that is put to the policies of IAM says the same (`tests/iam/effects.yaml`).
    #[test]
    fn the_access_tests_let_the_functions_do_what_they_may() {
        let table = include_str!("../../../tests/iam/effects.yaml");
        for (right, effect) in [(Right::CreateStack, "CreateStack"), (Right::DeleteStack, "DeleteStack")] {
            let names: Vec<&str> = Function::VARIANTS.iter().filter(|f| f.may(right)).map(|f| f.name()).collect();
            let row = table.split(&format!("\n{effect}:\n")).nth(1).expect("a row of the table");
            let only = row.lines().find_map(|line| line.strip_prefix("  only: ")).expect("who alone does it");
            assert_eq!(only, format!("[{}]", names.join(", ")), "{right:?}");
        }
    }

    /// Their names in the deployment's template, which `cargo xtask sync` and `adopt-bucket` go by.
    #[test]
    fn each_function_is_a_resource_of_the_deployment() {
        let template = include_str!("../../../template.yaml");
        for function in Function::VARIANTS {
            let resource = template.split(&format!("\n  {}:\n", function.resource())).nth(1).expect("a resource");
            let handler = resource.lines().find(|line| line.contains("FunctionName:")).expect("its name");
            assert!(handler.ends_with(&format!("-{}", function.name())), "{handler}");
        }
    }
}
