//! What a daemon has stored, read from a copy of its files: no look changes what the next daemon finds.

use rusqlite::Connection;

use super::House;

/// A copy of the database.
pub struct Database {
    connection: Connection,
    _directory: tempfile::TempDir,
}

impl House {
    /// The database as it is now. A daemon that lives must be `frozen` meanwhile.
    pub fn database(&self) -> Database {
        let directory = tempfile::tempdir().unwrap();
        for name in ["homeostat.db", "homeostat.db-wal"] {
            if let Ok(bytes) = std::fs::read(self.path(name)) {
                std::fs::write(directory.path().join(name), bytes).unwrap();
            }
        }
        Database { connection: Connection::open(directory.path().join("homeostat.db")).unwrap(), _directory: directory }
    }
}

impl Database {
    fn ask(&self, question: &str) -> i64 {
        self.connection.query_row(question, [], |row| row.get(0)).unwrap()
    }

    /// How many readings there are.
    pub fn stored(&self) -> i64 {
        self.ask("SELECT count(*) FROM readings")
    }

    /// When the newest reading was taken that was not taken after `at`.
    pub fn newest_before(&self, at: i64) -> i64 {
        self.ask(&format!("SELECT max(time) FROM readings WHERE time <= {at}"))
    }

    pub fn last_seq(&self) -> i64 {
        self.ask("SELECT max(seq) FROM readings")
    }

    pub fn first_seq(&self) -> i64 {
        self.ask("SELECT min(seq) FROM readings")
    }

    /// The smallest number of those that were read after this, in milliseconds since 1970.
    pub fn first_seq_since(&self, time: i64) -> Option<i64> {
        let question = "SELECT min(seq) FROM readings WHERE time > ?1";
        self.connection.query_row(question, [time], |row| row.get(0)).unwrap()
    }

    /// When the newest was read, in milliseconds since 1970.
    pub fn last_time(&self) -> Option<i64> {
        self.connection.query_row("SELECT max(time) FROM readings", [], |row| row.get(0)).unwrap()
    }

    /// The file is whole, no number is there twice, and time goes with the numbers. Gives how many readings there are.
    pub fn whole(&self) -> i64 {
        let check: String = self.connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(check, "ok");
        assert_eq!(self.ask("SELECT count(*) - count(DISTINCT seq) FROM readings"), 0);
        let backwards =
            "SELECT count(*) FROM (SELECT time - lag(time) OVER (ORDER BY seq) AS step FROM readings) WHERE step < 0";
        assert_eq!(self.ask(backwards), 0);
        self.stored()
    }
}
