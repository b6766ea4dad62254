//! A service on tokio that is fed by another process: it answers each request on a TCP connection with what that process
//! has sent last. It starts the other process itself, so that one command shows all of it.
//!
//!     cargo run -p ring-shm --features async --example service

use std::process::{Command, ExitCode};
use std::time::Duration;

use ring_shm::spsc::{AsyncConsumer, Consumer, Options, Producer, RecvError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

type Failure = Box<dyn std::error::Error>;

/// Values that the other process sends before it leaves.
const COUNT: u64 = 100;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let result = match &args[1..] {
        [role, name] if role == "feed" => feed(name),
        _ => serve(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("service: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The other process: a plain one, without a runtime.
fn feed(name: &str) -> Result<(), Failure> {
    let mut tx = Producer::open(name)?;
    for value in 1..=COUNT {
        tx.send(0, &value.to_le_bytes())?;
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

#[tokio::main]
async fn serve() -> Result<(), Failure> {
    let name = format!("example-service-{}", std::process::id());
    let rx = Consumer::create(&name, &Options::new().capacity(1 << 12))?.into_async();
    let mut feeder = Command::new(std::env::current_exe()?).args(["feed", &name]).spawn()?;
    let (latest, values) = watch::channel(0);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let receives = tokio::spawn(receive(rx, latest));
    let serves = tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(answer(socket, values.clone()));
        }
    });
    let mut client = TcpStream::connect(address).await?;
    let mut asked = 0;
    loop {
        client.write_all(b"?").await?;
        let value = client.read_u64_le().await?;
        asked += 1;
        if value == COUNT {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    println!("asked {asked} times until the last of {COUNT} values was there");
    serves.abort();
    receives.await?.map_err(|error| error.to_string())?;
    feeder.wait()?;
    ring_shm::unlink(&name, true)?;
    Ok(())
}

/// Takes what comes until its sender leaves.
async fn receive(mut rx: AsyncConsumer, latest: watch::Sender<u64>) -> Result<(), RecvError> {
    let mut value = [0; 8];
    loop {
        match rx.recv_into(&mut value).await {
            Ok(_) => drop(latest.send(u64::from_le_bytes(value))),
            Err(RecvError::Disconnected) => return Ok(()),
            Err(error) => return Err(error), // PeerDied: a successor may go on where it was
        }
    }
}

async fn answer(mut socket: TcpStream, values: watch::Receiver<u64>) -> std::io::Result<()> {
    while socket.read_u8().await.is_ok() {
        let value = *values.borrow();
        socket.write_u64_le(value).await?;
    }
    Ok(())
}
