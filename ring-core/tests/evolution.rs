//! What versions may do to each other: the three kinds of feature bits, for those who work on a ring and for those who
//! only look; other versions and reserved words; the description of the payload type, of which nothing depends.
#![cfg(not(loom))]
#![allow(clippy::disallowed_types, unsafe_code)]

use std::mem::offset_of;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use ring_core::{AttachError, Field, Identity, Line, Region, TYPE_TEXT_LEN, TYPE_TEXT_OFFSET, mpmc, spsc};

/// A ring of either kind.
struct Home {
    memory: Vec<Line>,
    is_mpmc: bool,
}

impl Home {
    fn spsc(format: &spsc::Format) -> Self {
        let memory = (0..format.footprint().div_ceil(128)).map(|_| Line::new()).collect();
        let home = Self { memory, is_mpmc: false };
        spsc::Ring::format(home.region(), format).unwrap();
        home
    }

    fn mpmc(format: &mpmc::Format) -> Self {
        let memory = (0..format.footprint().div_ceil(128)).map(|_| Line::new()).collect();
        let home = Self { memory, is_mpmc: true };
        mpmc::Ring::format(home.region(), format).unwrap();
        home
    }

    fn both() -> [Self; 2] {
        [Self::spsc(&spsc::Format::new(256)), Self::mpmc(&mpmc::Format::new(4, 16))]
    }

    fn region(&self) -> Region<'_> {
        Region::new(&self.memory)
    }

    fn word(&self, offset: usize) -> &AtomicU64 {
        // SAFETY: a `Line` is 16 atomic words.
        let words = unsafe { &*std::ptr::from_ref(&self.memory[offset / 128]).cast::<[AtomicU64; 16]>() };
        &words[offset % 128 / 8]
    }

    /// Writes a word of the identity line, with the checksum that goes with it.
    fn set(&self, offset: usize, value: u64) {
        self.word(offset).store(value, Relaxed);
        let sum = (0..15)
            .flat_map(|i| self.word(i * 8).load(Relaxed).to_le_bytes())
            .fold(0xcbf2_9ce4_8422_2325, |h: u64, b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3));
        self.word(offset_of!(Identity, checksum)).store(sum, Relaxed);
    }

    fn attach(&self) -> Result<(), AttachError> {
        match self.is_mpmc {
            true => mpmc::Ring::attach(self.region()).map(drop),
            false => spsc::Ring::attach(self.region()).map(drop),
        }
    }

    fn text(&self) -> Vec<u8> {
        let text = match self.is_mpmc {
            true => mpmc::Ring::look(self.region()).unwrap().type_text(),
            false => spsc::Ring::look(self.region()).unwrap().type_text(),
        };
        text.as_bytes().to_vec()
    }

    fn look(&self) -> Result<(), AttachError> {
        match self.is_mpmc {
            true => mpmc::Ring::look(self.region()).map(drop),
            false => spsc::Ring::look(self.region()).map(drop),
        }
    }
}

