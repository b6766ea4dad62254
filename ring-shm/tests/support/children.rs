//! Children of other threads: between `vfork` and `exec` each has what this process had open, and with it the locks.

use std::process::Command;
use std::sync::Arc;

/// Does something while two threads do nothing but make children.
pub(crate) fn while_children_are_made(work: impl FnOnce()) {
    std::thread::scope(|scope| {
        let working = Arc::new(());
        for _ in 0..2 {
            let working = Arc::downgrade(&working);
            scope.spawn(move || {
                while working.strong_count() > 0 {
                    assert!(Command::new("true").status().unwrap().success());
                }
            });
        }
        work();
    });
}
