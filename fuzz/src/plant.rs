//! Planted bugs, of the kind that the targets exist to find: what a careless implementation would do with a word that a
//! peer can write. `RING_FUZZ_PLANT` names one; a campaign that does not find it is worth nothing.

use std::sync::OnceLock;

/// A planted bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plant {
    /// `stray`: the length in a record's header is believed.
    Stray,
    /// `panic`: a table is indexed with the attempts in a slot word.
    Panic,
    /// `hang`: a chain of records is followed until it ends.
    Hang,
    /// `clamp`: the room that a consumer's head leaves is believed.
    Clamp,
}

/// Whether it is planted in this process.
pub fn is_planted(plant: Plant) -> bool {
    static PLANTED: OnceLock<Option<Plant>> = OnceLock::new();
    let planted = PLANTED.get_or_init(|| match std::env::var("RING_FUZZ_PLANT").as_deref() {
        Ok("stray") => Some(Plant::Stray),
        Ok("panic") => Some(Plant::Panic),
        Ok("hang") => Some(Plant::Hang),
        Ok("clamp") => Some(Plant::Clamp),
        Ok(other) => panic!("no plant {other}"),
        Err(_) => None,
    });
    *planted == Some(plant)
}
