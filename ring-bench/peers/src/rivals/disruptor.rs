//! disruptor between two threads: a single producer and an event poller; batches by `try_batch_publish` and `take`.

use crate::channel::{Batched, Ends, Rival};
use disruptor::{BusySpin, EventPoller, Producer, SingleConsumerBarrier, SingleProducer, SingleProducerBarrier};
use ring_bench::kit::{BatchRx, BatchTx, Fault, Place, Rx, Tx};
use ring_bench::message::message;

pub(crate) enum Disruptor {}

struct Sender<const W: usize>(SingleProducer<[u64; W], SingleConsumerBarrier>);
struct Receiver<const W: usize>(EventPoller<[u64; W], SingleProducerBarrier>);

impl<const W: usize> Tx<W> for Sender<W> {
    #[inline(always)]
    fn try_send(&mut self, message: &[u64; W]) -> bool {
        self.0.try_publish(|event| *event = *message).is_ok()
    }
}

impl<const W: usize> Rx<W> for Receiver<W> {
    #[inline(always)]
    fn try_recv(&mut self, message: &mut [u64; W]) -> bool {
        let Ok(mut events) = self.0.take(1) else { return false };
        let Some(event) = (&mut events).next() else { return false };
        *message = *event;
        true
    }
}

impl<const W: usize> BatchTx<W> for Sender<W> {
    #[inline(always)]
    fn try_send_batch(&mut self, first: u64, count: usize) -> bool {
        let sent = self.0.try_batch_publish(count, |events| {
            for (event, number) in events.zip(first..) {
                *event = message::<W>(number);
            }
        });
        sent.is_ok()
    }
}

impl<const W: usize> BatchRx<W> for Receiver<W> {
    #[inline(always)]
    fn try_recv_batch(
        &mut self,
        max: usize,
        mut each: impl FnMut(&[u64; W]) -> Result<(), Fault>,
    ) -> Result<usize, Fault> {
        let Ok(mut events) = self.0.take(max as u64) else { return Ok(0) };
        let mut count = 0;
        for event in &mut events {
            each(event)?;
            count += 1;
        }
        Ok(count)
    }
}

fn pair<const W: usize>(bytes: usize) -> (Sender<W>, Receiver<W>) {
    let builder = disruptor::build_single_producer(bytes / (8 * W), || [0; W], BusySpin);
    let (poller, builder) = builder.new_event_poller();
    (Sender(builder.build()), Receiver(poller))
}

impl Rival for Disruptor {
    const NAME: &'static str = "disruptor";
    const PLACE: Place = Place::Threads;

    fn ends<const W: usize>(bytes: usize) -> Result<Ends<impl Tx<W> + 'static, impl Rx<W> + 'static>, String> {
        let (tx, rx) = pair::<W>(bytes);
        Ok(Ends::ready(tx, rx))
    }
}

impl Batched for Disruptor {
    fn batch_ends<const W: usize>(
        bytes: usize,
    ) -> Result<Ends<impl BatchTx<W> + 'static, impl BatchRx<W> + 'static>, String> {
        let (tx, rx) = pair::<W>(bytes);
        Ok(Ends::ready(tx, rx))
    }
}
