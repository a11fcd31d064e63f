//! Whole clusters, from the upload of `.cf-create` to the end of all machines: the emulator as AWS, and nodes of a test bed as the machines
//! of its instances, with their real user data, the agent that the deployment has published, and Debian's packages.

mod cluster;
mod failures;
mod jobs;
mod life;
mod markets;
mod user;
