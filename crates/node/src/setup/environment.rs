//! What people, packages and jobs on a node find in their environment: the way to the Internet of compute nodes, which is the login
//! node's proxy, and how MPI programs send.
//!
//! A job takes its environment from the shell that submitted it, which is one of the login node; what it lacks is added by Slurm's
//! `TaskProlog` on the node where it runs (`cf_slurm::config`). What the user has set themselves stays.

use std::net::{IpAddr, SocketAddr};

use aws_sdk_s3::config::endpoint::{DefaultResolver, Params, ResolveEndpoint as _};
use cf_slurm::config::JOB_ENVIRONMENT;

use super::Machine;
use crate::node::Role;
use crate::proxy;
use crate::settings::Outbound;

/// By UCX: Open MPI's own way over TCP, ob1, ends now and then with a segmentation fault where a message comes before its receiver has left
/// MPI_Init (https://github.com/open-mpi/ompi/issues/12495). UCX is not taken for TCP unless any of its transports will do.
const MPI: &str = "OMPI_MCA_pml=ucx\nOMPI_MCA_pml_ucx_tls=any\nOMPI_MCA_pml_ucx_devices=any\n";

const SHELLS: &str = "etc/profile.d/clusterdrop-jobs.sh";

const SHELLS_TEXT: &str = include_str!("../../units/jobs.sh");

const APT: &str = "etc/apt/apt.conf.d/90clusterdrop-proxy";

const ENVIRONMENT: &str = "etc/environment";

const BEGIN: &str = "# clusterdrop begin";
const END: &str = "# clusterdrop end";

/// The variables of the way out, one a line. S3 is reached by the network's own endpoint, the instance's metadata by nobody else.
fn outbound(login: IpAddr, s3: &str) -> String {
    let proxy = SocketAddr::new(login, proxy::PORT);
    let direct = format!("localhost,127.0.0.1,169.254.169.254,login1,{login},{s3},.{s3}");
    let both = |name: &str, value: &str| format!("{name}={value}\n{}={value}\n", name.to_ascii_uppercase());
    let url = format!("http://{proxy}");
    [both("http_proxy", &url), both("https_proxy", &url), both("no_proxy", &direct)].concat()
}

/// S3's host in a Region, such as `s3.eu-west-2` and the partition's ending, by the SDK's own rules.
async fn s3_host(region: &str) -> Result<String, String> {
    let unknown = || format!("the SDK knows no host of S3 in the Region {region:?}");
    let params = Params::builder().region(region).build().map_err(|_| unknown())?;
    let endpoint = DefaultResolver::new().resolve_endpoint(&params).await.map_err(|_| unknown())?;
    endpoint.url().strip_prefix("https://").map(|host| host.trim_end_matches('/').to_owned()).ok_or_else(unknown)
}

/// `/etc/environment` with exactly these lines of ours; what else is in it stays.
fn with_block(old: &str, lines: &str) -> String {
    let mut inside = false;
    let mut new: String = String::new();
    for line in old.lines() {
        match line.trim_end() {
            BEGIN => inside = true,
            END if inside => inside = false,
            _ if !inside => new += &format!("{line}\n"),
            _ => {}
        }
    }
    if lines.is_empty() { new } else { format!("{new}{BEGIN}\n{lines}{END}\n") }
}

impl Machine<'_> {
    /// Writes the environment; `login`: the login node's address.
    pub(super) async fn environment(&self, login: IpAddr) -> Result<(), String> {
        let is_behind = self.settings.role == Role::Slave
            && self.settings.scheduler.as_ref().is_some_and(|scheduler| scheduler.outbound == Outbound::Proxy);
        let outbound = if is_behind { outbound(login, &s3_host(&self.settings.region).await?) } else { String::new() };
        self.put(JOB_ENVIRONMENT.trim_start_matches('/'), &format!("{MPI}{outbound}"), 0o644)?;
        self.put(SHELLS, SHELLS_TEXT, 0o644)?;
        let old = std::fs::read_to_string(self.at(ENVIRONMENT)).unwrap_or_default();
        let new = with_block(&old, &outbound);
        if new != old {
            self.put(ENVIRONMENT, &new, 0o644)?;
        }
        if is_behind {
            let proxy = SocketAddr::new(login, proxy::PORT);
            self.put(APT, &format!("// By clusterdrop's node agent.\nAcquire::http::Proxy \"http://{proxy}\";\n"), 0o644)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::testing::Below;

    const LOGIN: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 75, 0, 9));

    #[tokio::test]
    async fn a_compute_node_reaches_the_internet_through_the_login_node_and_s3_and_metadata_directly() {
        let node = Below::new("slave");
        node.write(ENVIRONMENT, "LANG=C.UTF-8\n");
        for _ in 0..2 {
            node.machine().environment(LOGIN).await.unwrap();
        }
        let environment = node.read(ENVIRONMENT);
        assert!(environment.starts_with("LANG=C.UTF-8\n# clusterdrop begin\nhttp_proxy=http://10.75.0.9:3128\n"), "{environment}");
        assert_eq!(environment.matches("HTTPS_PROXY=http://10.75.0.9:3128\n").count(), 1, "{environment}");
        assert!(environment.contains("no_proxy=localhost,127.0.0.1,169.254.169.254,login1,10.75.0.9,s3.eu-west-2.amazonaws.com,.s3."));
        assert!(node.read(APT).ends_with("Acquire::http::Proxy \"http://10.75.0.9:3128\";\n"));
        assert!(node.read("etc/clusterdrop/job-environment").contains("OMPI_MCA_pml=ucx\n"));
    }

    #[tokio::test]
    async fn where_there_is_a_way_out_and_on_the_login_node_none_is_named() {
        let mut direct = Below::new("slave");
        direct.settings.scheduler.as_mut().unwrap().outbound = Outbound::Direct;
        for node in [&direct, &Below::new("master")] {
            node.write(ENVIRONMENT, "A=b\n# clusterdrop begin\nhttp_proxy=http://10.1.1.1:3128\n# clusterdrop end\nC=d\n");
            node.machine().environment(LOGIN).await.unwrap();
            assert_eq!(node.read(ENVIRONMENT), "A=b\nC=d\n", "that of an image");
            assert_eq!((node.read(APT).as_str(), node.read("etc/clusterdrop/job-environment").as_str()), ("", MPI));
        }
    }
}
