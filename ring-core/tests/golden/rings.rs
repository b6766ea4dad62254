//! The rings whose bytes stand in `ring-core/tests/golden/v1`, made anew. Everything in them is given: generations, leases
//! and who holds them; so each build of each width writes the same bytes.
#![allow(clippy::disallowed_types, unsafe_code, dead_code, unreachable_pub)]

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use ring_core::{Line, Region, Role, Verdict, mpmc, spsc};

/// The description of the payload type in the typed rings, as `ring_shm::payload!` writes it.
pub const TYPE_TEXT: &str = "Tick { price: u64 @0, quantity: u32 @8, side: u32 @12 } size 16 align 8";

/// Its hash: FNV-1a (64 bit) of the text.
pub fn type_hash() -> u64 {
    TYPE_TEXT.bytes().fold(0xcbf2_9ce4_8422_2325, |h: u64, b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// Every golden ring: the name of its file, and its bytes.
pub fn all() -> [(&'static str, Vec<u8>); 10] {
    [
        ("spsc-empty", spsc_empty()),
        ("spsc-records", spsc_records()),
        ("spsc-closed", spsc_closed()),
        ("spsc-typed", spsc_typed()),
        ("spsc-strict", spsc_strict()),
        ("spsc-train", spsc_train()),
        ("mpmc-empty", mpmc_empty()),
        ("mpmc-records", mpmc_records()),
        ("mpmc-closed", mpmc_closed()),
        ("mpmc-typed", mpmc_typed()),
    ]
}

/// Memory for a ring of `len` bytes, zeroed.
pub fn lines(len: u64) -> Vec<Line> {
    (0..len.div_ceil(128)).map(|_| Line::new()).collect()
}

/// The words of `memory`.
pub fn words(memory: &[Line]) -> &[AtomicU64] {
    // SAFETY: a `Line` is 16 atomic words.
    unsafe { std::slice::from_raw_parts(memory.as_ptr().cast(), memory.len() * 16) }
}

/// The first `len` bytes of `memory`.
pub fn bytes(memory: &[Line], len: u64) -> Vec<u8> {
    words(memory).iter().take(len as usize / 8).flat_map(|word| word.load(Relaxed).to_le_bytes()).collect()
}

/// Memory that holds `bytes`.
pub fn memory(bytes: &[u8]) -> Vec<Line> {
    let memory = lines(bytes.len() as u64);
    for (word, chunk) in words(&memory).iter().zip(bytes.chunks_exact(8)) {
        word.store(u64::from_le_bytes(chunk.try_into().unwrap()), Relaxed);
    }
    memory
}

const GENERATION: u64 = 0x0123_4567_89ab_cdef;

fn spsc_format() -> spsc::Format {
    spsc::Format::new(256).generation(GENERATION)
}

fn mpmc_format() -> mpmc::Format {
    mpmc::Format::new(4, 24).participants(4).producers(3).consumers(3).generation(GENERATION)
}

/// Who a participant is: nobody that a test could meet.
fn facts(lease: u64) -> spsc::SeatFacts {
    spsc::SeatFacts { pid: 1000 + lease, start_time: 77, boot: 0xb007, pid_namespace: 0xf000_0000 }
}

fn make_spsc(format: &spsc::Format, fill: impl FnOnce(&spsc::Ring<'_>)) -> Vec<u8> {
    let memory = lines(format.footprint());
    fill(&spsc::Ring::format(Region::new(&memory), format).unwrap());
    bytes(&memory, format.footprint())
}

fn make_mpmc(format: &mpmc::Format, fill: impl FnOnce(&mpmc::Ring<'_>)) -> Vec<u8> {
    let memory = lines(format.footprint());
    fill(&mpmc::Ring::format(Region::new(&memory), format).unwrap());
    bytes(&memory, format.footprint())
}

fn sit_producer<'m>(ring: &spsc::Ring<'m>) -> spsc::Producer<'m> {
    let lease = ring.next_lease().unwrap();
    let handle = ring.sit_producer(lease, |_| Verdict::Alive).unwrap();
    ring.set_facts(Role::Producer, lease, facts(lease));
    handle
}

fn sit_consumer<'m>(ring: &spsc::Ring<'m>) -> spsc::Consumer<'m> {
    let lease = ring.next_lease().unwrap();
    let handle = ring.sit_consumer(lease, |_| Verdict::Alive).unwrap();
    ring.set_facts(Role::Consumer, lease, facts(lease));
    handle
}

fn join_producer<'m>(ring: &mpmc::Ring<'m>) -> mpmc::Producer<'m> {
    let handle = ring.join_producer(ring.next_lease().unwrap(), |_| Verdict::Alive).unwrap();
    handle.set_facts(facts(handle.lease()));
    handle
}

fn join_consumer<'m>(ring: &mpmc::Ring<'m>) -> mpmc::Consumer<'m> {
    let handle = ring.join_consumer(ring.next_lease().unwrap(), |_| Verdict::Alive).unwrap();
    handle.set_facts(facts(handle.lease()));
    handle
}

/// A ring that nobody has used.
fn spsc_empty() -> Vec<u8> {
    make_spsc(&spsc_format(), |_| {})
}

/// Both have been there and have died in their seats. One record was released; three are unread, one of them behind a
/// padding record, and the first of them was seen.
fn spsc_records() -> Vec<u8> {
    make_spsc(&spsc_format(), |ring| {
        let (mut tx, mut rx) = (sit_producer(ring), sit_consumer(ring));
        tx.try_send(1, &[0x11; 120]).unwrap();
        assert_eq!(rx.try_recv_into(&mut [0; 120]).unwrap().tag, 1);
        tx.try_send(2, b"seen").unwrap();
        tx.try_send(3, &[]).unwrap();
        tx.try_send(4, &[0x44; 100]).unwrap(); // does not fit before the end
        rx.try_read().unwrap().keep();
    })
}

