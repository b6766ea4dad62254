//! iceoryx2, publish and subscribe between processes: one publisher, one subscriber, nothing dropped (no overflow, the
//! publisher waits for room), polled; messages written into a loan, payloads filled and read in it.
//!
//! Its files bear a prefix and lie under a folder of this run, which `main` removes: a peer that is killed at the end
//! leaves its own behind.
#![allow(unsafe_code)]
//!
//! # Safety
//!
//! 1. An end is made in the thread that uses it and never leaves it; `Send` is asked for by the seam alone.

use crate::channel::{Ends, Rival, payload_entry};
use crate::litter;
use crate::scenario::{Entry, Scenario};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::prelude::*;
use iceoryx2::service::port_factory::publish_subscribe::PortFactory;
use ring_bench::kit::{Fault, PAYLOAD_BYTES, PayloadRx, PayloadTx, Place, Rx, Tx};
use std::cell::OnceCell;

pub(crate) enum Iceoryx2 {}

type Words<const W: usize> = [u64; W];

/// A port, and the node that must outlive it.
struct Port<P>(P);

// SAFETY: 1.
unsafe impl<P> Send for Port<P> {}

fn failed(why: impl core::fmt::Debug) -> Fault {
    Fault::Setup(format!("{why:?}"))
}

/// This thread's node; the driver and each peer process have one.
fn node<T>(with: impl FnOnce(&Node<ipc::Service>) -> Result<T, Fault>) -> Result<T, Fault> {
    thread_local!(static NODE: OnceCell<Node<ipc::Service>> = const { OnceCell::new() });
    NODE.with(|cell| {
        if cell.get().is_none() {
            set_log_level(LogLevel::Fatal);
            let mut config = Config::default();
            config.global.prefix = FileName::new(litter::prefix().as_bytes()).map_err(failed)?;
            config.global.set_root_path(&Path::new(litter::folder().as_bytes()).map_err(failed)?);
            // The other party's node is no business of this one.
            config.global.node.cleanup_dead_nodes_on_creation = false;
            config.global.node.cleanup_dead_nodes_on_destruction = false;
            let node = NodeBuilder::new().config(&config).create::<ipc::Service>().map_err(failed)?;
            let _ = cell.set(node);
        }
        with(cell.get().ok_or_else(|| failed("no node"))?)
    })
}

fn fresh() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("peers/{}", NEXT.fetch_add(1, Relaxed))
}

fn service<const W: usize>(name: &str, slots: usize) -> Result<PortFactory<ipc::Service, Words<W>, ()>, Fault> {
    node(|node| {
        node.service_builder(&name.try_into().map_err(failed)?)
            .publish_subscribe::<Words<W>>()
            .enable_safe_overflow(false)
            .subscriber_max_buffer_size(slots)
            .subscriber_max_borrowed_samples(2)
            .history_size(0)
            .max_publishers(1)
            .max_subscribers(1)
            .open_or_create()
            .map_err(failed)
    })
}

struct Sender<const W: usize>(Port<Publisher<ipc::Service, Words<W>, ()>>);
struct Receiver<const W: usize>(Port<Subscriber<ipc::Service, Words<W>, ()>>);

impl<const W: usize> Tx<W> for Sender<W> {
    #[inline(always)]
    fn try_send(&mut self, message: &[u64; W]) -> bool {
        let Ok(sample) = self.0.0.loan_uninit() else { return false };
        sample.write_payload(*message).send().is_ok_and(|receivers| receivers == 1)
    }
}

impl<const W: usize> Rx<W> for Receiver<W> {
    #[inline(always)]
    fn try_recv(&mut self, message: &mut [u64; W]) -> bool {
        let Ok(Some(sample)) = self.0.0.receive() else { return false };
        *message = *sample.payload();
        true
    }
}

impl<const W: usize> PayloadTx for Sender<W> {
    #[inline(always)]
    fn try_fill(&mut self, fill: impl FnOnce(&mut [u64])) -> bool {
        let Ok(mut sample) = self.0.0.loan_uninit() else { return false };
        // SAFETY: words, of which every one is about to be written; any bits are valid ones.
        fill(unsafe { sample.payload_mut().assume_init_mut() });
        // SAFETY: just written.
        let sample = unsafe { sample.assume_init() };
        sample.send().is_ok_and(|receivers| receivers == 1)
    }
}

impl<const W: usize> PayloadRx for Receiver<W> {
    #[inline(always)]
    fn try_show(&mut self, each: impl FnOnce(&[u64])) -> bool {
        let Ok(Some(sample)) = self.0.0.receive() else { return false };
        each(sample.payload());
        true
    }
}

fn ends<const W: usize>(bytes: usize) -> Ends<Sender<W>, Receiver<W>> {
    let (name, slots) = (fresh(), bytes / (8 * W));
    let other = name.clone();
    let tx = move || {
        let service = service::<W>(&name, slots)?;
        let publisher = service.publisher_builder();
        let publisher = publisher.backpressure_strategy(BackpressureStrategy::RetryUntilDelivered);
        Ok(Sender(Port(publisher.max_loaned_samples(2).create().map_err(failed)?)))
    };
    let rx = move || {
        let service = service::<W>(&other, slots)?;
        let subscriber = service.subscriber_builder();
        Ok(Receiver(Port(subscriber.buffer_size(slots).create().map_err(failed)?)))
    };
    Ends { tx: Box::new(tx), rx: Box::new(rx) }
}

impl Rival for Iceoryx2 {
    const NAME: &'static str = "iceoryx2";
    const PLACE: Place = Place::Processes;
    const TRIPS: u64 = 1_000;
    const THOUSANDS: u64 = 10;

    fn ends<const W: usize>(bytes: usize) -> Result<Ends<impl Tx<W> + 'static, impl Rx<W> + 'static>, String> {
        Ok(ends::<W>(bytes))
    }
}

/// Whole payloads.
pub(crate) fn payloads() -> Vec<Entry> {
    fn payload<const W: usize>(scenario: Scenario, count: u64) -> Entry {
        payload_entry(scenario, Iceoryx2::NAME, 8 * W, count, || Ok(ends::<W>(PAYLOAD_BYTES)))
    }
    vec![
        payload::<128>(Scenario::Payload1k, 8192),
        payload::<8192>(Scenario::Payload64k, 128),
        payload::<131_072>(Scenario::Payload1m, 16),
    ]
}
