//! One task that waits for a ring, a timer and a socket at once. A branch that loses is dropped, and has taken nothing.
//!
//!     cargo run -p ring-shm --features async --example select

use std::time::Duration;

use ring_shm::spsc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const MESSAGES: u32 = 50;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut tx, rx) = spsc::heap(1 << 10)?;
    let mut rx = rx.into_async();
    std::thread::spawn(move || {
        for tag in 0..MESSAGES {
            std::thread::sleep(Duration::from_millis(2));
            if tx.send(tag, b"message").is_err() {
                return;
            }
        }
    });

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut client = TcpStream::connect(listener.local_addr()?).await?;
    let (mut server, _) = listener.accept().await?;
    tokio::spawn(async move {
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(7)).await;
            if client.write_all(b"!").await.is_err() {
                return;
            }
        }
        std::future::pending::<()>().await;
    });

    let mut timer = tokio::time::interval(Duration::from_millis(5));
    let (mut next, mut ticks, mut bytes) = (0, 0, 0);
    loop {
        let mut buf = [0; 16];
        tokio::select! {
            received = rx.recv_into(&mut buf) => match received {
                Ok(message) => {
                    assert_eq!(message.tag, next); // none is lost to a branch that was dropped
                    next += 1;
                }
                Err(spsc::RecvError::Disconnected) => break,
                Err(error) => return Err(error.into()),
            },
            byte = server.read_u8() => {
                byte?;
                bytes += 1;
            }
            _ = timer.tick() => ticks += 1,
        }
    }
    assert_eq!(next, MESSAGES);
    println!("{next} messages, {ticks} ticks, {bytes} bytes");
    Ok(())
}
