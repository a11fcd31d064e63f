#!/bin/sh
# ResumeProgram: Slurm wants these nodes, and goes on when this returns.
exec /opt/clusterdrop/bin/cf-node resume "$1"
