//! Values of one type between two processes, awaited on both sides: orders go one way, answers come back. The thread that
//! awaits the answers has nothing else to run, so it is its own waiter; the one that answers is a task of a runtime.
//!
//!     cargo run -p ring-shm --features async --example orders

use std::process::Command;

use ring_shm::spsc::{Options, RecvError, TypedConsumer, TypedProducer};
use ring_shm::wait::block_on;
use ring_shm::{payload, unlink};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

payload! {
    #[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
    struct Order { id: u64, price: u64, quantity: u64 }
}
payload! {
    #[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
    struct Answer { id: u64, worth: u64 }
}

const ORDERS: u64 = 1000;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    if let (Some(orders), Some(answers)) = (args.next(), args.next()) {
        return exchange(&orders, &answers);
    }
    let names = ["orders", "answers"].map(|what| format!("example-{what}-{}", std::process::id()));
    let mut orders = TypedProducer::<Order>::create(&names[0], &Options::new())?.into_async();
    let mut answers = TypedConsumer::<Answer>::create(&names[1], &Options::new())?.into_async();
    let mut other = Command::new(std::env::current_exe()?).args(&names).spawn()?;
    let traded = block_on(async {
        let mut worth = 0;
        for id in 0..ORDERS {
            orders.send(0, &Order { id, price: 100 + id, quantity: 2 }).await?;
            let (answer, _) = answers.recv().await?;
            assert_eq!(answer.id, id);
            worth += answer.worth;
        }
        Ok::<u64, Failure>(worth)
    });
    drop(orders); // the end, for the other process
    let ended = other.wait()?;
    for name in &names {
        unlink(name, true)?;
    }
    println!("{ORDERS} orders, worth {}; the exchange {ended}", traded?);
    Ok(())
}

/// The other process.
#[tokio::main(flavor = "current_thread")]
async fn exchange(orders: &str, answers: &str) -> Result<(), Failure> {
    let mut orders = TypedConsumer::<Order>::open(orders)?.into_async();
    let mut answers = TypedProducer::<Answer>::open(answers)?.into_async();
    loop {
        match orders.recv().await {
            Ok((order, _)) => {
                let answer = Answer { id: order.id, worth: order.price * order.quantity };
                answers.send(0, &answer).await?;
            }
            Err(RecvError::Disconnected) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}
