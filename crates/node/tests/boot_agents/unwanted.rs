//! A machine that starts after Slurm has stopped to want it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cf_node::agent::LINK_PORT;
use cf_node::agent::keys::Keys;
use cf_node::link::{self, Counters, Limits};
use cf_node::request::{Configuration, Refusal, Request};
use tokio::net::TcpListener;

use crate::boot_bed::{Bed, CLUSTER};

#[test]
fn a_machine_that_no_node_is_wanted_of_reports_the_refusal_at_once_and_asks_no_more() {
    let mut bed = Bed::new();
    let report = serde_json::json!({"state": "ready", "address": bed.address(1), "updated": "2026-11-28T12:00:00Z"});
    bed.put(&format!("system/nodes/alice/{CLUSTER}/00000000000000aa/login1.json"), &report.to_string());
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let handler = move |_, _: Request| {
        counted.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Configuration::Refused(Refusal::TooLate))
    };
    let key = Keys::of("a secret of this cluster only, 0123456789").unwrap().link;
    let login = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = login.block_on(TcpListener::bind((bed.address(1), LINK_PORT))).unwrap();
    login.spawn(link::serve(listener, key, Limits::default(), Arc::new(Counters::default()), handler));
    for machine in [2, 3] {
        bed.boot(machine, "boot-1");
        let report = bed.wait_for(&format!("compute-i-{machine}"), "leaving");
        assert!(
            report.message.ends_with("no node is wanted of this machine any more; it came too late, and is ended"),
            "{}",
            report.message
        );
    }
    // The second had its answer long after the first would have asked again.
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}
