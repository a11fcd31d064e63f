//! The deployment: what the administrator chose. Read once, at the start of a function.

use std::collections::BTreeMap;

use crate::body::Choices;
use crate::instance_type::{Architecture, COMPUTE, LOGIN, Node, stands_in_placement_group};
use crate::key::UploadKey;
use crate::names::{Cluster, StackName, number_of_user};
use crate::region::Region;
use crate::request::RequestId;
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
    /// Where an earlier deployment made the service role and the boundary: the key of the record that they are up to date
    /// ([`crate::foundation`]).
    pub foundation_record: Option<String>,
    /// The most compute nodes that one cluster may have.
    pub nodes_max: u32,
    /// Whether login nodes write their logs beside the request.
    pub node_logs: bool,
    /// Images of the administrator's own for the nodes.
    pub own_images: OwnImages,
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

/// Images of the administrator's own, by the processors that they are for. Empty means Debian's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnImages {
    /// For x86_64.
    pub x86: String,
    /// For arm64.
    pub arm: String,
}

/// The public parameter that names the newest image of Debian 13.
fn debian(architecture: Architecture) -> String {
    format!("/aws/service/debian/release/13/latest/{}", architecture.of_debian())
}

/// The template takes 900 bytes after `home/`, the cluster's name among them, and S3's keys end at 1,024.
const LOGS_FOLDER_BYTES_MAX: usize = 800;

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

    /// The value of a system parameter for the cluster that this create asks for, with these parameters. An unset one is empty: the
    /// template's pattern judges it.
    pub fn system_value(&self, value: SystemValue, key: &UploadKey, request: &RequestId, choices: &Choices) -> String {
        let cluster = &key.cluster;
        match value {
            SystemValue::Cluster => cluster.name.to_string(),
            SystemValue::User => cluster.user.to_string(),
            SystemValue::LoginName => cluster.user.login(),
            SystemValue::Deployment => self.deployment.clone(),
            SystemValue::CustomizerBucket => self.customizer_bucket.clone(),
            SystemValue::SystemBucket => self.system_bucket.clone(),
            SystemValue::UserBucket => self.user_bucket.clone(),
            SystemValue::Request => request.to_string(),
            SystemValue::NodeLogs => self.logs(key).unwrap_or_default(),
            SystemValue::UserNumber => number_of_user(cluster.user.as_str()).to_string(),
            SystemValue::LoginImage => debian(self.architecture(LOGIN, choices)),
            SystemValue::ComputeImage => debian(self.architecture(COMPUTE, choices)),
            SystemValue::LoginOwnImage => self.own_image(LOGIN, choices),
            SystemValue::ComputeOwnImage => self.own_image(COMPUTE, choices),
            SystemValue::ComputePlacement => {
                if stands_in_placement_group(self.type_of(COMPUTE, choices).unwrap_or_default()) { "cluster" } else { "none" }.to_owned()
            }
            fixed => self.fixed.get(&fixed).cloned().unwrap_or_default(),
        }
    }

    /// The EC2 type of a kind of node, as these choices name it or leave it to the defaults.
    fn type_of<'a>(&'a self, node: Node, choices: &'a Choices) -> Option<&'a str> {
        node.named(|name| self.effective(choices, name)).map(|(_, kind)| kind)
    }

    fn architecture(&self, node: Node, choices: &Choices) -> Architecture {
        Architecture::of(self.type_of(node, choices).unwrap_or_default())
    }

    /// The administrator's own image for a kind of node; empty where Debian's is taken.
    fn own_image(&self, node: Node, choices: &Choices) -> String {
        match self.architecture(node, choices) {
            Architecture::X86 => self.own_images.x86.clone(),
            Architecture::Arm => self.own_images.arm.clone(),
        }
    }

    /// Whether the deployment publishes the nodes' program for these processors.
    pub fn has_agent_for(&self, architecture: Architecture) -> bool {
        let digest = match architecture {
            Architecture::X86 => SystemValue::AgentX86,
            Architecture::Arm => SystemValue::AgentArm,
        };
        self.fixed.get(&digest).is_some_and(|digest| !digest.is_empty())
    }

    /// The folder that a cluster's login node writes its logs to, beside the request: `home/alice/demo.logs/`. None where the
    /// administrator wants none, or the folder has characters that mean something in a policy of IAM, in JSON or in a shell.
    fn logs(&self, key: &UploadKey) -> Option<String> {
        let folder = key.folder.as_str();
        let is_plain =
            folder.len() <= LOGS_FOLDER_BYTES_MAX && folder.chars().all(|c| c.is_ascii_alphanumeric() || "-_.@=+,~/ ".contains(c));
        (self.node_logs && is_plain).then(|| format!("{folder}{}.logs/", key.cluster.name))
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
    use crate::key::{self, Reading};
    use crate::testing;

    fn logs(settings: &Settings, key: &str) -> String {
        let Reading::Request(key) = key::read(key) else { panic!("{key} is a request's key") };
        settings.system_value(SystemValue::NodeLogs, &key, &RequestId::from_tag("00000000000000aa"), &Choices::new())
    }

    #[test]
    fn logs_go_beside_the_request_unless_its_folder_means_something_to_a_policy_or_a_shell() {
        let settings = testing::settings();
        assert_eq!(logs(&settings, "home/alice/demo.cf-create"), "home/alice/demo.logs/");
        assert_eq!(logs(&settings, "home/a@b.c/my runs/x=1/demo.cf-create"), "home/a@b.c/my runs/x=1/demo.logs/");
        for folder in ["it's", "a\"b", "*", "a?", "${aws:username}", "$(id)", "é"] {
            assert_eq!(logs(&settings, &format!("home/alice/{folder}/demo.cf-create")), "", "{folder}");
        }
        let longest = "a".repeat(LOGS_FOLDER_BYTES_MAX - "home/alice//".len());
        assert_eq!(logs(&settings, &format!("home/alice/{longest}/demo.cf-create")), format!("home/alice/{longest}/demo.logs/"));
        assert_eq!(logs(&settings, &format!("home/alice/a{longest}/demo.cf-create")), "");
        assert_eq!(logs(&Settings { node_logs: false, ..settings }, "home/alice/demo.cf-create"), "");
    }

    /// What the functions put into the template is what it takes: CloudFormation would refuse all clusters otherwise.
    #[test]
    fn the_template_takes_every_value_of_the_system() {
        let settings = testing::settings();
        let longest = format!("home/{}/{}/{}.cf-create", "a".repeat(64), "b c".repeat(240), "d".repeat(40));
        for key in ["home/alice/demo.cf-create", "home/a@b.c=d/x y/9.cf-create", longest.as_str()] {
            let Reading::Request(key) = key::read(key) else { panic!("{key} is a request's key") };
            for (name, value) in &settings.template.metadata.system_parameters {
                let value = settings.system_value(*value, &key, &RequestId::from_tag("00000000000000aa"), &Choices::new());
                let parameter = &settings.template.parameters[name];
                assert_eq!(parameter.check(name, &value), None, "{name}: {value:?}");
            }
        }
    }

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
