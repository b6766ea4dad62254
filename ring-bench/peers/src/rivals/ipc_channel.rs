//! ipc-channel's channel of bytes between processes: a socket inside, which has its own idea of capacity. Received by
//! polling; a sender that finds the socket full sleeps.

use crate::channel::{Ends, Rival};
use ipc_channel::ipc::{IpcBytesReceiver, IpcBytesSender, bytes_channel};
use ring_bench::kit::{Place, Rx, Tx};
use ring_bench::message::{bytes, words};

pub(crate) enum IpcChannel {}

struct Sender(IpcBytesSender);
struct Receiver(IpcBytesReceiver);

impl<const W: usize> Tx<W> for Sender {
    #[inline(always)]
    fn try_send(&mut self, message: &[u64; W]) -> bool {
        self.0.send(bytes(message)).is_ok()
    }
}

impl<const W: usize> Rx<W> for Receiver {
    #[inline(always)]
    fn try_recv(&mut self, message: &mut [u64; W]) -> bool {
        let Some(received) = self.0.try_recv().ok().as_deref().and_then(words) else { return false };
        *message = received;
        true
    }
}

impl Rival for IpcChannel {
    const NAME: &'static str = "ipc-channel";
    const PLACE: Place = Place::Processes;
    const TRIPS: u64 = 400;
    const THOUSANDS: u64 = 2;
    const SLEEPS: bool = true;

    fn ends<const W: usize>(_bytes: usize) -> Result<Ends<impl Tx<W> + 'static, impl Rx<W> + 'static>, String> {
        let (tx, rx) = bytes_channel().map_err(|why| why.to_string())?;
        Ok(Ends::ready(Sender(tx), Receiver(rx)))
    }
}
