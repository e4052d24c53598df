//! A copy of the database, while the daemon writes on.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::{StoreError, read};

/// How many pages are copied between two words on the progress: about a megabyte.
const STEP: i32 = 512;

/// Copies the database as it is at this moment to `to`, which then holds either what it held before or the whole copy. `progress`
/// hears how many pages are done, of how many. What the daemon writes meanwhile waits in its log. Only a copy that SQLite finds
/// whole comes to its place. Blocks.
///
/// # Errors
/// One of the two cannot be read or written, or the database is damaged; nothing half-made is left.
pub fn backup(file: &Path, to: &Path, progress: impl FnMut(u64, u64)) -> Result<(), StoreError> {
    let mut beside = OsString::from(to);
    beside.push(".new");
    let beside = Path::new(&beside);
    let written = |source: io::Error| StoreError::Backup { to: to.to_owned(), source };
    let done = match fs::remove_file(beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(written(error)),
        _ => copy(file, beside, progress).and_then(|()| put_in_place(beside, to).map_err(written)),
    };
    if done.is_err() {
        let _ = fs::remove_file(beside);
    }
    done
}

fn copy(file: &Path, to: &Path, mut progress: impl FnMut(u64, u64)) -> Result<(), StoreError> {
    let source = |source| StoreError::Sqlite { what: "read", file: file.to_owned(), source };
    let target = |source| StoreError::Sqlite { what: "write to", file: to.to_owned(), source };
    let db = read::open(file).map_err(source)?;
    // Held to the end, so that what is written meanwhile does not make the copy begin again.
    let moment = db.unchecked_transaction().map_err(source)?;
    moment.query_row("SELECT count(*) FROM sqlite_schema", (), |_| Ok(())).map_err(source)?;
    let mut copied = Connection::open(to).map_err(target)?;
    copied.pragma_update(None, "synchronous", "OFF").map_err(target)?;
    let backup = Backup::new(&moment, &mut copied).map_err(target)?;
    loop {
        let step = backup.step(STEP).map_err(target)?;
        let known = backup.progress();
        let pages = |pages: i32| u64::try_from(pages).unwrap_or(0);
        progress(pages(known.pagecount - known.remaining), pages(known.pagecount));
        match step {
            StepResult::Done => break,
            StepResult::More => {}
            _ => return Err(target(busy())),
        }
    }
    drop(backup);
    // A copy is one file, also after somebody has read it. The daemon that is given it makes a log again.
    copied.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(())).map_err(target)?;
    let found: String = copied.query_row("PRAGMA quick_check(1)", (), |row| row.get(0)).map_err(target)?;
    if found != "ok" {
        return Err(StoreError::Damaged { file: file.to_owned(), what: found.trim().to_owned() });
    }
    Ok(())
}

fn busy() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY), None)
}

fn put_in_place(beside: &Path, to: &Path) -> io::Result<()> {
    File::open(beside)?.sync_all()?;
    fs::rename(beside, to)?;
    let directory = to.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}
