#!/bin/sh
# Brings the service role and the node boundary that an earlier deployment left behind (FoundationMode=existing) up to date with the
# deployment that uses them now, and records that in its system bucket. Until then its functions refuse every create.
#
# Run it with an administrator's rights, from the sources that the deployment was built from:
#
#   iam/renew.sh clusterdrop      the deployment's Prefix
set -eu

if [ $# -ne 1 ]; then
  echo "usage: $0 PREFIX" >&2
  exit 2
fi
prefix=$1
cd "$(dirname "$0")"

# What the deployment's functions know of themselves is what the policies have to name.
function=$prefix-cf-create
known() {
  value=$(aws lambda get-function-configuration --function-name "$function" --query "$1" --output text)
  # So the AWS CLI prints what is not there.
  if [ "$value" = None ]; then
    echo "$0: the function $function has no $1: is the deployment older than these sources?" >&2
    return 1
  fi
  echo "$value"
}
arn=$(known FunctionArn)
partition=$(echo "$arn" | cut -d : -f 2)
region=$(echo "$arn" | cut -d : -f 4)
account=$(echo "$arn" | cut -d : -f 5)
deployment=$(known Environment.Variables.CLUSTERDROP_DEPLOYMENT)
suffix=$(known Environment.Variables.CLUSTERDROP_URL_SUFFIX)
users=$(known Environment.Variables.CLUSTERDROP_USER_BUCKET)
customizer=$(known Environment.Variables.CLUSTERDROP_CUSTOMIZER_BUCKET)
system=$(known Environment.Variables.CLUSTERDROP_SYSTEM_BUCKET)

# The policy with CloudFormation's placeholders filled in; IAM's own, which begin with a small letter, stay.
filled() {
  sed -e "s|\${AWS::Partition}|$partition|g" -e "s|\${AWS::Region}|$region|g" -e "s|\${AWS::AccountId}|$account|g" \
    -e "s|\${AWS::StackName}|$deployment|g" -e "s|\${AWS::URLSuffix}|$suffix|g" -e "s|\${Prefix}|$prefix|g" \
    -e "s|\${UserBucket}|$users|g" -e "s|\${CustomizerBucket}|$customizer|g" -e "s|\${SystemBucket}|$system|g" "$1.json"
}

aws iam put-role-policy --role-name "$prefix-service" --policy-name clusters --policy-document "$(filled service-role)"

# A policy keeps five versions; the oldest makes room.
boundary=arn:$partition:iam::$account:policy/$prefix-node-boundary
versions() {
  aws iam list-policy-versions --policy-arn "$boundary" --query "$1" --output text
}
if [ "$(versions 'length(Versions)')" -ge 5 ]; then
  oldest=$(versions 'sort_by(Versions[?!IsDefaultVersion], &CreateDate)[0].VersionId')
  aws iam delete-policy-version --policy-arn "$boundary" --version-id "$oldest"
fi
aws iam create-policy-version --set-as-default --policy-arn "$boundary" --policy-document "$(filled node-boundary)" >/dev/null

# Last, so that it stands for both. crates/core/src/foundation.rs makes the same digest.
digest=$({ cat service-role.json node-boundary.json; printf '%s\n%s\n' "$users" "$customizer"; } |
  { sha256sum 2>/dev/null || shasum -a 256; } | cut -c 1-16)
aws s3api put-object --bucket "$system" --key "foundation/$digest" >/dev/null
echo "The service role $prefix-service and the boundary $prefix-node-boundary are those that the deployment $deployment needs ($digest)."
