#!/bin/sh
# The user's own profile, on both kinds of nodes: a key to log in with, and whether Slurm answers a script.
[ -s /home/alice/.ssh/authorized_keys ] || {
    ssh-keygen -q -t ed25519 -N '' -f /run/key
    cat /run/key.pub >/home/alice/.ssh/authorized_keys
}
sinfo --noheader --format=%P >/run/slurm-in-configure 2>&1 || :
