#!/bin/bash
# What a boot script without an agent does, by curl alone: the role's keys, the cluster's secret, the profile's files, and the events'
# scripts in their order. In the environment: ENDPOINT of AWS, BUCKET of the profiles, SECRET, BOOT (the folder of this machine).
set -euo pipefail
imds=$ENDPOINT/latest
token=$(curl -fsS -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 300' "$imds/api/token")
ask() { curl -fsS -H "X-aws-ec2-metadata-token: $token" "$imds/meta-data/iam/security-credentials/$1"; }
keys=$(ask "$(ask '')")
key() { grep -o "\"$1\" *: *\"[^\"]*" <<< "$keys" | cut -d '"' -f 4; }
call() { # SERVICE, and what else curl is given
  curl -fsS --aws-sigv4 "aws:amz:$AWS_REGION:$1" -K - "${@:2}" << END
user = "$(key AccessKeyId):$(key SecretAccessKey)"
header = "X-Amz-Security-Token: $(key Token)"
END
}
empty=x-amz-content-sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
call secretsmanager -H 'X-Amz-Target: secretsmanager.GetSecretValue' -H 'Content-Type: application/x-amz-json-1.1' \
  -d "{\"SecretId\": \"$SECRET\"}" "$ENDPOINT/" > "$BOOT/secret"
prefix=customizer/alice/
call s3 -H "$empty" "$ENDPOINT/$BUCKET?list-type=2&prefix=$prefix" | grep -o '<Key>[^<]*' | cut -c 6- > "$BOOT/keys"
while read -r object; do
  file=$BOOT/var/lib/clusterdrop/${object#"$prefix"}
  mkdir -p "${file%/*}"
  call s3 -H "$empty" -o "$file" "$ENDPOINT/$BUCKET/$object"
  chmod 700 "$file"
done < "$BOOT/keys"
for event in initialize configure start node-started; do
  for script in "$BOOT/var/lib/clusterdrop/$event.d"/*; do
    [ ! -x "$script" ] || "$script" "$event" master bench
  done
done
