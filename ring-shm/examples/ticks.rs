//! Two programs that share a struct: `ticks send NAME COUNT` and `ticks recv NAME COUNT`, in either order.
//!
//! A build for 32 bits and one for 64 understand each other: `ci/msrv.sh` lets them talk.

use std::error::Error;

use ring_shm::payload;
use ring_shm::spsc::{Options, TypedConsumer, TypedProducer};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

payload! {
    /// A trade, as both sides know it. Whoever changes a field here is refused by the programs of before.
    #[derive(Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
    struct Tick {
        price: u64,
        quantity: u32,
        side: u32,
    }
}

fn tick(n: u64) -> Tick {
    Tick { price: 10_000 + n * 3, quantity: n as u32, side: n as u32 % 2 }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [command, name, count] = arguments.as_slice() else { return Err("usage: ticks send|recv NAME COUNT".into()) };
    let (options, count) = (Options::new().capacity(1 << 14), count.parse()?);
    match command.as_str() {
        "send" => {
            let mut tx = TypedProducer::<Tick>::open_or_create(name, &options)?;
            for n in 0..count {
                tx.send(0, &tick(n))?;
            }
        }
        "recv" => {
            let mut rx = TypedConsumer::<Tick>::open_or_create(name, &options)?;
            for n in 0..count {
                let (got, _) = rx.recv()?;
                if got != tick(n) {
                    return Err(format!("tick {n} came as {got:?}").into());
                }
            }
            println!("{count} ticks received by a program of {} bits", usize::BITS);
        }
        other => return Err(format!("no command {other}: send or recv").into()),
    }
    Ok(())
}
