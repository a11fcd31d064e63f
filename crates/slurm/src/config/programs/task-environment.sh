#!/bin/sh
# TaskProlog: what a job lacks in its environment. It comes from a shell of the login node, and this node may have another way out.
# Slurm sets what is printed here as "export NAME=value".
[ -r /etc/clusterdrop/job-environment ] || exit 0
while IFS='=' read -r name value; do
    printenv "$name" >/dev/null || echo "export $name=$value"
done </etc/clusterdrop/job-environment
exit 0