/// A train of five records in the middle of the data area, of which two were released and a third was seen; behind it a plain record and
/// another train. Both have died.
fn spsc_train() -> Vec<u8> {
    make_spsc(&spsc::Format::new(1024).generation(GENERATION), |ring| {
        let (mut tx, mut rx) = (sit_producer(ring), sit_consumer(ring));
        tx.try_send(1, &[0x11; 16]).unwrap();
        let mut batch = tx.try_claim_batch_exact(9, 16).unwrap();
        batch.push_each(7, (1..=5).map(|n| [n; 9])).unwrap();
        batch.push(8, b"between").unwrap();
        batch.push_each(9, (1..=3).map(|n| [n; 16])).unwrap();
        batch.commit();
        for tag in [1, 7, 7] {
            assert_eq!(rx.try_recv_into(&mut [0; 16]).unwrap().tag, tag);
        }
        rx.try_read().unwrap().keep();
    })
}

/// The three objects of a strict ring of a type, one behind the other: the producer's, the common one, the consumer's.
/// Both sides have made what is theirs, the producer sits.
fn spsc_strict() -> Vec<u8> {
    let format = spsc_format().type_hash(type_hash()).type_text(TYPE_TEXT.as_bytes());
    let len = spsc::strict::footprint(&format);
    let here = lines(len);
    let ring = spsc::Ring::format_strict(spsc::strict::ProducerParts::new(&here), &format).unwrap();
    ring.sit_producer(1, |_| Verdict::Alive).unwrap();
    ring.set_facts(Role::Producer, 1, facts(1));
    let here = bytes(&here, len);
    let (own, common, rest) = (&here[..4096], &here[4096..8192], &here[12288..]);
    let there = strict_consumer(&[own, rest].concat(), common);
    spsc::Ring::attach_strict(spsc::strict::ConsumerParts::new(&there)).unwrap();
    [own, rest, common, &bytes(&there, 4096)].concat()
}

/// What the consumer maps, for a page of its own of zeros.
pub fn strict_consumer(producers: &[u8], common: &[u8]) -> Vec<Line> {
    memory(&[&[0; 4096], common, producers].concat())
}

/// Two producers have closed in order, each after a record, so that a session mark stands between the two; the consumer
/// came first, and left.
fn spsc_closed() -> Vec<u8> {
    make_spsc(&spsc_format(), |ring| {
        sit_consumer(ring).close();
        for (tag, text) in [(1, "the first session"), (2, "the second session")] {
            let mut tx = sit_producer(ring);
            tx.try_send(tag, text.as_bytes()).unwrap();
            tx.close();
        }
    })
}

/// A ring of `Tick`s with the options that only SPSC has, and one in it.
fn spsc_typed() -> Vec<u8> {
    let format =
        spsc_format().line_aligned(true).release_every(64).type_hash(type_hash()).type_text(TYPE_TEXT.as_bytes());
    make_spsc(&format, |ring| {
        sit_producer(ring).try_send(7, &tick()).unwrap();
    })
}

/// A `Tick` of price 0x0102030405060708, quantity 0x0a0b0c0d and side 1.
fn tick() -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&0x0102_0304_0506_0708_u64.to_le_bytes());
    bytes[8..12].copy_from_slice(&0x0a0b_0c0d_u32.to_le_bytes());
    bytes[12..].copy_from_slice(&1_u32.to_le_bytes());
    bytes
}

/// A ring that nobody has used.
fn mpmc_empty() -> Vec<u8> {
    make_mpmc(&mpmc_format(), |_| {})
}

/// Two producers and a consumer, all dead in their places. Of six messages the first two were released; a third was
/// given back to the ring; one claim was aborted.
fn mpmc_records() -> Vec<u8> {
    make_mpmc(&mpmc_format(), |ring| {
        let (mut a, mut b, mut rx) = (join_producer(ring), join_producer(ring), join_consumer(ring));
        a.try_send(1, b"one").unwrap();
        b.try_send(2, &[]).unwrap();
        for tag in [1, 2] {
            assert_eq!(rx.try_recv_into(&mut [0; 24]).unwrap().tag, tag);
        }
        a.try_send(3, &[0x33; 24]).unwrap();
        b.try_claim(8).unwrap().abort();
        b.try_send(5, b"in the second lap").unwrap();
        let record = rx.try_read().unwrap();
        assert_eq!(record.tag(), 3);
        record.keep();
    })
}

/// Closed, with one message unread and everybody gone in order.
fn mpmc_closed() -> Vec<u8> {
    make_mpmc(&mpmc_format(), |ring| {
        let (mut tx, rx) = (join_producer(ring), join_consumer(ring));
        tx.try_send(1, b"the last").unwrap();
        tx.close();
        tx.leave();
        rx.leave();
    })
}

/// A ring of `Tick`s for one producer and one consumer that delivers at most once, and one in it.
fn mpmc_typed() -> Vec<u8> {
    let format = mpmc::Format::new(4, 16)
        .participants(2)
        .producers(1)
        .consumers(1)
        .redelivery(mpmc::Redelivery::AtMostOnce)
        .generation(GENERATION)
        .type_hash(type_hash())
        .type_text(TYPE_TEXT.as_bytes());
    make_mpmc(&format, |ring| {
        join_producer(ring).try_send(7, &tick()).unwrap();
    })
}
