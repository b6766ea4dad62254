//! Typed handles: what they send and receive, whom they refuse and with which words, and what stands in the ring.
#![allow(unsafe_code)]

mod support;
#[path = "support/tick.rs"]
mod tick;

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::{Duration, Instant};

use ring_shm::mpmc::{self, HeapRing};
use ring_shm::spsc::{self, TryRecvError, TrySendError};
use ring_shm::{Payload, PayloadType, SetupError, SetupErrorKind, Trusted, Untrusted, payload};
use support::{Backing, TestName, backing, child, say, skip_over, unique};
use tick::Tick;
use zerocopy::byteorder::{BigEndian, LittleEndian, U64};
use zerocopy::{FromBytes, FromZeros as _, Immutable, IntoBytes, KnownLayout};

const TICK: Tick = Tick { price: 0x0102_0304_0506_0708, quantity: 0x0a0b_0c0d, side: 1 };
const TICK_TEXT: &str = "Tick { price: u64 @0, quantity: u32 @8, side: u32 @12 } size 16 align 8";

/// As long as a `Tick`, and no `Tick`.
mod renamed {
    use super::*;
    payload! {
        #[derive(Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
        pub(super) struct Tick {
            pub(super) price: u64,
            pub(super) amount: u32,
            pub(super) side: u32,
        }
    }
}

/// The same fields in another order.
mod moved {
    use super::*;
    payload! {
        #[derive(Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
        pub(super) struct Tick {
            pub(super) quantity: u32,
            pub(super) side: u32,
            pub(super) price: u64,
        }
    }
}

/// The same names and offsets, with a number of another kind.
mod retyped {
    use super::*;
    payload! {
        #[derive(Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
        pub(super) struct Tick {
            pub(super) price: f64,
            pub(super) quantity: u32,
            pub(super) side: u32,
        }
    }
}

payload! {
    #[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
    struct Book {
        best: [Tick; 2],
        sequence: U64<LittleEndian>,
        venue: U64<BigEndian>,
        flags: [[u8; 3]; 4],
        depth: u16,
        zero: [u8; 2],
    }
}

payload! {
    #[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
    #[repr(packed)]
    struct Packed {
        kind: u8,
        price: u64,
    }
}

/// The only refusal that typed handles add.
fn refused<T>(result: Result<T, SetupError>) -> String {
    let error = result.err().expect("a ring of another type was opened");
    assert_eq!(error.kind(), SetupErrorKind::WrongType, "{error}");
    error.to_string()
}

#[test]
fn child_entry() {
    support::run_role(|role, args| match role {
        "spsc" => {
            let mut rx = spsc::TypedConsumer::<Tick>::open(&args[0]).unwrap();
            let (tick, received) = rx.recv().unwrap();
            assert_eq!((tick, received.tag), (TICK, 7));
            let wrong = refused(spsc::TypedProducer::<moved::Tick>::open(&args[0]));
            say(&wrong);
        }
        other => panic!("no role {other}"),
    });
}

#[test]
fn the_layout_is_stated_whole() {
    assert_eq!(Tick::TYPE.to_string(), TICK_TEXT);
    let book = format!(
        "Book {{ best: [{TICK_TEXT}; 2] @0, sequence: U64<LE> @32, venue: U64<BE> @40, flags: [[u8; 3]; 4] @48, \
         depth: u16 @60, zero: [u8; 2] @62 }} size 64 align 8"
    );
    assert_eq!(Book::TYPE.to_string(), book);
    assert_eq!(Packed::TYPE.to_string(), "Packed { kind: u8 @0, price: u64 @1 } size 9 align 1");
    assert_eq!(PayloadType::version::<[u16; 3]>("Triple", 120).to_string(), "Triple version 120 size 6");
    let fnv = |text: &str| {
        text.bytes().fold(0xcbf2_9ce4_8422_2325, |h: u64, b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3))
    };
    assert_eq!((Tick::TYPE.hash(), Book::TYPE.hash()), (fnv(TICK_TEXT), fnv(&book)));
    assert_eq!((Tick::TYPE.size(), Book::TYPE.size()), (16, 64));
}

