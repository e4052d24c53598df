//! What the store asks of its disk, so that a test can have one that fails. Under every disk runs the real SQLite, on a real
//! file: a fault takes the place of one answer, where and as SQLite itself would give it.

use std::io;

use futures_util::future::BoxFuture;
use rusqlite::ffi;

/// A disk as far as the store cares.
pub trait Disk: Send + Sync {
    /// Asked before each operation; a fault makes it fail. Runs where it may block.
    fn check(&self, operation: Operation) -> Result<(), Fault> {
        let _ = operation;
        Ok(())
    }

    /// Ends when the disk takes the next transaction. A real disk lets its own thread wait instead; one that hangs in virtual
    /// time must do it here, because a thread that waits stops that time.
    fn ready(&self) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// The machine's.
#[derive(Debug, Clone, Copy)]
pub struct RealDisk;

impl Disk for RealDisk {}

/// What can fail on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// To open the database or begin one.
    Open,
    /// To add rows, in a transaction that is not committed yet.
    Write,
    /// To commit them.
    Commit,
    /// To roll readings up, or to let old ones go.
    Thin,
    /// To reserve numbers.
    Reserve,
    /// To rename a damaged database.
    PutAside,
}

/// How it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No room.
    #[error("no space left on the disk")]
    Full,
    /// Mounted read-only, as Linux does after an error.
    #[error("the disk is read-only")]
    ReadOnly,
    /// No right to it, or not there.
    #[error("no access to the file")]
    NoAccess,
    /// The card itself fails.
    #[error("the disk fails")]
    Io,
    /// What is read makes no sense.
    #[error("the file is damaged")]
    Damaged,
}

impl From<Fault> for rusqlite::Error {
    fn from(fault: Fault) -> Self {
        let code = match fault {
            Fault::Full => ffi::SQLITE_FULL,
            Fault::ReadOnly => ffi::SQLITE_READONLY,
            Fault::NoAccess => ffi::SQLITE_CANTOPEN,
            Fault::Io => ffi::SQLITE_IOERR,
            Fault::Damaged => ffi::SQLITE_CORRUPT,
        };
        Self::SqliteFailure(ffi::Error::new(code), None)
    }
}

impl From<Fault> for io::Error {
    fn from(fault: Fault) -> Self {
        let kind = match fault {
            Fault::Full => io::ErrorKind::StorageFull,
            Fault::ReadOnly => io::ErrorKind::ReadOnlyFilesystem,
            Fault::NoAccess => io::ErrorKind::PermissionDenied,
            Fault::Io | Fault::Damaged => io::ErrorKind::Other,
        };
        Self::new(kind, fault)
    }
}
