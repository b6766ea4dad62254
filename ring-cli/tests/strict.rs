//! Strict rings seen from outside: `ls --pid` and `stat`, by processes that have them, and after a kill.

mod support;

use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ring_shm::spsc::{Consumer, Options, Producer};
use serde_json::Value;
use support::{run, wait_until};

const PATIENCE: Duration = Duration::from_secs(60);

/// Not a test of its own: the process that is the consumer, until it is killed.
#[test]
fn consumer_entry() {
    let Ok(path) = std::env::var("RING_CLI_STRICT") else { return };
    let socket = UnixStream::connect(path).unwrap();
    let mut rx = Consumer::open_strict(&socket, PATIENCE).unwrap();
    let end = rx.recv_into_timeout(&mut [0; 64], PATIENCE * 10);
    panic!("killed before it learns of {end:?}");
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn consumer(path: &Path) -> (Killed, UnixStream) {
    let listener = UnixListener::bind(path).unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "consumer_entry", "--nocapture"])
        .env("RING_CLI_STRICT", path)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    (Killed(child), listener.accept().unwrap().0)
}

fn only(pid: u32) -> Value {
    let list = run(&["ls", "--pid", &pid.to_string(), "--json"], b"").expect(0).json();
    assert_eq!(list.as_array().unwrap().len(), 1, "{list}");
    list[0].clone()
}

#[test]
fn both_processes_show_it_and_who_is_dead() {
    let directory = tempfile::tempdir().unwrap();
    let (peer, socket) = consumer(&directory.path().join("socket"));
    let mut tx = Producer::create_strict(&socket, &Options::new().capacity(4096), PATIENCE).unwrap();
    let (mine, theirs) = (std::process::id(), peer.0.id());
    let seen = [only(mine), only(theirs)];
    for (ring, pid) in seen.iter().zip([mine, theirs]) {
        assert_eq!((&ring["kind"], &ring["backing"]), (&"strict".into(), &"memfd".into()), "{ring}");
        assert_eq!((&ring["producer"]["pid"], &ring["consumer"]["pid"]), (&mine.into(), &theirs.into()), "{ring}");
        assert_eq!((&ring["producer"]["state"], &ring["consumer"]["state"]), (&"alive".into(), &"alive".into()));
        assert!(ring["capacity"].is_null() && ring["unread"].is_null(), "{ring}");
        assert!(ring["name"].as_str().unwrap().starts_with(&format!("fd:{pid}/")), "{ring}");
        run(&["ls", "--pid", &pid.to_string()], b"").expect(0).shows("strict").shows(&format!("alive {mine}"));
    }
    assert_eq!(seen[0]["generation"], seen[1]["generation"], "it is one ring");
    wait_until("the sleep of a consumer without a record", || only(mine)["consumer"]["waiting"]["asleep"] == true);
    let name = seen[0]["name"].as_str().unwrap();
    run(&["stat", name], b"").expect(0).shows("strict spsc, memfd").shows(&format!("alive: process {theirs}"));
    // A look is all that there is for others: nothing is removed, taken or put into it.
    run(&["recover", name], b"").expect(4);
    run(&["rm", name], b"").expect(1).says("no name to remove");
    run(&["recv", name], b"").expect(4);
    run(&["send", name], b"x").expect(4);
    drop(peer);
    assert_eq!(only(mine)["consumer"]["state"], "dead");
    run(&["stat", name], b"").expect(0).shows(&format!("dead: process {theirs}; nobody can take its seat"));
    run(&["ls", "--pid", &theirs.to_string()], b"").expect(1);
    // And nothing of all that was felt.
    assert!(tx.try_send(1, b"still there").is_ok());
    drop(tx);
    let list = run(&["ls", "--pid", &mine.to_string(), "--json"], b"").expect(0).json();
    assert_eq!(list.as_array().unwrap().len(), 0, "{list}");
}
