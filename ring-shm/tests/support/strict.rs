//! Strict rings for tests: two handles of one process, or one each of two that meet at the path of a socket.
#![allow(dead_code, unreachable_pub)]

use std::io::ErrorKind;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use ring_shm::SetupError;
use ring_shm::spsc::{Consumer, Options, Producer};

/// How long a hand-over may take. Long, because the machine may be busy with other things.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Two ends of a hand-over that is tried, whatever comes of it.
pub fn try_pair(options: &Options) -> (Result<Producer, SetupError>, Result<Consumer, SetupError>) {
    let (here, there) = UnixStream::pair().unwrap();
    thread::scope(|s| {
        let consumer = s.spawn(move || Consumer::open_strict(&there, PATIENCE));
        let producer = Producer::create_strict(&here, options, PATIENCE);
        drop(here);
        (producer, consumer.join().unwrap())
    })
}

/// Both handles of a ring.
pub fn pair(options: &Options) -> (Producer, Consumer) {
    let (tx, rx) = try_pair(options);
    (tx.unwrap(), rx.unwrap())
}

/// The producer of the ring whose consumer comes to the socket `path` too, sooner or later.
pub fn producer(path: &str, options: &Options) -> Producer {
    Producer::create_strict(&meet(path), options, PATIENCE).unwrap()
}

/// The consumer of the ring whose producer comes there too.
pub fn consumer(path: &str) -> Consumer {
    Consumer::open_strict(&meet(path), PATIENCE).unwrap()
}

/// A connection between the first two who come to `path`.
pub fn meet(path: &str) -> UnixStream {
    let path = Path::new(path.strip_prefix("file:").unwrap_or(path));
    match UnixListener::bind(path) {
        Ok(listener) => listener.accept().unwrap().0,
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            // Between bind and listen it is there, and refuses.
            let start = Instant::now();
            loop {
                match UnixStream::connect(path) {
                    Ok(socket) => return socket,
                    Err(error) => assert!(start.elapsed() < PATIENCE, "{error}"),
                }
                thread::sleep(Duration::from_millis(1));
            }
        }
        Err(error) => panic!("{}: {error}", path.display()),
    }
}

/// What most of these tests use.
pub fn options() -> Options {
    Options::new().capacity(4096)
}

/// A path that nobody else uses; short, as a socket's must be.
pub fn unique_path(tag: &str) -> String {
    format!("{}/{}", env!("CARGO_TARGET_TMPDIR"), super::support::unique(tag).as_str())
}
