//! Runs models side by side, and remembers which it has been through.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::{Explore, Form, attempt, search, searched};

/// How a campaign ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Every model has passed.
    Passed,
    /// The time was up before the last one.
    Interrupted,
    /// A model has failed.
    Failed,
}

/// One job after the other from `jobs`, on as many threads as there are cores, until they are done or one returns
/// false. Models are searched as the calling thread does.
pub fn side_by_side<J: Sync>(jobs: &[J], run: impl Fn(&J) -> bool + Sync) {
    let (next, go_on) = (AtomicUsize::new(0), AtomicBool::new(true));
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(jobs.len());
    let how = searched();
    std::thread::scope(|s| {
        for _ in 0..threads {
            s.spawn(|| {
                search(how);
                while go_on.load(Ordering::Relaxed) {
                    let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
                    if !run(job) {
                        go_on.store(false, Ordering::Relaxed);
                    }
                }
            });
        }
    });
}

/// Explores `models` and prints a line for each: `model NAME: N executions, P points, S s, T threads, BOUND, whole`, or `cut`.
///
/// With `done`, a file of such lines, those named in it are passed over, and each line is added to it. With `time`, no
/// model is begun after it.
///
/// # Errors
/// The file cannot be read or written.
pub fn run(
    models: &[&'static dyn Explore],
    form: Form,
    done: Option<&Path>,
    time: Option<Duration>,
) -> io::Result<End> {
    let before = match done {
        Some(path) if path.exists() => fs::read_to_string(path)?,
        _ => String::new(),
    };
    let mut left = models.to_vec();
    left.retain(|m| !before.lines().any(|line| line.starts_with(&format!("model {}: ", m.name()))));
    left.sort_by_key(|m| !m.early());
    let file = done.map(|path| OpenOptions::new().create(true).append(true).open(path)).transpose()?.map(Mutex::new);
    let (start, failed, passed) = (Instant::now(), AtomicBool::new(false), AtomicUsize::new(0));
    side_by_side(&left, |model| {
        if time.is_some_and(|time| start.elapsed() > time) {
            return false;
        }
        let fine = explore(*model, form, file.as_ref());
        passed.fetch_add(usize::from(fine), Ordering::Relaxed);
        failed.fetch_or(!fine, Ordering::Relaxed);
        fine
    });
    let all = passed.into_inner() == left.len();
    Ok(if failed.into_inner() {
        End::Failed
    } else if all {
        End::Passed
    } else {
        End::Interrupted
    })
}

fn explore(model: &'static dyn Explore, form: Form, file: Option<&Mutex<File>>) -> bool {
    let start = Instant::now();
    match attempt(model, form) {
        Ok(count) => {
            let line = format!(
                "model {}: {} executions, {} points, {:.1} s, {}\n",
                model.name(),
                count.executions,
                count.points,
                start.elapsed().as_secs_f64(),
                count
            );
            let noted = file.is_none_or(|file| {
                let mut file = file.lock().unwrap_or_else(|e| e.into_inner());
                file.write_all(line.as_bytes()).is_ok()
            });
            print!("{line}");
            noted
        }
        Err(failure) => {
            println!("FAILED {}: {failure}", model.name());
            false
        }
    }
}
