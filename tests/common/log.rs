//! What is logged on a test's thread.

#![allow(dead_code, reason = "each test uses what it needs")]
#![allow(clippy::unwrap_used, reason = "this is a test")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A test that waits longer than this has failed.
const DEADLINE: Duration = Duration::from_secs(20);

/// What is logged on this thread as long as this lives.
pub struct Log {
    text: Arc<Mutex<Vec<u8>>>,
    _guard: tracing::subscriber::DefaultGuard,
}

impl Log {
    pub fn begin() -> Self {
        let text = Arc::<Mutex<Vec<u8>>>::default();
        let writer = text.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || Tee(writer.clone())).finish();
        Self { text, _guard: tracing::subscriber::set_default(subscriber) }
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.text.lock().unwrap().clone()).unwrap()
    }

    /// Waits until this was logged.
    pub async fn until(&self, part: &str) {
        let logged = async {
            while !self.text().contains(part) {
                tokio::task::yield_now().await;
            }
        };
        let logged = tokio::time::timeout(DEADLINE, logged).await;
        assert!(logged.is_ok(), "{part:?} was not logged, only:\n{}", self.text());
    }
}

struct Tee(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Tee {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