/// The word that an attempt was refused for.
fn refused(result: Result<(), AttachError>) -> Option<Field> {
    match result {
        Ok(()) => None,
        Err(AttachError::Incompatible { field, found, expected }) => {
            assert_ne!(found, expected);
            Some(field)
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn feature_bits_bind_whom_they_are_meant_for() {
    for home in Home::both() {
        // SPSC knows two incompatible features: lines, which go with another place of the data area, and trains, which a ring has
        // or has not; no other bit is known yet.
        let own = home.word(offset_of!(Identity, features_incompatible)).load(Relaxed);
        assert_eq!(own, if home.is_mpmc { 0 } else { 8 });
        for bit in (0..64).map(|bit| 1 << bit) {
            home.set(offset_of!(Identity, features_compatible), bit);
            assert_eq!((refused(home.attach()), refused(home.look())), (None, None), "compatible {bit:#x}");
            home.set(offset_of!(Identity, features_compatible), 0);

            home.set(offset_of!(Identity, features_read_only), bit);
            let workers = Some(Field::ReadOnlyFeatures);
            assert_eq!((refused(home.attach()), refused(home.look())), (workers, None), "read-only {bit:#x}");
            home.set(offset_of!(Identity, features_read_only), 0);

            home.set(offset_of!(Identity, features_incompatible), bit);
            let all = match bit {
                4 if !home.is_mpmc => Some(Field::DataOffset),
                8 if !home.is_mpmc => None,
                _ => Some(Field::IncompatibleFeatures),
            };
            assert_eq!((refused(home.attach()), refused(home.look())), (all, all), "incompatible {bit:#x}");
            home.set(offset_of!(Identity, features_incompatible), own | bit);
            assert_eq!((refused(home.attach()), refused(home.look())), (all, all), "incompatible, one more: {bit:#x}");
            home.set(offset_of!(Identity, features_incompatible), 0);
            assert_eq!((refused(home.attach()), refused(home.look())), (None, None), "a ring of builds before trains");
            home.set(offset_of!(Identity, features_incompatible), own);
        }
        assert_eq!(refused(home.attach()), None);
    }
}

#[test]
fn of_several_refusals_the_weightier_one_is_told() {
    for home in Home::both() {
        home.set(offset_of!(Identity, features_read_only), 1 << 40);
        let error = home.attach().unwrap_err().to_string();
        assert!(error.contains("0x10000000000") && error.contains("may look"), "{error}");
        home.set(offset_of!(Identity, features_incompatible), 1 << 40);
        assert_eq!(refused(home.attach()), Some(Field::IncompatibleFeatures));
        home.set(offset_of!(Identity, abi_version), 2);
        assert_eq!(refused(home.attach()), Some(Field::AbiVersion));
        assert_eq!(refused(home.look()), Some(Field::AbiVersion));
    }
}

#[test]
fn other_versions_and_reserved_words_are_refused() {
    for home in Home::both() {
        for version in [0, 2, 1 << 32 | 1, u64::MAX] {
            home.set(offset_of!(Identity, abi_version), version);
            assert_eq!(refused(home.attach()), Some(Field::AbiVersion), "{version}");
            assert_eq!(refused(home.look()), Some(Field::AbiVersion), "{version}");
        }
        home.set(offset_of!(Identity, abi_version), 1);
        home.set(offset_of!(Identity, reserved), 1);
        assert_eq!(refused(home.attach()), Some(Field::Reserved));
        assert_eq!(refused(home.look()), Some(Field::Reserved));
    }
}

const LONG: &str = {
    const BYTES: [u8; TYPE_TEXT_LEN + 5] = {
        let mut bytes = [b'x'; TYPE_TEXT_LEN + 5];
        bytes[0] = b'<';
        bytes[TYPE_TEXT_LEN - 1] = b'>';
        bytes
    };
    match std::str::from_utf8(&BYTES) {
        Ok(text) => text,
        Err(_) => unreachable!(),
    }
};

fn described(text: &'static str) -> [Home; 2] {
    [
        Home::spsc(&spsc::Format::new(256).type_hash(7).type_text(text.as_bytes())),
        Home::mpmc(&mpmc::Format::new(4, 16).type_hash(7).type_text(text.as_bytes())),
    ]
}

#[test]
fn the_type_is_described_as_far_as_there_is_room() {
    for (text, kept) in [("", ""), ("x", "x"), ("12345678", "12345678"), ("größer", "größer"), (LONG, &LONG[..1016])]
    {
        for home in described(text) {
            assert_eq!(home.text(), kept.as_bytes());
            let features = home.word(offset_of!(Identity, features_compatible)).load(Relaxed);
            assert_eq!(features, u64::from(!text.is_empty()), "{text}");
            assert_eq!(refused(home.attach()), None);
        }
    }
}

#[test]
fn nothing_depends_on_the_description() {
    for home in described("Tick") {
        for offset in (TYPE_TEXT_OFFSET..TYPE_TEXT_OFFSET + TYPE_TEXT_LEN).step_by(8) {
            home.word(offset).store(u64::MAX, Relaxed);
        }
        assert_eq!(refused(home.attach()), None);
        assert_eq!(home.text(), [0xff; TYPE_TEXT_LEN]);
        home.set(offset_of!(Identity, features_compatible), 0);
        assert_eq!(home.text(), b"", "what a ring without the bit has there means nothing");
    }
}

/// A format over old memory leaves nothing of the former description.
#[test]
fn a_description_is_written_whole() {
    let format = spsc::Format::new(256);
    let home = Home::spsc(&format.type_text(LONG.as_bytes()));
    spsc::Ring::format(home.region(), &format.type_text(b"short")).unwrap();
    assert_eq!(home.text(), b"short");
    assert_eq!(home.word(TYPE_TEXT_OFFSET + TYPE_TEXT_LEN - 8).load(Relaxed), 0);
    spsc::Ring::format(home.region(), &format).unwrap();
    assert_eq!(home.text(), b"");
}
