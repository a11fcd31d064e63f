#!/bin/sh
# PrologSlurmctld: ends when the job's nodes have registered, or after ResumeTimeout. Without one slurmctld looks only every 30 s
# (PERIODIC_TIMEOUT in its source) whether the nodes that a job waits for are there; at the end of this program it looks at once.
for _ in $(seq 300); do
    scontrol show node "$SLURM_JOB_NODELIST" | grep -q 'State=.*\(POWERED_DOWN\|POWERING_UP\|NOT_RESPONDING\)' || break
    sleep 0.2
done
