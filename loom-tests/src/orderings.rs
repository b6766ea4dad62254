//! Is every ordering necessary? Each half of each row is weakened by a notch, and a model must fail.
//!
//! A half that no model can make fail is either too strong, and then has to be weakened in the code and its table, or
//! untested, and then needs a model. Which model caught a half before is remembered in `catchers.txt`; it is asked
//! first, the others only when it does not fail any more.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;
use std::{fs, io};

use ring_core::model::{plant, plant_reached};

use crate::campaign::side_by_side;
use crate::rows::Half;
use crate::{Explore, Failure, Form, attempt};

/// Halves that no model can make fail, and where the argument for each stands.
pub const EXCEPTED: &[(&str, &str)] = &[];

/// What became of a half.
#[derive(Debug)]
pub enum Outcome {
    /// A model failed.
    Caught {
        /// Its name.
        by: String,
        /// How.
        failure: Failure,
    },
    /// No model failed: the ordering is too strong, or untested.
    Missed,
    /// No model came to an access that carries this half: there is no such row, or nothing runs it.
    NotReached,
}

/// Weakens `half` and asks the models in turn until one fails.
pub fn weaken(half: &str, models: impl IntoIterator<Item = &'static dyn Explore>) -> Outcome {
    let mut reached = false;
    for model in models {
        plant(Some(half));
        let result = attempt(model, Form::Planted);
        reached |= plant_reached();
        plant(None);
        if let Err(failure) = result {
            return Outcome::Caught { by: model.name(), failure };
        }
    }
    if reached { Outcome::Missed } else { Outcome::NotReached }
}

/// `catchers.txt`: which model has caught which half.
#[must_use]
pub fn catchers_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("catchers.txt")
}

/// The remembered models.
///
/// # Errors
/// The file is there and cannot be read.
pub fn catchers() -> io::Result<BTreeMap<String, String>> {
    let text = fs::read_to_string(catchers_file())?;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    Ok(lines.filter_map(|line| line.split_once(' ')).map(|(half, model)| (half.into(), model.into())).collect())
}

/// Weakens each of `halves` and prints a line for each; then the exceptions, and `orderings: N/N caught`. True when none
/// was missed. The models that caught one must pass without a plant, explored as `sound` says: one that always fails would
/// catch everything.
///
/// # Errors
/// The file of catchers cannot be read, or written with `learn`.
pub fn run(halves: &[Half], models: &[&'static dyn Explore], learn: bool, sound: Form) -> io::Result<bool> {
    let remembered = catchers()?;
    let found = Mutex::new(BTreeMap::new());
    let missed = Mutex::new(Vec::new());
    let asked: Vec<_> = halves.iter().filter(|half| !is_excepted(half)).collect();
    side_by_side(&asked, |half| {
        let start = Instant::now();
        let known = remembered.get(&half.name);
        let mut order = models.to_vec();
        order.sort_by_key(|m| (known != Some(&m.name()), m.victims()));
        let outcome = weaken(&half.name, order);
        let took = start.elapsed().as_secs_f64();
        match outcome {
            Outcome::Caught { by, failure } => {
                let note = if known == Some(&by) { "" } else { ", not the remembered one" };
                println!("{}: {by}{note}, {took:.1} s: {failure}", half.name);
                lock(&found).insert(half.name.clone(), by);
            }
            missing => {
                println!("{}: NOT CAUGHT, {missing:?}, {took:.1} s", half.name);
                lock(&missed).push(half.name.clone());
            }
        }
        true
    });
    let (found, missed) = (unwrap(found), unwrap(missed));
    let used: BTreeSet<_> = found.values().collect();
    let used: Vec<_> = models.iter().filter(|m| used.contains(&m.name())).collect();
    let unsound = Mutex::new(Vec::new());
    side_by_side(&used, |model| {
        if let Err(failure) = attempt(**model, sound) {
            println!("UNSOUND {}: fails without a plant: {failure}", model.name());
            lock(&unsound).push(model.name());
        }
        true
    });
    println!("{} models caught them; unweakened, {} of these fail", used.len(), lock(&unsound).len());
    if learn {
        write_catchers(remembered, &found)?;
    }
    for (half, argument) in EXCEPTED {
        println!("{half}: excepted, {argument}");
    }
    println!("excepted: {}", EXCEPTED.len());
    println!("orderings: {}/{} caught", found.len(), asked.len());
    Ok(missed.is_empty() && unwrap(unsound).is_empty())
}

fn is_excepted(half: &Half) -> bool {
    EXCEPTED.iter().any(|(name, _)| *name == half.name)
}

fn write_catchers(mut known: BTreeMap<String, String>, found: &BTreeMap<String, String>) -> io::Result<()> {
    known.extend(found.iter().map(|(half, by)| (half.clone(), by.clone())));
    let mut text = String::from(
        "# Which model catches which weakened half: asked first by ci/orderings.sh, which also checks it.\n",
    );
    for (half, by) in &known {
        let _ = writeln!(text, "{half} {by}");
    }
    fs::write(catchers_file(), text)
}

fn lock<T>(m: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    m.lock().unwrap_or_else(|e| e.into_inner())
}

fn unwrap<T>(m: Mutex<T>) -> T {
    m.into_inner().unwrap_or_else(|e| e.into_inner())
}
