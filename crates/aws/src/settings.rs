//! The deployment's settings, out of the environment that `template.yaml` gives the functions.

use std::collections::BTreeMap;

use cf_core::body::Choices;
use cf_core::foundation;
use cf_core::region::Region;
use cf_core::settings::{Function, MailRoute, OwnImages, Settings};
use cf_core::template::{SystemValue, Template, default_template};

/// A setting that is missing or makes no sense: the function cannot start, and says which.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the setting {name} {why}; it comes from template.yaml")]
pub struct SettingError {
    name: &'static str,
    why: String,
}

/// Settings that go into parameters of every cluster as they are. Unset ones are left to the template's own defaults.
const FIXED: [(&str, SystemValue); 12] = [
    ("CLUSTERDROP_ACCESS_NETWORK", SystemValue::AccessNetwork),
    ("CLUSTERDROP_VPC", SystemValue::Vpc),
    ("CLUSTERDROP_SUBNET", SystemValue::Subnet),
    ("CLUSTERDROP_COMPUTE_SUBNET", SystemValue::ComputeSubnet),
    ("CLUSTERDROP_NODE_BOUNDARY", SystemValue::NodeBoundary),
    ("CLUSTERDROP_SITE_PROFILES", SystemValue::SiteProfiles),
    ("CLUSTERDROP_AGENT_X86_64", SystemValue::AgentX86),
    ("CLUSTERDROP_AGENT_ARM64", SystemValue::AgentArm),
    ("CLUSTERDROP_COMPUTE_OUTBOUND", SystemValue::ComputeOutbound),
    ("CLUSTERDROP_ZONE", SystemValue::Zone),
    ("CLUSTERDROP_HOME_FILE_SYSTEM", SystemValue::HomeEfs),
    ("CLUSTERDROP_HOME_NFS", SystemValue::HomeNfs),
];

/// Settings with the type of nodes where a file names none, and the parameter of the template that each stands for.
/// Unset ones are left to the Region's table.
const DEFAULT_TYPES: [(&str, &str); 2] =
    [("CLUSTERDROP_DEFAULT_COMPUTE_TYPE", "ComputeInstanceTypeOther"), ("CLUSTERDROP_DEFAULT_LOGIN_TYPE", "MasterInstanceTypeOther")];

/// Reads the settings by `lookup`, which is the environment in a function.
pub fn settings_from(lookup: impl Fn(&str) -> Option<String>, function: Function) -> Result<Settings, SettingError> {
    let optional = |name: &str| lookup(name).filter(|value| !value.is_empty());
    let required = |name: &'static str| optional(name).ok_or_else(|| SettingError { name, why: "is missing".into() });
    let number = |name: &'static str| {
        let text = required(name)?;
        text.parse::<u32>().map_err(|_| SettingError { name, why: format!("is {text:?}, not a whole number") })
    };
    let template = default_template();
    let region = Region::new(&required("AWS_REGION")?, template, &default_types(template, optional)?);
    let (user_bucket, customizer_bucket) = (required("CLUSTERDROP_USER_BUCKET")?, required("CLUSTERDROP_CUSTOMIZER_BUCKET")?);
    let is_foundation_kept = optional("CLUSTERDROP_FOUNDATION").as_deref() == Some("existing");
    let mail = optional("CLUSTERDROP_MAIL_FROM").zip(optional("CLUSTERDROP_MAIL_TO")).map(|(from, to)| MailRoute { from, to });
    let own_image = |name: &str| optional(name).unwrap_or_default();
    Ok(Settings {
        prefix: required("CLUSTERDROP_PREFIX")?,
        deployment: required("CLUSTERDROP_DEPLOYMENT")?,
        url_suffix: required("CLUSTERDROP_URL_SUFFIX")?,
        foundation_record: is_foundation_kept.then(|| foundation::record(&user_bucket, &customizer_bucket)),
        user_bucket,
        customizer_bucket,
        system_bucket: required("CLUSTERDROP_SYSTEM_BUCKET")?,
        service_role: required("CLUSTERDROP_SERVICE_ROLE")?,
        nodes_max: number("CLUSTERDROP_NODES_MAX")?,
        node_logs: optional("CLUSTERDROP_NODE_LOGS").as_deref() == Some("yes"),
        own_images: OwnImages { x86: own_image("CLUSTERDROP_NODE_IMAGE_X86_64"), arm: own_image("CLUSTERDROP_NODE_IMAGE_ARM64") },
        fixed: FIXED.iter().filter_map(|(name, value)| Some((*value, optional(name)?))).collect::<BTreeMap<_, _>>(),
        timeout_seconds: i64::from(number("CLUSTERDROP_TIMEOUT_SECONDS")?),
        mail,
        function,
        template,
        region,
    })
}

