//! CloudFormation's stacks as we see them: every status it has, what it means to us, and whose a stack is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use strum::VariantArray;

use crate::names::{Cluster, ClusterName, User};
use crate::request::RequestId;

/// A stack's id: its ARN. Unlike a name it is never used again, so deletes go by id. DescribeStacks also takes a name in its
/// place: only `reconcile::instance`, whose event has no ARN, gives one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, derive_more::Display)]
pub struct StackId(pub String);

impl StackId {
    /// The stack's name within the ARN `arn:…:stack/NAME/UUID`, if it is one.
    pub fn name(&self) -> Option<&str> {
        self.0.split_once(":stack/")?.1.split('/').next()
    }
}

/// Every `StackStatus` of CloudFormation's API (botocore 1.43.11), and one for what it may add. Displays as AWS writes it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, strum::EnumString, strum::IntoStaticStr, strum::Display, strum::VariantArray,
)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs, reason = "the names are the documentation: they are AWS's own")]
pub enum StackStatus {
    CreateInProgress,
    CreateFailed,
    CreateComplete,
    RollbackInProgress,
    RollbackFailed,
    RollbackComplete,
    DeleteInProgress,
    DeleteFailed,
    DeleteComplete,
    UpdateInProgress,
    UpdateCompleteCleanupInProgress,
    UpdateComplete,
    UpdateFailed,
    UpdateRollbackInProgress,
    UpdateRollbackFailed,
    UpdateRollbackCompleteCleanupInProgress,
    UpdateRollbackComplete,
    ReviewInProgress,
    ImportInProgress,
    ImportComplete,
    ImportRollbackInProgress,
    ImportRollbackFailed,
    ImportRollbackComplete,
    Unknown,
}

impl StackStatus {
    /// All of them, `Unknown` last.
    pub const ALL: &[Self] = <Self as VariantArray>::VARIANTS;

    /// Reads AWS's word; what is not known yet is `Unknown`, never a panic.
    pub fn parse(text: &str) -> Self {
        text.parse().unwrap_or(Self::Unknown)
    }

    /// AWS's word.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The status of a resource, as far as it matters here (`ResourceStatus` of CloudFormation's API has more).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, strum::EnumString, strum::Display)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs, reason = "the names are the documentation: they are AWS's own")]
pub enum ResourceStatus {
    CreateInProgress,
    CreateFailed,
    CreateComplete,
    DeleteInProgress,
    DeleteFailed,
    DeleteComplete,
    /// Of an update, an import or a rollback, or one that AWS may add.
    Other,
}

impl ResourceStatus {
    /// Reads AWS's word; what does not matter here is `Other`.
    pub fn parse(text: &str) -> Self {
        text.parse().unwrap_or(Self::Other)
    }
}

/// What a status means to a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StackState {
    /// Its resources are being created.
    Creating,
    /// It is complete and has its outputs, also after an update that failed.
    Available,
    /// Somebody is updating it: wait until that has ended.
    Changing,
    /// Its creation failed and what was created is being removed.
    RollingBack,
    /// Its creation failed; the stack keeps its name until it is deleted.
    Failed,
    /// Somebody has made a change set and not executed it: the stack holds its name, and nothing is made.
    InReview,
    /// It is being deleted.
    Deleting,
    /// Its deletion failed; what is left may still cost money.
    DeleteFailed,
    /// It is deleted; only its id finds it.
    Deleted,
}

impl StackStatus {
    /// The meaning, for every status there is.
    pub const fn state(self) -> StackState {
        match self {
            Self::CreateInProgress => StackState::Creating,
            // An admin's update or import that failed leaves the cluster standing: it has a login, and it can be deleted.
            Self::CreateComplete
            | Self::UpdateComplete
            | Self::UpdateFailed
            | Self::UpdateRollbackComplete
            | Self::UpdateRollbackFailed
            | Self::ImportComplete
            | Self::ImportRollbackComplete
            | Self::ImportRollbackFailed => StackState::Available,
            // A status that AWS may add is somebody's business in progress until it becomes one that we know.
            // A clean-up is one too: whether a stack may be deleted in the midst of it is not certain, and it ends by itself.
            Self::UpdateInProgress
            | Self::UpdateCompleteCleanupInProgress
            | Self::UpdateRollbackInProgress
            | Self::UpdateRollbackCompleteCleanupInProgress
            | Self::ImportInProgress
            | Self::ImportRollbackInProgress
            | Self::Unknown => StackState::Changing,
            Self::ReviewInProgress => StackState::InReview,
            Self::RollbackInProgress => StackState::RollingBack,
            // CREATE_FAILED is where a creation ends that may not roll back.
            Self::CreateFailed | Self::RollbackFailed | Self::RollbackComplete => StackState::Failed,
            Self::DeleteInProgress => StackState::Deleting,
            Self::DeleteFailed => StackState::DeleteFailed,
            Self::DeleteComplete => StackState::Deleted,
        }
    }
}

