#!/bin/sh
# SuspendProgram: Slurm gives these nodes back, and goes on when this returns.
exec /opt/clusterdrop/bin/cf-node suspend "$1"
