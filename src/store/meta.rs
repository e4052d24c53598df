//! Single numbers that the database remembers.

use rusqlite::{Connection, OptionalExtension};

use super::writer::whole;

/// Up to which number readings may have been given out.
pub(super) const RESERVED: &str = "reserved";
/// Up to which number the history's reader has everything. Only there while there is such a reader.
pub(super) const HISTORY: &str = "history";
/// Up to which number readings are in the roll-ups.
pub(super) const ROLLED_UP: &str = "rolled_up";

/// 0 if it was never set.
pub(super) fn get(db: &Connection, key: &str) -> rusqlite::Result<u64> {
    Ok(find(db, key)?.unwrap_or(0))
}

/// `None` if it was never set.
pub(super) fn find(db: &Connection, key: &str) -> rusqlite::Result<Option<u64>> {
    let value: Option<i64> =
        db.prepare_cached("SELECT value FROM meta WHERE key = ?1")?.query_row([key], |row| row.get(0)).optional()?;
    Ok(value.map(|value| u64::try_from(value).unwrap_or(0)))
}

pub(super) fn remove(db: &Connection, key: &str) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM meta WHERE key = ?1")?.execute([key])?;
    Ok(())
}

pub(super) fn set(db: &Connection, key: &str, value: u64) -> rusqlite::Result<()> {
    db.prepare_cached("INSERT INTO meta VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value")?
        .execute((key, whole(value)))?;
    Ok(())
}
