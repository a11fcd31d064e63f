//! The deployment's settings, out of the environment that `template.yaml` gives the functions.

use std::collections::BTreeMap;

use cf_core::site::{MailRoute, Powers, Site};
use cf_core::template::{SystemValue, default_template};

/// A setting that is missing or makes no sense: the function cannot start, and says which.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the setting {name} {why}; it comes from template.yaml")]
pub struct SettingError {
    name: &'static str,
    why: String,
}

/// Settings that go into parameters of every cluster as they are. Unset ones are left to the template's own defaults.
const FIXED: [(&str, SystemValue); 5] = [
    ("CLUSTERDROP_ACCESS_NETWORK", SystemValue::AccessNetwork),
    ("CLUSTERDROP_VPC", SystemValue::Vpc),
    ("CLUSTERDROP_SUBNET", SystemValue::Subnet),
    ("CLUSTERDROP_COMPUTE_SUBNET", SystemValue::ComputeSubnet),
    ("CLUSTERDROP_NODE_BOUNDARY", SystemValue::NodeBoundary),
];

/// Reads the settings by `lookup`, which is the environment in a function.
pub fn site_from(lookup: impl Fn(&str) -> Option<String>, powers: Powers) -> Result<Site, SettingError> {
    let optional = |name: &str| lookup(name).filter(|value| !value.is_empty());
    let required = |name: &'static str| optional(name).ok_or_else(|| SettingError { name, why: "is missing".into() });
    let number = |name: &'static str| {
        let text = required(name)?;
        text.parse::<u32>().map_err(|_| SettingError { name, why: format!("is {text:?}, not a whole number") })
    };
    let mail = optional("CLUSTERDROP_MAIL_FROM").zip(optional("CLUSTERDROP_MAIL_TO")).map(|(from, to)| MailRoute { from, to });
    Ok(Site {
        prefix: required("CLUSTERDROP_PREFIX")?,
        deployment: required("CLUSTERDROP_DEPLOYMENT")?,
        user_bucket: required("CLUSTERDROP_USER_BUCKET")?,
        customizer_bucket: required("CLUSTERDROP_CUSTOMIZER_BUCKET")?,
        system_bucket: required("CLUSTERDROP_SYSTEM_BUCKET")?,
        service_role: required("CLUSTERDROP_SERVICE_ROLE")?,
        nodes_max: number("CLUSTERDROP_NODES_MAX")?,
        fixed: FIXED.iter().filter_map(|(name, value)| Some((*value, optional(name)?))).collect::<BTreeMap<_, _>>(),
        timeout_seconds: i64::from(number("CLUSTERDROP_TIMEOUT_SECONDS")?),
        mail,
        powers,
        template: default_template(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(name: &str) -> String {
        match name {
            "CLUSTERDROP_NODES_MAX" => "32".into(),
            "CLUSTERDROP_TIMEOUT_SECONDS" => "30".into(),
            other => other.to_lowercase(),
        }
    }

    #[test]
    fn a_missing_setting_is_called_by_its_name() {
        let complete = |name: &str| Some(complete(name));
        let without = |name: &str| if name == "CLUSTERDROP_SERVICE_ROLE" { None } else { complete(name) };
        let error = site_from(without, Powers::WATCH).unwrap_err();
        assert!(error.to_string().contains("CLUSTERDROP_SERVICE_ROLE is missing"));
    }

    #[test]
    fn no_mail_address_means_no_mail() {
        let complete = |name: &str| Some(complete(name));
        assert!(site_from(complete, Powers::WATCH).unwrap().mail.is_some());
        let silent = |name: &str| if name == "CLUSTERDROP_MAIL_TO" { Some(String::new()) } else { complete(name) };
        assert_eq!(site_from(silent, Powers::WATCH).unwrap().mail, None);
    }
}
