//! Files of results: written, and read back for the plots, so that a plot shows what its file says.

use std::fs;
use std::path::Path;

/// Writes `stem.csv` and `stem.md` to `folder` and removes the plots of the run before; returns the rows as they were
/// read from the file.
pub(crate) fn keep(folder: &Path, stem: &str, csv: &str, text: &str) -> Result<Vec<Vec<String>>, String> {
    let failed = |path: &Path, why: std::io::Error| format!("cannot write {}: {why}", path.display());
    fs::create_dir_all(folder).map_err(|why| failed(folder, why))?;
    for entry in fs::read_dir(folder).map_err(|why| failed(folder, why))?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(&format!("{stem}-")) && name.ends_with(".svg") {
            fs::remove_file(entry.path()).map_err(|why| failed(&entry.path(), why))?;
        }
    }
    let (data, page) = (folder.join(format!("{stem}.csv")), folder.join(format!("{stem}.md")));
    fs::write(&data, csv).map_err(|why| failed(&data, why))?;
    fs::write(&page, text).map_err(|why| failed(&page, why))?;
    let read = fs::read_to_string(&data).map_err(|why| failed(&data, why))?;
    let columns = read.lines().next().map_or(0, |head| head.split(',').count());
    let rows: Vec<Vec<String>> =
        read.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect();
    match rows.iter().find(|row| row.len() != columns) {
        Some(row) => Err(format!("{}: a line with {} of {columns} columns", data.display(), row.len())),
        None => Ok(rows),
    }
}

/// A number of a file.
pub(crate) fn number(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| format!("no number: {text}"))
}
