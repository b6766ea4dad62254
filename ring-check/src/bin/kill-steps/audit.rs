//! The account of one point: what was committed has arrived once, or again with a flag; nothing else has.

use crate::message::{self, Author, Id};
use crate::page::{Note, Said, Stage as Hand};
use crate::peer::Arrival;
use crate::stage::{Past, Shape};

/// A victim, and what it has said.
#[derive(Clone, Copy)]
pub(crate) struct Testimony {
    pub(crate) author: Author,
    /// How many messages it was to send.
    pub(crate) sends: usize,
    /// They are committed by one store.
    pub(crate) whole: bool,
    pub(crate) said: Said,
}

/// Everything that is known about a point.
pub(crate) struct Account<'a> {
    pub(crate) shape: Shape,
    pub(crate) past: &'a Past,
    pub(crate) victims: &'a [Testimony],
    /// Nobody has died.
    pub(crate) peaceful: bool,
}

/// How often a message may arrive at those who live, and whether it has to be flagged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Due {
    least: usize,
    most: usize,
    flagged: Option<bool>,
}

impl Account<'_> {
    /// All messages that may be somewhere.
    fn ids(&self) -> Vec<Id> {
        let sent =
            |victim: &Testimony| (0..victim.sends).map(|seq| self.shape.id(victim.author, seq)).collect::<Vec<_>>();
        self.past.queued.iter().copied().chain(self.victims.iter().flat_map(sent)).collect()
    }

    /// Those that those who live have to get.
    pub(crate) fn owed(&self) -> Vec<Id> {
        self.ids().into_iter().filter(|id| self.due(*id).least > 0).collect()
    }

    fn due(&self, id: Id) -> Due {
        let sender = self.victims.iter().find(|victim| id.is_of(victim.author));
        let committed = sender.is_none_or(|victim| id.seq() < victim.said.told);
        let least = usize::from(committed);
        let flagged = Some(true);
        match self.hand(id) {
            // It was told, and the space is given back only later: who comes after its death may get it again.
            Hand::Done if self.shape.every > 0 && !self.peaceful => Due { least: 0, most: 1, flagged },
            Hand::Done => Due { least: 0, most: 0, flagged: None },
            Hand::Releasing => Due { least: 0, most: 1, flagged },
            Hand::Seen | Hand::Keeping if self.shape.at_most_once => Due { least: 0, most: 1, flagged: None },
            Hand::Seen | Hand::Keeping => Due { least: 1, most: 1, flagged },
            Hand::Unsaid | Hand::Copying if self.may_be_dropped(id) => Due { least: 0, most: 1, flagged: None },
            Hand::Unsaid | Hand::Copying if self.is_copied(id) => Due { least: 0, most: 1, flagged: None },
            Hand::Unsaid | Hand::Copying if self.past.lent.contains(&id) => Due { least, most: 1, flagged },
            Hand::Unsaid | Hand::Copying => Due { least, most: 1, flagged: self.peaceful.then_some(false) },
        }
    }

    /// How far any victim has come with a message.
    pub(crate) fn hand(&self, id: Id) -> Hand {
        let notes = self.victims.iter().flat_map(|victim| &victim.said.notes);
        notes.filter(|note| is_of(note, id)).map(Note::stage).max().unwrap_or(Hand::Unsaid)
    }

    /// At most once: gone with whoever had it in hand, which one victim can only have the first one.
    fn may_be_dropped(&self, id: Id) -> bool {
        let reached = self.victims.len() > 1 || self.past.queued.first() == Some(&id);
        self.shape.at_most_once && !self.peaceful && reached
    }

    /// A copying receive releases before it returns: whoever dies in between has all the bytes in the buffer.
    fn is_copied(&self, id: Id) -> bool {
        let message = id.message();
        let notes = self.victims.iter().flat_map(|victim| &victim.said.notes);
        notes.filter(|note| note.stage() == Hand::Copying).any(|note| note.bytes.starts_with(message.bytes()))
    }

    /// What is wrong with what has arrived; the survivors have sent `sent` messages.
    pub(crate) fn judge(&self, got: &[Arrival], sent: usize) -> Result<(), String> {
        self.hands(sent)?;
        let mut known = self.ids();
        for id in &known {
            let (due, count) = (self.due(*id), got.iter().filter(|arrival| arrival.id == *id).count());
            if count < due.least {
                return Err(format!("{id:?} is lost"));
            }
            if count > due.most {
                return Err(format!("{id:?} has arrived too often, {count} times"));
            }
            if let Some(arrival) = got.iter().find(|arrival| arrival.id == *id)
                && due.flagged.is_some_and(|flagged| flagged != arrival.flagged)
            {
                return Err(format!("{id:?} has come with the wrong flag, {}", arrival.flagged));
            }
        }
        for victim in self.victims.iter().filter(|victim| victim.whole) {
            let arrived = (0..victim.sends).filter(|seq| {
                let id = self.shape.id(victim.author, *seq);
                let noted = |other: &Testimony| other.said.notes.iter().any(|note| is_of(note, id));
                got.iter().any(|arrival| arrival.id == id) || self.victims.iter().any(noted)
            });
            let arrived = arrived.count();
            if arrived != 0 && arrived != victim.sends {
                return Err(format!("a part of a batch has arrived, {arrived} of {}", victim.sends));
            }
        }
        let survivors = (0..sent).map(|seq| Id::new(Author::Survivor, seq));
        for id in survivors.clone() {
            // A victim that was only stopped may have got it, and may have put it back.
            let hand = self.hand(id);
            let taken = usize::from(hand == Hand::Done);
            let arrivals: Vec<_> = got.iter().filter(|arrival| arrival.id == id).collect();
            let flagged = hand == Hand::Keeping;
            if arrivals.len() + taken != 1 || arrivals.iter().any(|arrival| arrival.flagged != flagged) {
                return Err(format!("a survivor's {id:?} has arrived {} times, or flagged", arrivals.len() + taken));
            }
        }
        known.extend(survivors);
        if let Some(stranger) = got.iter().find(|arrival| !known.contains(&arrival.id)) {
            return Err(format!("{:?} was never sent", stranger.id));
        }
        order(got)
    }

    /// What is wrong with what the victims had in their hands.
    pub(crate) fn hands(&self, sent: usize) -> Result<(), String> {
        let mut before: Vec<(Author, Id, Hand)> =
            self.past.lent.iter().map(|id| (Author::Dead, *id, Hand::Seen)).collect();
        let mut ids = self.ids();
        ids.extend((0..sent).map(|seq| Id::new(Author::Survivor, seq)));
        for victim in self.victims {
            for note in victim.said.notes.iter().filter(|note| note.stage() > Hand::Copying) {
                let bytes = note.bytes.get(..note.len as usize).ok_or("a length that nobody sent")?;
                let id = message::check(note.tag, bytes)?;
                if !ids.contains(&id) {
                    return Err(format!("{id:?} in the victim's hands was never sent"));
                }
                for (author, _, hand) in before.iter().filter(|(_, other, _)| *other == id) {
                    if *hand == Hand::Done {
                        return Err(format!("{id:?} came to the {:?} when it was done", victim.author));
                    }
                    // The one who has put it back knows it anyway.
                    if *author != victim.author && note.flagged == 0 {
                        return Err(format!("{id:?} came to the {:?} again, unflagged", victim.author));
                    }
                }
                before.push((victim.author, id, note.stage()));
            }
        }
        Ok(())
    }
}

/// What comes for the first time comes in the order of the positions, and so of each author's numbers.
fn order(got: &[Arrival]) -> Result<(), String> {
    let first: Vec<_> = got.iter().filter(|arrival| !arrival.flagged).collect();
    for pair in first.windows(2) {
        if pair[0].position >= pair[1].position {
            return Err(format!("{:?} has arrived before {:?}", pair[0].id, pair[1].id));
        }
    }
    for author in 0..8 {
        let numbers: Vec<_> = first.iter().map(|arrival| arrival.id).filter(|id| id.author() == author).collect();
        if !numbers.is_sorted_by_key(|id| id.seq()) {
            return Err(format!("the messages of author {author} are out of order: {numbers:?}"));
        }
    }
    Ok(())
}

/// Whether a victim has written down that message.
fn is_of(note: &Note, id: Id) -> bool {
    let bytes = note.bytes.get(..note.len as usize).unwrap_or_default();
    note.tag == id.message().tag() && (note.tag == id.0 || message::check(note.tag, bytes) == Ok(id))
}
