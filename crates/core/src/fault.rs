//! What can go wrong with a call, sorted by what a pass does about it.

use std::fmt;

/// What a pass does about a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// It may not happen again: the pass ends, and its event is given back, to be tried again.
    Retry,
    /// The same call will be refused again. Where it starts or deletes a stack, or reads a user's file, the next decision reports
    /// it to the user; a pass that cannot go on without it ends, and its event is given back, so that it ends in the failure queue
    /// and not in silence.
    Rejected,
    /// Something was changed since it was observed: observe again.
    Conflict,
    /// The operation's token was used before: by an earlier life of this stack's name, which has gone since, or by the stack
    /// that is there. The next snapshot shows which.
    TokenUsed,
}

/// A call, by its name in AWS's API, and what else can fail. Displays as `s3:PutObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, strum::Display, strum::IntoStaticStr)]
pub enum Call {
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html>
    #[strum(to_string = "s3:GetObject")]
    GetObject,
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html>
    #[strum(to_string = "s3:HeadObject")]
    HeadObject,
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html>
    #[strum(to_string = "s3:PutObject")]
    PutObject,
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObject.html>
    #[strum(to_string = "s3:DeleteObject")]
    DeleteObject,
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>
    #[strum(to_string = "s3:ListObjectsV2")]
    ListObjectsV2,
    /// <https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStack.html>
    #[strum(to_string = "cloudformation:CreateStack")]
    CreateStack,
    /// <https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DeleteStack.html>
    #[strum(to_string = "cloudformation:DeleteStack")]
    DeleteStack,
    /// <https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStacks.html>
    #[strum(to_string = "cloudformation:DescribeStacks")]
    DescribeStacks,
    /// <https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStackEvents.html>
    #[strum(to_string = "cloudformation:DescribeStackEvents")]
    DescribeStackEvents,
    /// <https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ListStackResources.html>
    #[strum(to_string = "cloudformation:ListStackResources")]
    ListStackResources,
    /// <https://docs.aws.amazon.com/ses/latest/APIReference/API_SendEmail.html>
    #[strum(to_string = "ses:SendEmail")]
    SendEmail,
    /// The answer to CloudFormation for a custom resource.
    #[strum(to_string = "custom resource: PUT ResponseURL")]
    Respond,
    /// The event that woke a function cannot be read.
    #[strum(to_string = "event")]
    Event,
    /// The pass itself: no call was made.
    #[strum(to_string = "pass")]
    Pass,
    /// A call that the simulator does not name.
    #[strum(to_string = "the call")]
    Unnamed,
}

/// A call that did not do what was wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What is to be done.
    pub kind: Kind,
    /// The call.
    pub call: Call,
    /// What stood in the way, in the words of whoever answered.
    pub why: String,
}

impl Fault {
    /// A fault of this kind.
    pub fn new(kind: Kind, call: Call, why: impl Into<String>) -> Self {
        Self { kind, call, why: why.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?}): {}", self.call, self.kind, self.why)
    }
}

impl std::error::Error for Fault {}