#[test]
fn whatever_makes_two_layouts_different_shows_in_the_hash() {
    let others = [renamed::Tick::TYPE, moved::Tick::TYPE, retyped::Tick::TYPE, u64::TYPE, <[u64; 2]>::TYPE];
    for other in others {
        assert_ne!(other.hash(), Tick::TYPE.hash(), "{other}");
    }
    let two = |offsets: [usize; 2]| {
        PayloadType::fields::<[u64; 3]>("Two", &[("a", offsets[0], u64::TYPE), ("b", offsets[1], u64::TYPE)]).hash()
    };
    assert_ne!(two([0, 8]), two([0, 16]), "offsets");
    let fields = [("a", 0, u64::TYPE)];
    let (short, long) = (PayloadType::fields::<[u64; 1]>("S", &fields), PayloadType::fields::<[u64; 2]>("S", &fields));
    assert_ne!(short.hash(), long.hash(), "size");
    assert_ne!(short.hash(), PayloadType::fields::<[u8; 8]>("S", &fields).hash(), "alignment");
    let versions = [1, 2].map(|v| PayloadType::version::<Tick>("Tick", v).hash());
    assert_ne!(versions[0], versions[1]);
}

/// Forty fields of forty letters, twice; the second with another last field.
#[test]
fn a_long_description_is_cut_and_its_hash_is_not() {
    const NAME: &str = "a_name_that_is_longer_than_most_names_of";
    const fn long(last: &'static str) -> PayloadType {
        let mut fields = [(NAME, 0, u8::TYPE); 40];
        fields[39].0 = last;
        PayloadType::fields::<[u8; 40]>("Long", &fields)
    }
    let (one, other) = (long("x"), long("y"));
    assert_ne!(one.hash(), other.hash());
    let text = one.to_string();
    assert_eq!((text.len(), &text[999..]), (1016, &*format!("#{:016x}", one.hash())));
    // And what it is a part of depends on all of it.
    let part = |kind: &PayloadType| PayloadType::fields::<[u8; 40]>("Part", &[("long", 0, kind)]).hash();
    assert_ne!(part(&one), part(&other));
}

#[test]
fn values_go_through_a_segment_and_its_type_is_told() {
    let name = unique("typed-spsc");
    let mut tx = spsc::TypedProducer::<Tick>::create(name.as_str(), &spsc::Options::new()).unwrap();
    let mut peer = child("spsc", &[name.as_str()]);
    tx.send(7, &TICK).unwrap();
    let wrong = peer.next().unwrap();
    assert!(wrong.contains(TICK_TEXT) && wrong.contains(&moved::Tick::TYPE.to_string()), "{wrong}");
    assert!(wrong.contains(&format!("{:016x}", Tick::TYPE.hash())), "{wrong}");
    let seen = spsc::inspect(name.as_str()).unwrap().payload.unwrap();
    assert_eq!((seen.hash, seen.description.as_str()), (Tick::TYPE.hash(), TICK_TEXT));
    assert!(peer.finish().success());

    let name = unique("typed-mpmc");
    let options = mpmc::Options::new().slots(4).slot_size(500);
    let mut tx = mpmc::TypedProducer::<Tick>::create(name.as_str(), &options).unwrap();
    let mut rx = mpmc::TypedConsumer::<Tick>::open(name.as_str()).unwrap();
    assert_eq!(tx.get_ref().max_len(), 16);
    tx.try_send(7, &TICK).unwrap();
    let (tick, received) = rx.recv_timeout(Duration::from_secs(5)).unwrap();
    assert_eq!((tick, received.tag), (TICK, 7));
    let seen = mpmc::inspect(name.as_str()).unwrap().payload.unwrap();
    assert_eq!((seen.hash, seen.description.as_str()), (Tick::TYPE.hash(), TICK_TEXT));
}

