//! The deployment: what the administrator chose. Read once, at the start of a function.

use std::collections::BTreeMap;

use crate::body::Choices;
use crate::names::{Cluster, StackName};
use crate::region::Region;
use crate::template::{SystemValue, Template};

/// What a function may do. What it may not is left on the ledger for cf-watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rights {
    /// `cloudformation:CreateStack`.
    pub create: bool,
    /// `cloudformation:DeleteStack`.
    pub delete: bool,
}

impl Rights {
    /// cf-create.
    pub const CREATE: Self = Self { create: true, delete: false };
    /// cf-delete.
    pub const DELETE: Self = Self { create: false, delete: true };
    /// cf-watch.
    pub const WATCH: Self = Self { create: true, delete: true };
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

    /// What it may do.
    pub const fn rights(self) -> Rights {
        match self {
            Self::Create => Rights::CREATE,
            Self::Delete => Rights::DELETE,
            Self::Watch => Rights::WATCH,
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
    /// A function's timeout: no pass lives longer.
    pub timeout_seconds: i64,
    /// Sender and recipient of mails; none where the deployment wants no mail.
    pub mail: Option<MailRoute>,
    /// What this function may do.
    pub rights: Rights,
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

    /// How long a create that nobody sees may still be on its way: a function's timeout, and a minute.
    pub const fn flight_seconds_max(&self) -> i64 {
        self.timeout_seconds + 60
    }
}
