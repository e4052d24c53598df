//! The tables, and how an older file becomes a current one.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::StoreError;

/// Marks the file as ours ("home"), so that no other program's database is ever changed.
const APPLICATION: i64 = 0x686f_6d65;

/// How long a flush waits for another program's lock. It is tried again at the next flush.
const PATIENCE: Duration = Duration::from_secs(1);

/// Each brings the file from the schema of its index to the next. What was released here is never edited.
const MIGRATIONS: [&str; 1] = ["
    -- A channel that changes its unit becomes another series.
    CREATE TABLE series (
        id   INTEGER PRIMARY KEY,
        name TEXT NOT NULL,             -- air.temperature
        unit TEXT NOT NULL,
        UNIQUE (name, unit)
    );
    -- A series lies together on disk, in the order of time.
    CREATE TABLE readings (
        series  INTEGER NOT NULL REFERENCES series (id),
        time    INTEGER NOT NULL,       -- milliseconds since 1970, UTC
        seq     INTEGER NOT NULL,       -- of this node, growing, never used twice
        value   REAL,                   -- NULL when bad
        quality INTEGER NOT NULL,       -- 0 good, 1 uncertain, 2 bad
        reason  TEXT,                   -- why not good; NULL when it is the same as before
        PRIMARY KEY (series, time, seq)
    ) WITHOUT ROWID;
    CREATE TABLE meta (
        key   TEXT PRIMARY KEY,
        value INTEGER NOT NULL
    ) WITHOUT ROWID;
    -- For people and their tools.
    CREATE VIEW history AS
    SELECT strftime('%Y-%m-%dT%H:%M:%fZ', readings.time / 1000.0, 'unixepoch') AS time,
           series.name AS channel,
           readings.value,
           series.unit,
           CASE readings.quality WHEN 0 THEN 'good' WHEN 1 THEN 'uncertain' ELSE 'bad' END AS quality,
           readings.reason,
           readings.seq
    FROM readings JOIN series ON series.id = readings.series;
"];

/// Opens the file for writing, begins it if there is none, and brings it to the current schema.
pub(super) fn open(file: &Path) -> Result<Connection, StoreError> {
    let directory = file.parent().filter(|directory| !directory.as_os_str().is_empty());
    if let Some(directory) = directory.filter(|directory| !directory.is_dir()) {
        return Err(StoreError::NoDirectory { directory: directory.to_owned() });
    }
    let failed = |source: rusqlite::Error| match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => StoreError::NotADatabase { file: file.to_owned() },
        _ => StoreError::Sqlite { what: "open", file: file.to_owned(), source },
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut db = Connection::open_with_flags(file, flags).map_err(failed)?;
    let version = version(&db, file).map_err(failed)??;
    prepare(&mut db, version).map_err(failed)?;
    Ok(db)
}

/// The file's schema, once it is sure that the file is ours and that we know it.
fn version(db: &Connection, file: &Path) -> rusqlite::Result<Result<usize, StoreError>> {
    db.busy_timeout(PATIENCE)?;
    let empty = db.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get::<_, i64>(0))? == 0;
    let application: i64 = db.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let found: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if empty {
        return Ok(Ok(0));
    }
    if application != APPLICATION {
        return Ok(Err(StoreError::NotOurs { file: file.to_owned() }));
    }
    let known = usize::try_from(found).ok().filter(|&found| found <= MIGRATIONS.len());
    Ok(known.ok_or_else(|| StoreError::Newer { file: file.to_owned(), found, known: MIGRATIONS.len() as i64 }))
}

fn prepare(db: &mut Connection, version: usize) -> rusqlite::Result<()> {
    // Only takes effect before the first table; lets old data's pages be given back little by little.
    db.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    db.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    // A power cut may lose the last transactions, but never damages the file.
    db.pragma_update(None, "synchronous", "NORMAL")?;
    // In KiB. One leaf page for each series stays in memory, and a little more.
    db.pragma_update(None, "cache_size", -1024)?;
    for (index, migration) in MIGRATIONS.iter().enumerate().skip(version) {
        let transaction = db.transaction()?;
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", index as i64 + 1)?;
        transaction.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(make: impl FnOnce(&Path)) -> String {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("homeostat.db");
        make(&file);
        let error = open(&file).unwrap_err().to_string();
        error.replace(&file.display().to_string(), "FILE").replace(&directory.path().display().to_string(), "DIR")
    }

    #[test]
    fn a_new_file_is_ours_from_the_first_moment() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("homeostat.db");
        drop(open(&file).unwrap());
        let db = open(&file).unwrap();
        let pragma = |name: &str| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(pragma("user_version"), MIGRATIONS.len() as i64);
        assert_eq!(pragma("application_id"), APPLICATION);
        assert_eq!(pragma("auto_vacuum"), 2);
        assert_eq!(db.pragma_query_value(None, "journal_mode", |row| row.get::<_, String>(0)).unwrap(), "wal");
    }

    #[test]
    fn a_newer_schema_is_left_alone() {
        let text = refused(|file| open(file).unwrap().pragma_update(None, "user_version", 99).unwrap());
        assert_eq!(
            text,
            "FILE was written by a newer homeostat (schema 99, this one knows 1): \
             install that version again, or move the file away"
        );
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        let text = refused(|file| std::fs::write(file, "shopping list: ".repeat(100)).unwrap());
        assert_eq!(text, "FILE is not a database: move it away, or change `path` under [store]");
        let text = refused(|file| Connection::open(file).unwrap().execute_batch("CREATE TABLE photos (id)").unwrap());
        assert_eq!(text, "FILE is a database of another program: choose another `path` under [store]");
    }

    #[test]
    fn a_place_that_cannot_be_written_to_says_what_to_check() {
        let text = refused(|file| std::fs::create_dir(file).unwrap());
        assert!(text.starts_with("cannot open FILE: "), "{text}");
        assert!(text.contains("check that homeostat's user may write"), "{text}");
        let text = refused(|file| std::fs::remove_dir(file.parent().unwrap()).unwrap());
        assert_eq!(text, "there is no directory DIR for the database: create it, or change `path` under [store]");
    }
}
