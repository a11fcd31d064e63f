#!/bin/sh
# PrologSlurmctld: ends when the nodes of a job have registered, so that slurmctld looks at once (its own look is every 30 s). A job
# whose nodes run already is not held up. Where they never come, slurmctld gives the job up after ResumeTimeout, and ends this.
# The longer it lasts, the rarer it looks, so that the jobs of a large array do not wear the controller out while nodes start.
waited=0
while :; do
    states=$(scontrol show node "$SLURM_JOB_NODELIST" | grep -o 'State=[^ ]*')
    case $states in
        # The job does not get this node: it is queued again once this has ended.
        *State=DOWN*) break ;;
        *POWERED_DOWN* | *POWERING_UP* | *NOT_RESPONDING*) ;;
        *) break ;;
    esac
    pause=$((2 + waited / 20))
    [ "$pause" -lt 20 ] || pause=20
    sleep "$((pause / 10)).$((pause % 10))"
    waited=$((waited + pause))
done
exit 0
