//! What a model's body works with: the ring, who is dead, who told what, who saw what.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use loom::sync::atomic::Ordering;
use ring_core::model::WatchedU64;
use ring_core::mpmc::{
    Blocked, Claim, ClaimError, Consumer, Producer, ReadError, Received, Recovery, Redelivery, Repair, Ring,
};
use ring_core::{Region, Verdict, model};

use crate::Run;

/// Leases a model can use.
const LEASES: usize = 10;

/// What was sent and seen in one execution. Outside of loom's sight.
#[derive(Debug, Default)]
struct Ledger {
    /// Position and number of each message whose sender was told that it is committed.
    told: BTreeMap<u64, u64>,
    /// Position, number and flag of each delivery.
    seen: Vec<(u64, u64, bool)>,
    /// Positions that a repair dropped, or may be dropped.
    dropped: Vec<u64>,
}

/// The ring of one execution and all that is known about it. A clone for each thread.
#[derive(Clone, Debug)]
pub struct World {
    /// The ring.
    pub ring: Ring<'static>,
    /// Its memory, for those who attach.
    pub region: Region<'static>,
    /// The locks of the leases: 1 once the mapping is gone. Stored with Release, loaded Relaxed: the Acquire is
    /// ring-core's to supply, by a fence after the verdict.
    dead: Rc<[WatchedU64; LEASES]>,
    ledger: Rc<RefCell<Ledger>>,
    run: Run,
}

impl World {
    pub(super) fn new(ring: Ring<'static>, region: Region<'static>, run: Run) -> Self {
        let dead = Rc::new(std::array::from_fn(|_| WatchedU64::new(0)));
        Self { ring, region, dead, ledger: Rc::default(), run }
    }

