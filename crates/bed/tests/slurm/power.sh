#!/bin/sh
# ResumeProgram and SuspendProgram, by their names: notes which nodes are wanted, one a line, and returns at once.
for node in $(scontrol show hostnames "$1"); do
    echo "${0##*/} $node" >>/var/log/slurm/asked
done
