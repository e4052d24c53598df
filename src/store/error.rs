//! What can be wrong with a database, and what to do about it.

use std::path::PathBuf;

use rusqlite::ErrorCode;

/// Why the store cannot do its work. Names the file and the next step.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory is not there.
    #[error("there is no directory {} for the database: create it, or change `path` under [store]", .directory.display())]
    NoDirectory {
        /// Where the database should be.
        directory: PathBuf,
    },
    /// A file of another kind.
    #[error("{} is not a database: move it away, or change `path` under [store]", .file.display())]
    NotADatabase {
        /// The file.
        file: PathBuf,
    },
    /// A database of another program.
    #[error("{} is a database of another program: choose another `path` under [store]", .file.display())]
    NotOurs {
        /// The file.
        file: PathBuf,
    },
    /// Written by a newer homeostat.
    #[error(
        "{} was written by a newer homeostat (schema {found}, this one knows {known}): \
         install that version again, or move the file away", .file.display()
    )]
    Newer {
        /// The file.
        file: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest schema of this program.
        known: i64,
    },
    /// SQLite could not.
    #[error("cannot {what} {}: {source}; {}", .file.display(), advice(.source))]
    Sqlite {
        /// What was tried: `open`, `write to`, `read`.
        what: &'static str,
        /// The file.
        file: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// The thread that wrote was lost.
    #[error("writing to {} ended in a panic: {text}", .file.display())]
    Panicked {
        /// The file.
        file: PathBuf,
        /// What the panic said.
        text: String,
    },
}

/// The next step for a person.
fn advice(error: &rusqlite::Error) -> &'static str {
    match error.sqlite_error_code() {
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            "check that homeostat's user may write to the file and to its directory, and that the disk is not mounted read-only"
        }
        Some(ErrorCode::DiskFull) => "make room on the disk",
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another program holds it locked: end that program, or its transaction"
        }
        Some(ErrorCode::DatabaseCorrupt) => "the file is damaged: move it away, a new one is begun",
        Some(ErrorCode::SystemIoFailure) => "the disk or SD card may be failing: look at `dmesg`",
        _ => "if it stays so, move the file away, a new one is begun",
    }
}
