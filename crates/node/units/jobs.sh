# shellcheck shell=sh
# What jobs and people on a node find in their environment, unless they have set it themselves. The node agent writes both files.
if [ -r /etc/clusterdrop/job-environment ]; then
  while IFS='=' read -r clusterdrop_name clusterdrop_value; do
    eval "[ -n \"\${$clusterdrop_name+set}\" ]" || export "$clusterdrop_name=$clusterdrop_value"
  done </etc/clusterdrop/job-environment
  unset clusterdrop_name clusterdrop_value
fi
