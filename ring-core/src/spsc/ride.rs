//! What a batch has found and hands out next.

use super::consumer::Consumer;
use super::error::ReadError;
use super::find::{Found, Told};
use crate::position::Position;
use crate::record::Train;
use crate::region::{Area, Members, Stretch, Taken};

/// How many bytes of a train are asked for at once: all of it is there, and the other side needs none of its lines any more.
const LINES_AHEAD: usize = 1024;

/// Records that are known, and handed out one by one: the wanted ones of a train, or a single one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ride<'m> {
    pub(super) places: Members<'m>,
    told: Told,
    /// Where to look once they have been handed out: behind them, or at the header of their train if more of it is to come.
    pub(super) rest: Stretch<'m>,
    /// Where that header is: of use while some of it are known and not handed out, which no single one ever is.
    header: Position,
}

impl<'m> Ride<'m> {
    /// Nothing that is known; the next look is at `rest`.
    #[inline(always)]
    pub(super) fn none(rest: Stretch<'m>) -> Self {
        Self { places: rest.no_members(), told: Told::NOTHING, rest, header: rest.position() }
    }

    /// One record.
    #[inline(always)]
    fn of(found: &Found<'m>) -> Self {
        let Found { record, taken, rest, told } = *found;
        Self { places: taken.alone(record), told, rest, header: rest.position() }
    }

    /// The next record: its bytes, its position, and what it is told with.
    #[inline(always)]
    pub(super) fn next(&mut self) -> Option<(Taken<'m>, Position, Told)> {
        let position = self.places.position();
        Some((self.places.take()?, position, self.told))
    }

    /// Where the next look would be, all records being given back that were handed out; and where in the train there, if it is inside.
    #[inline(always)]
    pub(super) fn left(&self, area: &Area<'m>) -> (Stretch<'m>, Option<Position>) {
        let rest = if self.places.left() > 0 { area.stretch(self.header, 0) } else { self.rest };
        let within = self.places.position();
        (rest, if rest.position().precedes(within) { Some(within) } else { None })
    }
}

impl<'m> Consumer<'m> {
    /// What is at the head, of which a batch takes `most` records at most, if it is a train or one of the many.
    #[inline(always)]
    pub(super) fn ride_here(&mut self, most: usize) -> Option<Ride<'m>> {
        let (word, found) = self.look(self.stretch, None);
        if let Some(found) = found {
            self.mark_seen_ahead(found.rest.position());
            return Some(Ride::of(&found));
        }
        let at = self.head();
        let train = Train::decode(word, at, &self.geometry)?;
        let before = train.before(at, self.within());
        // All of it is within the capacity, as what is no longer than a record.
        self.ride_train(at, train, before, Told::of_member(word, false), most)
    }

    /// What comes next to a batch that has come to `at`, and to `within` the train there.
    #[inline(never)]
    pub(super) fn ride_on(
        &mut self,
        at: Stretch<'m>,
        within: Option<Position>,
        most: usize,
    ) -> Result<Ride<'m>, ReadError> {
        let found = self.find(at, within)?;
        if found.within().is_some() {
            let (at, train) = (found.rest.position(), found.told.train());
            let before = train.before(at, found.record);
            if let Some(ride) = self.ride_train(at, train, before, found.told, most) {
                return Ok(ride);
            }
        }
        self.mark_seen_ahead(found.end());
        Ok(Ride::of(&found))
    }

    /// The records of the train at `at` behind the first `before` ones: `None` where they are not all told with the same, of which the
    /// next one may be known.
    #[inline(always)]
    fn ride_train(&mut self, at: Position, train: Train, before: u64, told: Told, most: usize) -> Option<Ride<'m>> {
        let record = at.plus(before.wrapping_mul(train.step()));
        if record.precedes(self.redelivered_before) {
            return None;
        }
        let left = usize::try_from(train.count.wrapping_sub(before)).ok()?;
        let places = self.area.members(record, usize::try_from(train.len).ok()?, left.min(most))?;
        places.ask(LINES_AHEAD);
        self.slip.found(record);
        self.mark_seen_ahead(places.end());
        let rest = self.area.stretch(if left <= most { at.plus(train.size()) } else { at }, 0);
        Some(Ride { places, told, rest, header: at })
    }
}
