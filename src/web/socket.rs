//! The socket's file: for its owner and group only from the moment it can be seen, never taken from a daemon that lives, and
//! gone when we are.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::time::timeout;

/// Owner and group may speak to us.
const MODE: u32 = 0o660;

/// A daemon that does not even take a connection by then is not one that we may replace.
const KNOCK: Duration = Duration::from_secs(1);

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// A daemon listens there.
    #[error("another homeostat listens at {}; stop it, or start this one in another directory", .0.display())]
    Taken(PathBuf),
    /// A file of another kind is there.
    #[error("{} is there and is not a socket; move it away", .0.display())]
    NotASocket(PathBuf),
    /// The system refused.
    #[error("cannot {what} the socket {}: {source}; its directory must exist and be ours to write", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// The file of a socket; it goes with this, unless it has become somebody else's.
pub(super) struct File {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
}

impl Drop for File {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == self.identity) {
            // If it cannot be removed, the next start finds it dead and replaces it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Listens at `path`, in place of a file that a dead process has left.
pub(super) async fn listen(path: &Path) -> Result<(UnixListener, File), SocketError> {
    refuse_if_taken(path).await?;
    let at = |what| move |source| SocketError::Io { what, path: path.to_owned(), source };
    // It is made where only we can come, and moved into sight when its mode is right. The name is short because a socket's
    // path has 107 bytes at most.
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let hidden = directory.join(format!(".hs{}", std::process::id()));
    let born = hidden.join("s");
    remove(&born, &hidden);
    DirBuilder::new().mode(0o700).create(&hidden).map_err(at("make"))?;
    let made = UnixListener::bind(&born).and_then(|listener| {
        fs::set_permissions(&born, Permissions::from_mode(MODE))?;
        let found = fs::symlink_metadata(&born)?;
        fs::rename(&born, path)?;
        Ok((listener, File { path: path.to_owned(), identity: (found.dev(), found.ino()) }))
    });
    remove(&born, &hidden);
    made.map_err(at("make"))
}

/// What is left of an attempt, ours or that of a process that had our number and died in the midst of it.
fn remove(socket: &Path, directory: &Path) {
    let _ = fs::remove_file(socket);
    let _ = fs::remove_dir(directory);
}

async fn refuse_if_taken(path: &Path) -> Result<(), SocketError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(SocketError::Io { what: "look at", path: path.to_owned(), source }),
        Ok(found) if !found.file_type().is_socket() => return Err(SocketError::NotASocket(path.to_owned())),
        Ok(_) => {}
    }
    match timeout(KNOCK, UnixStream::connect(path)).await {
        // Nobody holds it: its process is dead.
        Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
        Ok(Err(error)) if error.kind() == ErrorKind::NotFound => Ok(()),
        _ => Err(SocketError::Taken(path.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[tokio::test]
    async fn the_file_is_for_owner_and_group_and_goes_with_its_listener() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("homeostat.sock");
        let (listener, file) = listen(&path).await.unwrap();
        assert_eq!(mode(&path), 0o660);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left beside it");
        drop((listener, file));
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn only_what_is_dead_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("homeostat.sock");
        // A process that was killed leaves its file.
        drop(UnixListener::bind(&path).unwrap());
        let (_listener, file) = listen(&path).await.unwrap();
        assert!(matches!(listen(&path).await, Err(SocketError::Taken(_))));

        // Somebody has put theirs in its place; it stays.
        fs::remove_file(&path).unwrap();
        let _theirs = UnixListener::bind(&path).unwrap();
        drop(file);
        assert!(path.exists());

        let file = directory.path().join("notes");
        fs::write(&file, "mine").unwrap();
        assert!(matches!(listen(&file).await, Err(SocketError::NotASocket(_))));
        assert_eq!(fs::read(&file).unwrap(), b"mine");
        assert!(matches!(listen(&directory.path().join("no/where")).await, Err(SocketError::Io { .. })));
    }
}
