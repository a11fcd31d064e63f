//! Whether EC2 takes a spot machine back: it says so in the machine's metadata, two minutes before (EC2 user guide, "Spot Instance
//! interruption notices", which advises to look every five seconds). The login node drains the node, requeues its jobs and reports.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::sleep;

use super::outside::Outside;
use crate::link::{self, LinkKey};
use crate::request::{Interrupted, Noted, Request};

/// Between two looks.
pub const LOOK: Duration = Duration::from_secs(5);

/// Between two tries to tell the login node, and how long one may take.
const AGAIN: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(5);

/// Waits for the notice, and gives its time as the metadata have it. Metadata that do not answer are asked again.
pub async fn notice<O: Outside>(outside: &O, look: Duration) -> String {
    let mut is_silent = false;
    loop {
        match outside.interruption().await {
            Ok(Some(time)) => return time,
            Ok(None) => is_silent = false,
            Err(error) if !is_silent => {
                is_silent = true;
                tracing::warn!(%error, "whether EC2 takes this machine back is not known; it is asked again");
            }
            Err(_) => {}
        }
        sleep(look).await;
    }
}

/// Tells the login node, until it has written it down.
pub async fn tell(login: SocketAddr, key: &LinkKey, instance: &str) {
    let request = Request::Interrupted(Interrupted { instance: instance.to_owned() });
    loop {
        match link::ask::<_, Noted>(login, key, &request, PATIENCE).await {
            Ok(Noted { written: true }) => return,
            Ok(Noted { written: false }) => tracing::warn!("the login node has not written down that EC2 takes this machine back"),
            Err(error) => tracing::warn!(%error, "the login node does not hear that EC2 takes this machine back"),
        }
        sleep(AGAIN).await;
    }
}