#[test]
fn other_types_are_refused_by_both_sides_of_both_kinds() {
    let (one, many) = (unique("refuse-spsc"), unique("refuse-mpmc"));
    let (spsc, mpmc) = (spsc::Options::new().payload::<Tick>(), mpmc::Options::new().payload::<Tick>());
    spsc::create(one.as_str(), &spsc).unwrap();
    mpmc::create(many.as_str(), &mpmc).unwrap();
    let texts = [
        refused(spsc::TypedProducer::<renamed::Tick>::open(one.as_str())),
        refused(spsc::TypedConsumer::<renamed::Tick>::open(one.as_str())),
        refused(spsc::TypedProducer::<renamed::Tick>::open_or_create(one.as_str(), &spsc)),
        refused(spsc::TypedConsumer::<renamed::Tick>::open_or_create(one.as_str(), &spsc)),
        refused(mpmc::TypedProducer::<renamed::Tick>::open(many.as_str())),
        refused(mpmc::TypedConsumer::<renamed::Tick>::open(many.as_str())),
        refused(mpmc::TypedProducer::<renamed::Tick>::open_or_create(many.as_str(), &mpmc)),
        refused(mpmc::TypedConsumer::<renamed::Tick>::open_or_create(many.as_str(), &mpmc)),
    ];
    for text in texts {
        assert!(text.contains(TICK_TEXT) && text.contains("amount: u32 @8"), "{text}");
    }
    refused(spsc::TypedProducer::<retyped::Tick>::open(one.as_str()));
    refused(spsc::TypedProducer::<[u64; 2]>::open(one.as_str()));
    // A refusal takes no seat and leaves no lease.
    let seen = spsc::inspect(one.as_str()).unwrap();
    assert_eq!((seen.producer.state, seen.consumer.state), (ring_shm::SeatState::Never, ring_shm::SeatState::Never));
    assert_eq!(mpmc::inspect(many.as_str()).unwrap().members.len(), 0);
    drop(spsc::TypedProducer::<Tick>::open_or_create(one.as_str(), &spsc).unwrap());
    drop(mpmc::TypedProducer::<Tick>::open_or_create(many.as_str(), &mpmc).unwrap());

    let heap = HeapRing::new(&mpmc).unwrap();
    refused(heap.typed_producer::<u64>());
    refused(heap.typed_consumer::<u64>());
    refused(mpmc::heap(4, 16).unwrap().typed_producer::<Tick>());
}

#[test]
fn a_ring_of_bytes_is_no_ring_of_values() {
    let name = unique("bytes");
    spsc::create(name.as_str(), &spsc::Options::new()).unwrap();
    let text = refused(spsc::TypedConsumer::<Tick>::open(name.as_str()));
    assert!(text.contains("bytes of no stated type") && text.contains(TICK_TEXT), "{text}");
    assert_eq!(spsc::inspect(name.as_str()).unwrap().payload, None);
}

#[test]
fn handles_of_bytes_open_rings_of_values() {
    let name = unique("raw");
    let mut tx = spsc::TypedProducer::<Tick>::create(name.as_str(), &spsc::Options::new()).unwrap();
    tx.try_send(1, &TICK).unwrap();
    let mut rx = spsc::Consumer::open(name.as_str()).unwrap();
    let mut buf = [0; 16];
    rx.try_recv_into(&mut buf).unwrap();
    assert_eq!(buf, TICK.as_bytes());
}

#[test]
fn what_is_no_value_by_its_length_is_released_and_told() {
    let lengths = [0, 15, 17, 400];
    let (mut tx, mut rx) = spsc::typed_heap::<Tick>(1 << 14).unwrap();
    for len in lengths {
        for round in 0..3 {
            tx.get_mut().try_send(0, &vec![1; len]).unwrap();
            tx.try_send(1, &TICK).unwrap();
            let wrong = TryRecvError::WrongLength { len, expected: 16 };
            match round {
                0 => {
                    assert_eq!(rx.try_recv().unwrap_err(), wrong);
                    assert_eq!(rx.try_recv().unwrap().0, TICK);
                }
                1 => {
                    assert_eq!(rx.try_read().map(drop).unwrap_err(), wrong);
                    assert_eq!(*rx.read().unwrap(), TICK);
                }
                _ => {
                    assert_eq!(rx.recv().unwrap_err(), spsc::RecvError::WrongLength { len, expected: 16 });
                    assert_eq!(rx.recv().unwrap().0, TICK);
                }
            }
        }
    }
    assert_eq!((rx.try_recv().unwrap_err(), tx.get_ref().len_guess()), (TryRecvError::Empty, 0));

    // Slots that are longer than a value, as no typed creator makes them.
    let ring = HeapRing::new(&mpmc::Options::new().slots(8).payload::<Tick>().slot_size(400)).unwrap();
    let (mut tx, mut rx) = (ring.typed_producer::<Tick>().unwrap(), ring.typed_consumer::<Tick>().unwrap());
    for len in lengths {
        for round in 0..3 {
            tx.get_mut().try_send(0, &vec![1; len]).unwrap();
            tx.try_send(1, &TICK).unwrap();
            let wrong = mpmc::TryRecvError::WrongLength { len, expected: 16 };
            match round {
                0 => assert_eq!(rx.try_recv().unwrap_err(), wrong),
                1 => assert_eq!(rx.try_read().map(drop).unwrap_err(), wrong),
                _ => assert_eq!(rx.recv().unwrap_err(), mpmc::RecvError::WrongLength { len, expected: 16 }),
            }
            assert_eq!(rx.try_recv().unwrap().0, TICK);
        }
    }
    assert_eq!(rx.try_recv().unwrap_err(), mpmc::TryRecvError::Empty);
    let ring = HeapRing::new(&mpmc::Options::new().slots(8).slot_size(400).payload::<Tick>()).unwrap();
    let longer = mpmc::TrySendError::TooLong { len: 17, max: 16 };
    let mut tx = ring.typed_producer::<Tick>().unwrap();
    assert_eq!(tx.get_mut().try_send(0, &[0; 17]), Err(longer), "a slot is as long as a value");
}

