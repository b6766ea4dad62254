//! What a program of today does with a segment of tomorrow's: feature bits that it does not know, for handles, for
//! repairs, and for those who only look.

mod support;

use std::os::unix::fs::FileExt as _;

use ring_shm::{AttachError, Field, SetupError, mpmc, spsc};
use support::{TestName, unique};

const COMPATIBLE: usize = 2;
const READ_ONLY: usize = 3;
const INCOMPATIBLE: usize = 4;

/// A ring of each kind, made by this version.
fn rings() -> [(TestName, bool); 2] {
    let (one, many) = (unique("next-spsc"), unique("next-mpmc"));
    spsc::create(one.as_str(), &spsc::Options::new()).unwrap();
    mpmc::create(many.as_str(), &mpmc::Options::new()).unwrap();
    [(one, false), (many, true)]
}

/// Sets a word of the identity line, as its creator would have.
fn set(name: &TestName, word: usize, value: u64) {
    let file = std::fs::OpenOptions::new().read(true).write(true).open(name.path()).unwrap();
    file.write_all_at(&value.to_le_bytes(), word as u64 * 8).unwrap();
    let mut line = [0; 120];
    file.read_exact_at(&mut line, 0).unwrap();
    let sum = line
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
    file.write_all_at(&sum.to_le_bytes(), 120).unwrap();
}

/// For what each kind of use was refused; `None`: it was not.
struct Refused {
    handles: [Option<Field>; 2],
    repair: Option<Field>,
    look: Option<Field>,
}

impl Refused {
    fn by(name: &TestName, is_mpmc: bool) -> Self {
        fn field<T>(result: Result<T, SetupError>) -> Option<Field> {
            match result {
                Ok(_) => None,
                Err(SetupError::Attach(AttachError::Incompatible { field, .. })) => Some(field),
                Err(error) => panic!("{error}"),
            }
        }
        let name = name.as_str();
        if is_mpmc {
            let handles = [field(mpmc::Producer::open(name)), field(mpmc::Consumer::open(name))];
            Self { handles, repair: field(mpmc::recover(name, None)), look: field(mpmc::inspect(name)) }
        } else {
            let handles = [field(spsc::Producer::open(name)), field(spsc::Consumer::open(name))];
            Self { handles, repair: field(spsc::recover(name, None)), look: field(spsc::inspect(name)) }
        }
    }
}

#[test]
fn a_compatible_feature_stops_nobody() {
    for (name, is_mpmc) in rings() {
        set(&name, COMPATIBLE, 1 << 63 | 1);
        let refused = Refused::by(&name, is_mpmc);
        assert_eq!((refused.handles, refused.repair, refused.look), ([None; 2], None, None));
    }
}

#[test]
fn a_read_only_compatible_feature_stops_whoever_would_write() {
    for (name, is_mpmc) in rings() {
        set(&name, READ_ONLY, 1 << 63);
        let refused = Refused::by(&name, is_mpmc);
        let field = Some(Field::ReadOnlyFeatures);
        assert_eq!((refused.handles, refused.repair, refused.look), ([field; 2], field, None));
        if is_mpmc {
            assert!(mpmc::close(name.as_str()).is_err());
            assert!(!mpmc::inspect(name.as_str()).unwrap().closed);
        }
    }
}

#[test]
fn an_incompatible_feature_stops_everybody() {
    for (name, is_mpmc) in rings() {
        set(&name, INCOMPATIBLE, 1 << 63);
        let refused = Refused::by(&name, is_mpmc);
        let field = Some(Field::IncompatibleFeatures);
        assert_eq!((refused.handles, refused.repair, refused.look), ([field; 2], field, field));
    }
}