/// The administrator's default types. template.yaml allows the values that the cluster template does; one that is not among
/// them would make CloudFormation refuse every cluster that leaves its type to the default.
fn default_types(template: &Template, setting: impl Fn(&str) -> Option<String>) -> Result<Choices, SettingError> {
    let mut types = Choices::new();
    for (name, parameter) in DEFAULT_TYPES {
        let Some(value) = setting(name) else { continue };
        if let Some(problem) = template.parameters.get(parameter).and_then(|p| p.check(parameter, &value)) {
            return Err(SettingError { name, why: format!("is no type of templates/cluster.yaml ({problem})") });
        }
        types.insert(parameter.to_owned(), value);
    }
    Ok(types)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    use super::*;

    fn complete(name: &str) -> String {
        match name {
            "CLUSTERDROP_NODES_MAX" => "32".into(),
            "CLUSTERDROP_TIMEOUT_SECONDS" => "30".into(),
            "AWS_REGION" => "eu-north-1".into(),
            "CLUSTERDROP_DEFAULT_COMPUTE_TYPE" | "CLUSTERDROP_DEFAULT_LOGIN_TYPE" => String::new(),
            other => other.to_lowercase(),
        }
    }

    #[test]
    fn a_missing_setting_is_called_by_its_name() {
        let complete = |name: &str| Some(complete(name));
        let without = |name: &str| if name == "CLUSTERDROP_SERVICE_ROLE" { None } else { complete(name) };
        let error = settings_from(without, Function::Watch).unwrap_err();
        assert!(error.to_string().contains("CLUSTERDROP_SERVICE_ROLE is missing"));
    }

    #[test]
    fn no_mail_address_means_no_mail() {
        let complete = |name: &str| Some(complete(name));
        assert!(settings_from(complete, Function::Watch).unwrap().mail.is_some());
        let silent = |name: &str| if name == "CLUSTERDROP_MAIL_TO" { Some(String::new()) } else { complete(name) };
        assert_eq!(settings_from(silent, Function::Watch).unwrap().mail, None);
    }

    /// The settings of `complete` with some others.
    fn with(others: &'static [(&str, &str)]) -> Result<Settings, SettingError> {
        let other = |name: &str| others.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        settings_from(|name| other(name).or_else(|| Some(complete(name))), Function::Watch)
    }

    #[test]
    fn nodes_have_the_regions_default_type_unless_the_administrator_names_another() {
        let empty = Choices::new();
        for (others, compute, login) in [
            (&[][..], "c6i.large-2C-4GB", "c6i.large-2C-4GB"),
            (&[("CLUSTERDROP_DEFAULT_LOGIN_TYPE", "t3.large")], "c6i.large-2C-4GB", "t3.large"),
            (&[("CLUSTERDROP_DEFAULT_COMPUTE_TYPE", "r6i.large-2C-16GB")], "r6i.large-2C-16GB", "c6i.large-2C-4GB"),
            (&[("AWS_REGION", "eu-west-2")], "c4.large-2C-3.75GB", "c4.large-2C-3.75GB"),
            (&[("AWS_REGION", "eu-south-2")], "c5.large-2C-4GB", "c5.large-2C-4GB"),
        ] {
            let settings = with(others).unwrap();
            assert_eq!(settings.effective(&empty, "ComputeInstanceTypeOther"), Some(compute), "{others:?}");
            assert_eq!(settings.effective(&empty, "MasterInstanceTypeOther"), Some(login), "{others:?}");
        }
    }

    #[test]
    fn a_foundation_of_an_earlier_deployment_needs_a_record_and_ones_own_does_not() {
        assert_eq!(with(&[("CLUSTERDROP_FOUNDATION", "create")]).unwrap().foundation_record, None);
        let kept = with(&[("CLUSTERDROP_FOUNDATION", "existing")]).unwrap();
        assert_eq!(kept.foundation_record, Some(foundation::record(&kept.user_bucket, &kept.customizer_bucket)));
    }

    #[test]
    fn a_default_type_that_the_template_does_not_offer_is_called_by_its_setting() {
        let error = with(&[("CLUSTERDROP_DEFAULT_LOGIN_TYPE", "t3.lage")]).unwrap_err().to_string();
        assert!(error.contains("CLUSTERDROP_DEFAULT_LOGIN_TYPE") && error.contains("t3.large"), "{error}");
    }

    #[test]
    fn a_function_without_a_region_does_not_start() {
        assert!(with(&[("AWS_REGION", "")]).unwrap_err().to_string().contains("AWS_REGION is missing"));
    }

    #[test]
    fn every_setting_that_is_read_is_given_by_the_deployment() {
        let deployment = include_str!("../../../template.yaml");
        let asked = RefCell::new(BTreeSet::new());
        let lookup = |name: &str| {
            asked.borrow_mut().insert(name.to_owned());
            Some(complete(name))
        };
        settings_from(lookup, Function::Watch).unwrap();
        let ours: Vec<String> = asked.take().into_iter().filter(|name| name.starts_with("CLUSTERDROP_")).collect();
        assert!(ours.len() > 10, "{ours:?}");
        for name in ours {
            // The agents' digests are each function's own, two levels deeper.
            assert!(["\n        ", "\n          "].iter().any(|indent| deployment.contains(&format!("{indent}{name}: "))), "{name}");
        }
        for (name, parameter) in [("COMPUTE", "DefaultComputeInstanceType"), ("LOGIN", "DefaultLoginInstanceType")] {
            assert!(deployment.contains(&format!("CLUSTERDROP_DEFAULT_{name}_TYPE: !Ref {parameter}\n")), "{parameter}");
        }
    }
}
