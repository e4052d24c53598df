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
    /// Written by an older homeostat, and not yet brought to the current schema.
    #[error(
        "{} was written by an older homeostat (schema {found}, this one reads {known}): \
         start the daemon on it once, or on a copy of it", .file.display()
    )]
    Older {
        /// The file.
        file: PathBuf,
        /// Its schema.
        found: usize,
        /// The schema of this program.
        known: usize,
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
    /// It is ours, and damaged.
    #[error("the database {} is damaged: {what}", .file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What shows it.
        what: String,
    },
    /// It is damaged, and could not even be renamed.
    #[error("the damaged database {} cannot be put aside: {source}", .file.display())]
    PutAside {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The copy could not be written.
    #[error("cannot write the copy {}: {source}; check that there is room and that you may write there", .to.display())]
    Backup {
        /// Where the copy should be.
        to: PathBuf,
        /// What the system says.
        source: std::io::Error,
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

impl StoreError {
    /// Whether a person has named a place that is not ours to write to. Nothing there is touched, and the daemon does not start.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::NoDirectory { .. } | Self::NotADatabase { .. } | Self::NotOurs { .. } | Self::Newer { .. })
    }

    /// Whether the file itself is damaged, so that trying again is no use.
    pub(super) fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { .. } => true,
            Self::Sqlite { source, .. } => is_damage(source),
            _ => false,
        }
    }

    /// Whether there is no room on the disk.
    pub(super) fn is_full(&self) -> bool {
        match self {
            Self::Sqlite { source, .. } => source.sqlite_error_code() == Some(ErrorCode::DiskFull),
            _ => false,
        }
    }
}

/// Whether this says that what lies in the file makes no sense: SQLite's own word for it, a table of ours that is not there, a
/// value of another type than was written.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => match failure.code {
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => true,
            _ => failure.extended_code == rusqlite::ffi::SQLITE_ERROR,
        },
        rusqlite::Error::InvalidPath(_) | rusqlite::Error::NulError(_) => false,
        _ => true,
    }
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
        Some(ErrorCode::DatabaseCorrupt) => "the file is damaged: it will be put aside and a new one begun",
        Some(ErrorCode::SystemIoFailure) => "the disk or SD card may be failing: look at `dmesg`",
        _ => "if it stays so, move the file away, a new one is begun",
    }
}
