//! One daemon for one state directory: whoever drives the outputs holds a lock there. The kernel lets it go with the process, however
//! that ends, so it cannot be left behind.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// The file in the state directory. It is empty, and stays there.
pub const NAME: &str = "homeostat.lock";

/// The lock, for as long as this lives.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Why the lock is not ours.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// A process that lives has it.
    #[error("homeostat is running here already (it holds {}): stop it first, with Ctrl-C where a person started it, or by `systemctl stop homeostat`", .0.display())]
    Held(PathBuf),
    /// Nobody knows.
    #[error("cannot lock {}: {reason}", file.display())]
    Io {
        /// The lock's file.
        file: PathBuf,
        /// The system's words.
        reason: io::Error,
    },
}

impl Lock {
    /// Takes the lock of a state directory. Waits for nothing.
    ///
    /// # Errors
    /// Somebody holds it, or the disk does not let us make its file.
    pub fn take(state: &Path) -> Result<Self, LockError> {
        let file = state.join(NAME);
        // A disk that has become read-only can still be locked on, if the file is there.
        let opened = File::options().append(true).create(true).open(&file).or_else(|_| File::open(&file));
        opened.map_err(|reason| LockError::Io { file: file.clone(), reason }).and_then(|opened| lock(opened, file))
    }

    /// The same, without writing anything: no file is no lock, `None`.
    ///
    /// # Errors
    /// Somebody holds it, or nobody can tell.
    pub fn take_if_there(state: &Path) -> Result<Option<Self>, LockError> {
        let file = state.join(NAME);
        match File::open(&file) {
            Ok(opened) => lock(opened, file).map(Some),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(reason) => Err(LockError::Io { file, reason }),
        }
    }
}

fn lock(opened: File, file: PathBuf) -> Result<Lock, LockError> {
    match opened.try_lock() {
        Ok(()) => Ok(Lock { _file: opened }),
        Err(TryLockError::WouldBlock) => Err(LockError::Held(file)),
        Err(TryLockError::Error(reason)) => Err(LockError::Io { file, reason }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_has_the_lock() {
        let directory = tempfile::tempdir().unwrap();
        assert!(Lock::take_if_there(directory.path()).unwrap().is_none());
        let first = Lock::take(directory.path()).unwrap();
        assert!(matches!(Lock::take(directory.path()), Err(LockError::Held(_))));
        assert!(matches!(Lock::take_if_there(directory.path()), Err(LockError::Held(_))));
        drop(first);
        assert!(Lock::take_if_there(directory.path()).unwrap().is_some());
        assert!(matches!(Lock::take(&directory.path().join("nowhere")), Err(LockError::Io { .. })));
    }
}