/// A stack as DescribeStacks shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stack {
    /// Its id.
    pub id: StackId,
    /// Its status.
    pub status: StackStatus,
    /// CloudFormation's own words on the status, if any.
    pub reason: Option<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Its parameters, defaults included; NoEcho ones masked.
    pub parameters: BTreeMap<String, String>,
    /// Its outputs.
    pub outputs: BTreeMap<String, String>,
    /// The stack that this one is nested in. Nested stacks inherit tags: they are not clusters.
    pub parent: Option<StackId>,
}

/// Tag: the user, as the founding system promised it.
pub const TAG_USER: &str = "USER";
/// Tag: the cluster's name.
pub const TAG_CLUSTER: &str = "clusterdrop:cluster";
/// Tag: the request that made the stack.
pub const TAG_REQUEST: &str = "clusterdrop:request";
/// Tag: the deployment that it belongs to.
pub const TAG_DEPLOYMENT: &str = "clusterdrop:deployment";

/// The tags that a cluster's stack bears from its first moment.
pub fn tags(cluster: &Cluster, request: &RequestId, deployment: &str) -> BTreeMap<String, String> {
    [(TAG_USER, cluster.user.as_str()), (TAG_CLUSTER, cluster.name.as_str()), (TAG_REQUEST, request.as_str()), (TAG_DEPLOYMENT, deployment)]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

impl Stack {
    /// The cluster that this stack carries, if it is one of `deployment`'s. Names prove nothing; tags do.
    pub fn cluster(&self, deployment: &str) -> Option<Cluster> {
        let tag = |key: &str| self.tags.get(key).map(String::as_str);
        if self.parent.is_some() || tag(TAG_DEPLOYMENT) != Some(deployment) {
            return None;
        }
        Some(Cluster { user: User::parse(tag(TAG_USER)?).ok()?, name: ClusterName::parse(tag(TAG_CLUSTER)?).ok()? })
    }

    /// The request that made it, by its tag.
    pub fn request(&self) -> Option<RequestId> {
        self.tags.get(TAG_REQUEST).map(|tag| RequestId::from_tag(tag))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_reads_and_prints_itself() {
        for &status in StackStatus::ALL {
            assert_eq!(StackStatus::parse(status.as_str()), status);
        }
        assert_eq!(StackStatus::parse("SOMETHING_NEW"), StackStatus::Unknown);
    }

    #[test]
    fn a_stack_is_a_clusters_only_with_every_tag_of_this_deployment_and_not_inside_another() {
        let cluster = crate::testing::cluster("alice", "demo");
        let ours = Stack {
            id: StackId("arn:aws:cloudformation:eu-west-2:123456789012:stack/x/1".into()),
            status: StackStatus::CreateComplete,
            reason: None,
            tags: tags(&cluster, &RequestId::from_tag("0123456789abcdef"), "ours"),
            parameters: BTreeMap::new(),
            outputs: BTreeMap::new(),
            parent: None,
        };
        assert_eq!(ours.cluster("ours"), Some(cluster));
        assert_eq!(ours.cluster("theirs"), None);
        let nested = Stack { parent: Some(StackId("outer".into())), ..ours.clone() };
        assert_eq!(nested.cluster("ours"), None, "a nested stack inherits the tags");
        for tag in [TAG_USER, TAG_CLUSTER, TAG_DEPLOYMENT] {
            for value in [None, Some(""), Some("../x")] {
                let mut stack = ours.clone();
                stack.tags.remove(tag);
                stack.tags.extend(value.map(|value| (tag.to_owned(), value.to_owned())));
                assert_eq!(stack.cluster("ours"), None, "{tag}: {value:?}");
            }
        }
        assert_eq!(ours.request(), Some(RequestId::from_tag("0123456789abcdef")));
    }

    #[test]
    fn a_stack_id_knows_its_name() {
        let id = StackId("arn:aws:cloudformation:eu-west-2:123456789012:stack/clusterdrop-a-b-00112233/uuid".into());
        assert_eq!(id.name(), Some("clusterdrop-a-b-00112233"));
        assert_eq!(StackId("nonsense".into()).name(), None);
    }
}
