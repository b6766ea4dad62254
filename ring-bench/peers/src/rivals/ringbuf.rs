//! ringbuf's heap ring between two threads; batches by `push_iter` and by slices of what is there.

use crate::channel::{Batched, Ends, Rival};
use ring_bench::kit::{BatchRx, BatchTx, Fault, Place, Rx, Tx};
use ring_bench::message::message;
use ringbuf::traits::{Consumer, Observer, Producer, Split};
use ringbuf::{HeapCons, HeapProd, HeapRb};

pub(crate) enum Ringbuf {}

struct Sender<const W: usize>(HeapProd<[u64; W]>);
struct Receiver<const W: usize>(HeapCons<[u64; W]>);

impl<const W: usize> Tx<W> for Sender<W> {
    #[inline(always)]
    fn try_send(&mut self, message: &[u64; W]) -> bool {
        self.0.try_push(*message).is_ok()
    }
}

impl<const W: usize> Rx<W> for Receiver<W> {
    #[inline(always)]
    fn try_recv(&mut self, message: &mut [u64; W]) -> bool {
        let Some(words) = self.0.try_pop() else { return false };
        *message = words;
        true
    }
}

impl<const W: usize> BatchTx<W> for Sender<W> {
    #[inline(always)]
    fn try_send_batch(&mut self, first: u64, count: usize) -> bool {
        self.0.vacant_len() >= count && self.0.push_iter((first..).take(count).map(message::<W>)) == count
    }
}

impl<const W: usize> BatchRx<W> for Receiver<W> {
    #[inline(always)]
    fn try_recv_batch(
        &mut self,
        max: usize,
        mut each: impl FnMut(&[u64; W]) -> Result<(), Fault>,
    ) -> Result<usize, Fault> {
        let (first, second) = self.0.as_slices();
        let count = max.min(first.len() + second.len());
        first.iter().chain(second).take(count).try_for_each(&mut each)?;
        Ok(self.0.skip(count))
    }
}

impl Rival for Ringbuf {
    const NAME: &'static str = "ringbuf";
    const PLACE: Place = Place::Threads;

    fn ends<const W: usize>(bytes: usize) -> Result<Ends<impl Tx<W> + 'static, impl Rx<W> + 'static>, String> {
        let (tx, rx) = HeapRb::new(bytes / (8 * W)).split();
        Ok(Ends::ready(Sender(tx), Receiver(rx)))
    }
}

impl Batched for Ringbuf {
    fn batch_ends<const W: usize>(
        bytes: usize,
    ) -> Result<Ends<impl BatchTx<W> + 'static, impl BatchRx<W> + 'static>, String> {
        let (tx, rx) = HeapRb::new(bytes / (8 * W)).split();
        Ok(Ends::ready(Sender(tx), Receiver(rx)))
    }
}