fn in_place(tx: &mut spsc::TypedProducer<Tick, Trusted>, rx: &mut spsc::TypedConsumer<Tick, Trusted>) {
    let mut claim = tx.try_claim().unwrap();
    claim.set_tag(9);
    *claim = TICK;
    claim.quantity += 1;
    let position = claim.commit();
    let record = rx.try_read().unwrap();
    assert_eq!((record.quantity, record.tag(), record.position()), (0x0a0b_0c0e, 9, position));
    assert_eq!(std::ptr::from_ref(&*record).addr() % 8, 0);
    record.keep();
    assert_eq!(rx.try_read().unwrap().get().price, TICK.price);

    // `set` after writing in place, and in place after `set`: the last word counts.
    for last in [true, false] {
        let mut claim = tx.try_claim().unwrap();
        if !last {
            claim.set(&Tick { price: 2, ..TICK });
        }
        claim.price = 1;
        if last {
            claim.set(&Tick { price: 2, ..TICK });
        }
        claim.commit();
        assert_eq!(rx.try_read().unwrap().price, if last { 2 } else { 1 });
    }
    tx.try_claim().unwrap().abort();
    drop(tx.try_claim().unwrap());
    assert!(rx.try_read().is_err());
}

#[test]
fn values_are_lent_in_place_where_peers_are_trusted() {
    let (mut tx, mut rx) = spsc::typed_heap::<Tick>(1 << 12).unwrap();
    in_place(&mut tx, &mut rx);
    let name = unique("in-place");
    let tx = spsc::TypedProducer::<Tick>::create(name.as_str(), &spsc::Options::new().line_aligned(true)).unwrap();
    let rx = spsc::TypedConsumer::<Tick>::open(name.as_str()).unwrap();
    // SAFETY: both ends are this test's, and nobody else knows the name.
    let mut tx = unsafe { tx.trust_peers() };
    // SAFETY: as above.
    let mut rx = unsafe { rx.trust_peers() };
    in_place(&mut tx, &mut rx);

    let ring = HeapRing::new(&mpmc::Options::new().payload::<Book>()).unwrap();
    let (mut tx, mut rx) = (ring.typed_producer::<Book>().unwrap(), ring.typed_consumer::<Book>().unwrap());
    for n in 0..2000 {
        let mut claim = tx.try_claim().unwrap();
        claim.set(&Book::new_zeroed());
        claim.best[1].price = n;
        claim.commit();
        let record = rx.try_read().unwrap();
        assert_eq!((record.best[1].price, record.best[0].price, record.redelivered()), (n, 0, false));
        drop(record);
        let mut claim = tx.try_claim().unwrap();
        claim.depth = 1;
        claim.set(&Book { depth: 2, ..Book::new_zeroed() });
        claim.commit();
        assert_eq!(rx.try_read().unwrap().depth, 2, "the last word counts");
    }
}

#[test]
fn claims_of_who_trusts_nobody_are_written_by_value() {
    let name = unique("set");
    let mut tx = spsc::TypedProducer::<Tick>::create(name.as_str(), &spsc::Options::new()).unwrap();
    let mut rx: spsc::TypedConsumer<Tick, Untrusted> = spsc::TypedConsumer::open(name.as_str()).unwrap();
    let mut claim = tx.claim().unwrap();
    claim.set(&Tick { price: 1, ..TICK });
    claim.set(&TICK);
    claim.commit();
    assert_eq!(rx.read_deadline(Instant::now()).unwrap().get(), TICK);
    tx.claim_timeout(Duration::ZERO).unwrap().commit();
    assert_eq!(rx.read_timeout(Duration::ZERO).unwrap().get(), Tick::new_zeroed(), "nothing written, nothing leaked");
}

