//! The ordering rows of the protocol documents (`docs/protocol*.md`), and the halves of them that can be weakened.
//!
//! A row is a line of a table whose first cell is an id and whose fourth is an ordering. `ring-core/tests/docs_sync.rs`
//! keeps these rows equal to the code.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// One half that can be weakened by a notch: `S3` for a row with one ordering, `T2.acquire` and `T2.release` for one
/// with two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Half {
    /// Its name, as [`ring_core::model::plant`] takes it.
    pub name: String,
}

/// The protocol documents, in order.
///
/// # Errors
/// The folder cannot be read.
pub fn documents() -> io::Result<Vec<PathBuf>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("");
        if name.starts_with("protocol") && name.ends_with(".md") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Every half of every row in all documents.
///
/// # Errors
/// A document cannot be read, or a row cannot be weakened by these rules.
pub fn halves() -> io::Result<Vec<Half>> {
    let mut all = Vec::new();
    for document in documents()? {
        let text = fs::read_to_string(&document)?;
        all.extend(halves_of(&text).map_err(|e| io::Error::other(format!("{}: {e}", document.display())))?);
    }
    Ok(all)
}

/// The halves of the rows in the tables of `text`.
///
/// # Errors
/// A `SeqCst` row that is no fence: loom takes such an access for `AcqRel`, so it would prove nothing.
pub fn halves_of(text: &str) -> Result<Vec<Half>, String> {
    let mut halves = Vec::new();
    for line in text.lines() {
        let cells: Vec<_> = line.trim().trim_matches('|').split('|').map(|c| c.trim().trim_matches('`')).collect();
        let [id, _, operation, ordering, ..] = cells[..] else { continue };
        let parts: &[&str] = match ordering {
            "Acquire" | "Release" => &[""],
            "AcqRel" => &[".acquire", ".release"],
            "SeqCst" if operation.contains("fence") => &[""],
            "SeqCst" => return Err(format!("row {id}: write SeqCst accesses as fences, loom weakens them")),
            _ => continue,
        };
        halves.extend(parts.iter().map(|part| Half { name: format!("{id}{part}") }));
    }
    Ok(halves)
}
