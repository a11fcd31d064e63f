//! When the lists of members are written, and what a failed write does.

use super::super::tests::member;
use super::*;

async fn run_below(folder: &std::path::Path) -> Run {
    let layout = Layout::below(folder);
    std::fs::create_dir_all(folder.join("etc")).unwrap();
    let lock = Lock::take(&layout).unwrap().unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let me = Identity::new(member(0, "127.0.0.1:7946"), 1, 1);
    let (gossip, first) = Gossip::new(me, ClusterKey::new(&[1; 32]), [2; 32]).unwrap();
    let mut run = Run::new(gossip, socket, layout, lock);
    run.perform(first);
    run
}

#[tokio::test]
async fn two_hundred_joins_at_once_are_one_write_and_later_ones_another() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = run_below(folder.path()).await;
    let begin = Instant::now();
    for rank in 1..200 {
        run.change(Change::Joined(member(rank, &format!("10.0.0.{rank}:7946"))));
    }
    assert!(run.write_at.unwrap() <= begin + WRITE_AFTER + Duration::from_millis(200), "the last does not put the first off");
    run.write_at = Some(begin);
    run.due();
    assert!(run.write_at.is_none());
    let result = end_of(&mut run.write).await;
    run.wrote(result);
    assert!(run.write.is_none() && run.write_at.is_none() && run.write_error.is_none());
    let hosts = std::fs::read_to_string(run.layout.hosts()).unwrap();
    assert_eq!(hosts.lines().count(), 202);
    assert_eq!(State::read(&run.layout).unwrap().members.len(), 200);
    run.change(Change::Left(member(7, "10.0.0.7:7946")));
    assert!(run.write_at.unwrap() >= run.written.unwrap() + WRITE_EVERY);
}

#[tokio::test]
async fn a_failed_write_is_tried_again_and_the_list_is_written_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = run_below(folder.path()).await;
    std::fs::create_dir(run.layout.hosts()).unwrap();
    run.write_at = Some(Instant::now());
    run.due();
    let result = end_of(&mut run.write).await;
    run.wrote(result);
    assert!(run.write_error.as_ref().is_some_and(|error| error.contains("it is tried again")), "{:?}", run.write_error);
    assert!(run.write_at.is_some());
    assert_eq!(State::read(&run.layout).unwrap().members.len(), 1);
    let trouble = run.trouble.subscribe();
    assert_eq!(trouble.borrow().clone(), [run.write_error.clone().unwrap()], "the user is told");
    std::fs::remove_dir(run.layout.hosts()).unwrap();
    run.write_at = Some(Instant::now());
    run.due();
    let result = end_of(&mut run.write).await;
    run.wrote(result);
    assert!(trouble.borrow().is_empty());
    run.claim(Claim::Lost(member(0, "127.0.0.2:7946")));
    assert!(trouble.borrow()[0].starts_with("the node at 127.0.0.2:7946 has the name login1"), "{:?}", trouble.borrow());
    run.claim(Claim::Regained);
    assert!(trouble.borrow().is_empty());
}