#[test]
fn a_capacity_that_no_value_fits_is_refused() {
    type Big = [u64; 100];
    let name = unique("small");
    let create = |bytes| spsc::TypedProducer::<Big>::create(name.as_str(), &spsc::Options::new().capacity(bytes));
    assert_eq!(create(1024).unwrap_err().kind(), SetupErrorKind::Invalid);
    assert!(create(1024).unwrap_err().to_string().contains("2048"));
    assert!(!name.path().exists() || backing() == Backing::Memfd);
    let mut tx = create(2048).unwrap();
    tx.try_send(0, &[7; 100]).unwrap();
    assert!(spsc::typed_heap::<Big>(1024).is_err());
    tx.try_send(0, &[7; 100]).unwrap();
    assert_eq!(tx.try_send(0, &[7; 100]), Err(TrySendError::Full));
}

/// Whether a ring cannot be put there byte by byte.
fn only_by_its_creator() -> bool {
    skip_over(Backing::Memfd, "is sealed") || skip_over(Backing::Sysv, "is no file")
}

/// Puts a golden ring of ring-core's where rings are.
fn golden(file: &str) -> TestName {
    let name = unique(file);
    let path = format!("{}/../ring-core/tests/golden/v1/{file}.ring", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(path).unwrap();
    let mut segment = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(name.path()).unwrap();
    segment.write_all(&bytes).unwrap();
    name
}

#[test]
fn golden_rings_are_opened_by_the_handles_of_today() {
    if only_by_its_creator() {
        return;
    }
    let name = golden("spsc-records");
    let mut rx = spsc::Consumer::open(name.as_str()).unwrap();
    let mut buf = [0; 256];
    let got: Vec<_> = (0..3).map(|_| rx.try_recv_into(&mut buf).map(|r| (r.tag, r.len, r.redelivered))).collect();
    assert_eq!(got, [Ok((2, 4, true)), Ok((3, 0, false)), Ok((4, 100, false))]);
    let end = std::iter::repeat_with(|| rx.try_recv_into(&mut buf)).find(|got| *got != Err(TryRecvError::Empty));
    assert_eq!(end, Some(Err(TryRecvError::PeerDied)));
    spsc::Producer::open(name.as_str()).unwrap().try_send(5, b"goes on").unwrap();
    assert_eq!(rx.recv_into(&mut buf).unwrap().tag, 5);

    let name = golden("spsc-typed");
    let (tick, received) = spsc::TypedConsumer::<Tick>::open(name.as_str()).unwrap().try_recv().unwrap();
    assert_eq!((tick, received.tag), (TICK, 7));
    refused(spsc::TypedConsumer::<moved::Tick>::open(name.as_str()));

    let name = golden("mpmc-records");
    let (_, released) = mpmc::recover(name.as_str(), None).unwrap();
    assert_eq!(released.len(), 3);
    let mut rx = mpmc::Consumer::open(name.as_str()).unwrap();
    assert_eq!([5, 3].map(|_| rx.try_recv_into(&mut buf).unwrap().tag), [5, 3]);

    let name = golden("mpmc-typed");
    let (tick, received) = mpmc::TypedConsumer::<Tick>::open(name.as_str()).unwrap().try_recv().unwrap();
    assert_eq!((tick, received.tag), (TICK, 7));

    let name = golden("mpmc-closed");
    let mut rx = mpmc::Consumer::open(name.as_str()).unwrap();
    assert_eq!(rx.recv_into(&mut buf).unwrap().tag, 1);
    assert_eq!(rx.recv_into(&mut buf), Err(mpmc::RecvError::Disconnected));
}

/// A creator that lies about its type, or would like to write on the looker's terminal.
#[test]
fn a_description_is_shown_as_text_and_nothing_else() {
    if only_by_its_creator() {
        return;
    }
    let name = golden("spsc-typed");
    let mut bytes = std::fs::read(name.path()).unwrap();
    bytes[3072..3084].copy_from_slice(b"\x1b[2J\n\xff\xc3\xb6xyz\x07");
    std::fs::write(name.path(), &bytes).unwrap();
    let shown = spsc::inspect(name.as_str()).unwrap().payload.unwrap().description;
    assert!(shown.starts_with("\\u{1b}[2J\\n\u{fffd}öxyz\\u{7}"), "{shown}");
    let text = refused(spsc::TypedProducer::<moved::Tick>::open(name.as_str()));
    assert!(!text.contains('\u{1b}'), "{text}");
    bytes[3072..4096].fill(0);
    std::fs::write(name.path(), &bytes).unwrap();
    assert!(refused(spsc::TypedProducer::<u64>::open(name.as_str())).contains("without a description"));
    assert!(spsc::TypedConsumer::<Tick>::open(name.as_str()).is_ok(), "the hash decides");
}
