#!/bin/sh
# ResumeFailProgram: these nodes have not registered within ResumeTimeout; what runs for them is ended.
exec /opt/clusterdrop/bin/cf-node resume-failed "$1"
