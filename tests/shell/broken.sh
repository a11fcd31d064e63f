# shellcheck shell=bash
# What ShellCheck has to find: a folder that is not there, or has a space in its name, and something else is removed.
folder=$1
cd "$folder"
rm -rf $folder/*