    /// Runs the roles in threads of their own, started in this order or reversed: loom sees other races from the other
    /// side. What they borrow outlives them, since they are joined here.
    #[allow(clippy::type_complexity)] // one use
    #[expect(clippy::disallowed_methods, reason = "run inside of `together`")]
    fn all<'a>(&self, roles: Vec<Box<dyn FnOnce(&Self) + 'a>>) {
        self.run.starts(roles.len());
        let start = |(number, role): (usize, Box<dyn FnOnce(&Self) + 'a>)| {
            // SAFETY: the thread is joined below; a model that fails instead never returns to the borrowed frame.
            #[allow(unsafe_code)]
            let role: Box<dyn FnOnce(&Self) + 'static> = unsafe { std::mem::transmute(role) };
            let w = self.clone();
            model::once::spawn(number, move || role(&w))
        };
        let mut roles: Vec<_> = (1..).zip(roles).collect();
        if self.run.reversed {
            roles.reverse();
        }
        self.region.together(|| {
            let threads: Vec<_> = roles.into_iter().map(start).collect();
            for thread in threads {
                model::once::join(thread).unwrap();
            }
        });
    }

    /// Runs two roles at the same time.
    pub fn two<'a>(&self, a: impl FnOnce(&Self) + 'a, b: impl FnOnce(&Self) + 'a) {
        self.all(vec![Box::new(a), Box::new(b)]);
    }

    /// Runs three roles.
    pub fn three<'a>(&self, a: impl FnOnce(&Self) + 'a, b: impl FnOnce(&Self) + 'a, c: impl FnOnce(&Self) + 'a) {
        self.all(vec![Box::new(a), Box::new(b), Box::new(c)]);
    }

    /// Runs four roles.
    pub fn four<'a>(
        &self,
        a: impl FnOnce(&Self) + 'a,
        b: impl FnOnce(&Self) + 'a,
        c: impl FnOnce(&Self) + 'a,
        d: impl FnOnce(&Self) + 'a,
    ) {
        self.all(vec![Box::new(a), Box::new(b), Box::new(c), Box::new(d)]);
    }

    /// The kernel's answer about a lease.
    pub fn verdict(&self) -> impl FnMut(u64) -> Verdict + 'static {
        let dead = Rc::clone(&self.dead);
        move |lease| if dead[lease as usize].load(Ordering::Relaxed) == 1 { Verdict::Dead } else { Verdict::Alive }
    }

    /// The kernel drops the lock of `lease`, after the last store of its owner.
    pub fn bury(&self, lease: u64) {
        self.dead[lease as usize].store(1, Ordering::Release);
    }

    /// Runs `op` under `lease` and kills it before its access number `step`, or right after it: in any case the lease
    /// is free afterwards. `victim` is 0 or 1 for the first or second of the model.
    pub fn kill<R>(&self, victim: usize, step: u32, lease: u64, op: impl FnOnce() -> R) -> Option<R> {
        let result = model::crash_at(step, op);
        if result.is_none() {
            self.run.dies(victim);
        }
        self.bury(lease);
        result
    }

    /// Joins as a producer, where there is an entry.
    #[must_use]
    pub fn producer(&self) -> Producer<'static> {
        self.ring.join_producer(self.lease(), self.verdict()).expect("an entry")
    }

    /// Joins as a consumer, where there is an entry.
    #[must_use]
    pub fn consumer(&self) -> Consumer<'static> {
        self.ring.join_consumer(self.lease(), self.verdict()).expect("an entry")
    }

    /// The next lease number.
    #[must_use]
    pub fn lease(&self) -> u64 {
        self.ring.next_lease().expect("a lease")
    }

    /// A dead participant that announced position `p`, which must be the tail, and did not get it.
    pub fn dead_loser(&self) {
        let mut loser = self.producer();
        // Its accesses: tail, slot, intent; then the swap.
        assert!(model::crash_at(3, || loser.try_send(0, &[]).map(|_| ())).is_none());
        self.bury(loser.lease());
    }

    /// A dead participant that announced the head, which must hold a message, and did not get it.
    pub fn dead_reading_loser(&self) {
        let mut loser = self.consumer();
        assert!(model::crash_at(3, || loser.fetch(1)).is_none());
        self.bury(loser.lease());
    }

    /// A dead participant that claimed the tail.
    pub fn dead_writer(&self) {
        let mut victim = self.producer();
        std::mem::forget(victim.try_claim(8).expect("a slot"));
        self.bury(victim.lease());
    }

    /// A dead participant that was handed what is at the head.
    pub fn dead_reader(&self) {
        let mut victim = self.consumer();
        let record = victim.try_read().expect("a message");
        self.see(record.received(), record.tag().into());
        std::mem::forget(record);
        self.bury(victim.lease());
    }

    fn told(&self, position: u64, n: u64) {
        assert!(self.ledger.borrow_mut().told.insert(position, n).is_none(), "position {position} given twice");
    }

    /// Notes a delivery.
    pub fn see(&self, received: Received, n: u64) {
        assert_eq!(u64::from(received.tag), n, "tag and payload differ");
        assert_eq!(received.redelivered, received.attempt > 0);
        self.ledger.borrow_mut().seen.push((received.position.get(), n, received.redelivered));
    }

    /// Sends the number `n`; whether that went at once.
    pub fn send(&self, tx: &mut Producer<'_>, n: u64) -> Result<(), ClaimError> {
        self.sent(n, tx.try_send(n as u32, &n.to_le_bytes()).map(|p| p.get()))
    }

    fn sent(&self, n: u64, result: Result<u64, ClaimError>) -> Result<(), ClaimError> {
        match result {
            Ok(p) => {
                self.told(p, n);
                Ok(())
            }
            Err(ClaimError::Corrupt(c)) => panic!("{c}"),
            Err(e) => Err(e),
        }
    }

    /// The same through a claim.
    pub fn claim_and_send(&self, tx: &mut Producer<'_>, n: u64) -> Result<(), ClaimError> {
        match tx.try_claim(8) {
            Ok(claim) => {
                self.commit(claim, n);
                Ok(())
            }
            Err(ClaimError::Corrupt(c)) => panic!("{c}"),
            Err(e) => Err(e),
        }
    }

    /// Commits a claim with the number `n`.
    pub fn commit(&self, mut claim: Claim<'_, '_>, n: u64) {
        claim.write(&n.to_le_bytes());
        claim.set_tag(n as u32);
        self.told(claim.commit().get(), n);
    }

    /// Sends several numbers as one batch; how many went.
    pub fn send_batch(&self, tx: &mut Producer<'_>, numbers: &[u64]) -> usize {
        let mut batch = match tx.try_claim_batch(numbers.len(), 8) {
            Ok(batch) => batch,
            Err(ClaimError::Corrupt(c)) => panic!("{c}"),
            Err(_) => return 0,
        };
        let mut pushed = Vec::new();
        for n in numbers {
            if let Ok(p) = batch.push(*n as u32, &n.to_le_bytes()) {
                pushed.push((p.get(), *n));
            }
        }
        let sent = batch.commit();
        assert_eq!(sent, pushed.len());
        for (p, n) in pushed {
            self.told(p, n);
        }
        sent
    }

    /// Receives by copying.
    pub fn recv(&self, rx: &mut Consumer<'_>) -> Result<u64, ReadError> {
        let mut buf = [0; 8];
        match rx.try_recv_into(&mut buf) {
            Ok(received) => {
                self.see(received, u64::from_le_bytes(buf));
                Ok(u64::from_le_bytes(buf))
            }
            Err(ReadError::Corrupt(c)) => panic!("{c}"),
            Err(e) => Err(e),
        }
    }

    /// Receives in place.
    pub fn read(&self, rx: &mut Consumer<'_>) -> Result<(), ReadError> {
        match rx.try_read() {
            Ok(record) => {
                let mut buf = [0; 8];
                record.copy_to(&mut buf);
                self.see(record.received(), u64::from_le_bytes(buf));
                record.release();
                Ok(())
            }
            Err(ReadError::Corrupt(c)) => panic!("{c}"),
            Err(e) => Err(e),
        }
    }

    /// Receives up to `max` in place.
    pub fn read_batch(&self, rx: &mut Consumer<'_>, max: usize) -> Result<usize, ReadError> {
        match rx.try_read_batch(max) {
            Ok(mut batch) => {
                while let Some(record) = batch.next_record().expect("a good batch") {
                    let mut buf = [0; 8];
                    record.copy_to(&mut buf);
                    self.see(record.received(), u64::from_le_bytes(buf));
                }
                Ok(batch.release())
            }
            Err(ReadError::Corrupt(c)) => panic!("{c}"),
            Err(e) => Err(e),
        }
    }

    /// Receives, and repairs once what stands in the way.
    pub fn recv_or_repair(&self, rx: &mut Consumer<'_>) {
        match self.recv(rx) {
            Err(ReadError::Busy(Some(blocked))) => drop(self.repair(rx, blocked)),
            Err(ReadError::Empty) => drop(self.redeliver(rx)),
            _ => {}
        }
    }

    /// Sends, and repairs once what stands in the way.
    pub fn send_or_repair(&self, tx: &mut Producer<'_>, n: u64) {
        if let Err(ClaimError::Busy(Some(blocked))) = self.send(tx, n) {
            let repair = tx.repair(blocked, self.verdict()).expect("a good ring");
            self.note(repair);
            let _ = self.send(tx, n);
        }
    }

    /// Repairs what stands in the way of a consumer.
    pub fn repair(&self, rx: &mut Consumer<'_>, blocked: Blocked) -> Repair {
        let repair = rx.repair(blocked, self.verdict()).expect("a good ring");
        self.note(repair);
        repair
    }

    /// Repairs as a tool does, without an entry.
    pub fn repair_by_tool(&self, blocked: Blocked) -> Repair {
        let repair = self.ring.repair(blocked, 9, self.verdict()).expect("a good ring");
        self.note(repair);
        repair
    }

    /// An only consumer's successor drops, at most once, what its predecessor may have had in hand. The ledger cannot
    /// hear of it.
    pub fn allow_drops(&self) {
        if self.ring.redelivery() == Redelivery::AtMostOnce {
            let mut ledger = self.ledger.borrow_mut();
            let told: Vec<u64> = ledger.told.keys().copied().collect();
            ledger.dropped.extend(told);
        }
    }

    fn note(&self, repair: Repair) {
        if let Repair::Dropped(p) = repair {
            self.ledger.borrow_mut().dropped.push(p.get());
        }
    }

    /// Receives a message whose reader died.
    pub fn redeliver(&self, rx: &mut Consumer<'_>) -> Result<(), ReadError> {
        match rx.redeliver(self.verdict(), |r| self.note(r)) {
            Ok(record) => {
                let mut buf = [0; 8];
                record.copy_to(&mut buf);
                self.see(record.received(), u64::from_le_bytes(buf));
                record.release();
                Ok(())
            }
            Err(ReadError::Corrupt(c)) => panic!("{c}"),
            Err(e) => Err(e),
        }
    }

    /// Takes all that is there, repairing what the dead have left. Everybody else is through.
    pub fn drain(&self, rx: &mut Consumer<'_>) -> ReadError {
        for _ in 0..64 {
            match self.recv(rx) {
                Ok(_) | Err(ReadError::Busy(None)) => {}
                Err(ReadError::Busy(Some(blocked))) => {
                    let owned = matches!(self.repair(rx, blocked), Repair::Owned { .. });
                    assert!(!owned, "{blocked:?} is held by the living, who are through");
                }
                Err(ReadError::Empty) => match self.redeliver(rx) {
                    Ok(()) => {}
                    Err(ReadError::Empty) => return ReadError::Empty,
                    Err(e) => panic!("{e}"),
                },
                Err(e) => return e,
            }
        }
        panic!("there is no end of it");
    }

    /// The end of every model, in the main thread alone: nothing lost, nothing twice without a flag, nothing stuck.
    pub fn settle(&self, tx: &mut Producer<'_>, rx: &mut Consumer<'_>) {
        let closed = self.drain(rx) == ReadError::Closed;
        self.check_ledger();
        for i in 0..self.ring.max_participants() {
            let outcome = self.ring.recover(i as u32, self.verdict()).expect("a good ring");
            let fine = matches!(outcome, Recovery::Vacant | Recovery::Released { .. } | Recovery::Owned { .. });
            assert!(fine, "entry {i}: {outcome:?}");
        }
        if closed {
            return;
        }
        for n in 0..self.ring.capacity() {
            assert_eq!(self.send(tx, 100 + n), Ok(()), "a slot is stuck");
        }
        assert_eq!(self.send(tx, 99), Err(ClaimError::Full));
        assert_eq!(self.drain(rx), ReadError::Empty);
        tx.close();
        assert_eq!(self.drain(rx), ReadError::Closed);
        self.check_ledger();
    }

    /// Messages against deliveries.
    pub fn check_ledger(&self) {
        let ledger = self.ledger.borrow();
        let mut first = BTreeMap::new();
        for (position, n, flagged) in &ledger.seen {
            if let Some(sent) = ledger.told.get(position) {
                assert_eq!(sent, n, "position {position} has the wrong message");
            }
            let times: &mut u32 = first.entry(*position).or_default();
            *times += u32::from(!*flagged);
            assert!(*times <= 1, "position {position} delivered twice without a flag");
        }
        for (position, n) in &ledger.told {
            let lost = !first.contains_key(position) && !ledger.dropped.contains(position);
            assert!(!lost, "message {n} at {position} is lost; seen {:?}", ledger.seen);
        }
    }

    /// Which numbers have been seen, in order.
    pub fn seen(&self) -> Vec<u64> {
        self.ledger.borrow().seen.iter().map(|(_, n, _)| *n).collect()
    }

    /// Deliveries that carried no flag, of position `p`.
    pub fn unflagged(&self, p: u64) -> usize {
        self.ledger.borrow().seen.iter().filter(|(q, _, flagged)| *q == p && !flagged).count()
    }
}
