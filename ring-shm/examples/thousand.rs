//! A thousand rings on one runtime of one thread: each has a task that awaits it, and costs next to nothing while it is
//! empty.
//!
//!     cargo run --release -p ring-shm --features async --example thousand

use std::time::{Duration, Instant};

use ring_shm::spsc;

const RINGS: usize = 1000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut producers, mut tasks) = (Vec::new(), Vec::new());
    for _ in 0..RINGS {
        let (tx, rx) = spsc::heap(256)?;
        let mut rx = rx.into_async();
        producers.push(tx);
        tasks.push(tokio::spawn(async move {
            let mut received = 0_u32;
            while rx.recv_into(&mut [0; 8]).await.is_ok() {
                received += 1;
            }
            received // until the producer leaves
        }));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let threads = std::fs::read_dir("/proc/self/task")?.count();

    let start = Instant::now();
    let sends = std::thread::spawn(move || {
        for tx in &mut producers {
            for tag in 0..10 {
                if tx.send(tag, &[0; 8]).is_err() {
                    return;
                }
            }
        }
    });
    let mut received = 0;
    for task in tasks {
        received += task.await?;
    }
    sends.join().map_err(|_| "the sender panicked")?;
    println!("{RINGS} rings, {threads} threads in all; {received} messages to idle tasks in {:?}", start.elapsed());
    Ok(())
}
