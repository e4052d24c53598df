//! The tables, and how an older file becomes a current one.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::disk::{Disk, Operation};
use super::error::is_damage;
use super::migrations::MIGRATIONS;
use super::{Config, StoreError, aside};

/// Marks the file as ours ("home"), so that no other program's database is ever changed.
const APPLICATION: i64 = 0x686f_6d65;

/// How long a flush waits for another program's lock. It is tried again at the next flush.
const PATIENCE: Duration = Duration::from_secs(1);

/// Tables of ours that no file is without.
const TABLES: [&str; 3] = ["meta", "readings", "series"];

/// Above this a schema's number is no newer homeostat but a damaged file.
const PLAUSIBLE: i64 = 1000;

/// After a stop that was none, a file of up to this size is looked through before it is used: within a second or two on an SD
/// card. A larger one would keep sensors and outputs waiting for minutes; its damage is found where it is read or written.
const LOOKED_THROUGH: u64 = 32 * 1024 * 1024;

/// Opens the file for writing, begins it if there is none, and brings it to the current schema.
pub(super) fn open(file: &Path, disk: &dyn Disk) -> Result<Connection, StoreError> {
    let directory = file.parent().filter(|directory| !directory.as_os_str().is_empty());
    if let Some(directory) = directory.filter(|directory| !directory.is_dir()) {
        return Err(StoreError::NoDirectory { directory: directory.to_owned() });
    }
    let damaged = |what: &str| StoreError::Damaged { file: file.to_owned(), what: what.to_owned() };
    let failed = |source: rusqlite::Error| match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) if !was_ours(file) => StoreError::NotADatabase { file: file.to_owned() },
        _ if is_damage(&source) => damaged(&source.to_string()),
        _ => StoreError::Sqlite { what: "open", file: file.to_owned(), source },
    };
    disk.check(Operation::Open).map_err(|fault| failed(fault.into()))?;
    let (size, log) = (length(file), length(&aside::log_of(file)));
    if size == 0 && log > 0 {
        // SQLite would take it for a new one and throw the log away, with what is in it.
        return Err(damaged("it is empty, and its log is not"));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut db = Connection::open_with_flags(file, flags).map_err(failed)?;
    // Until it is sure that file and log are whole, neither is to be changed by closing them again.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(failed)?;
    let version = version(&db, file).map_err(failed)??;
    // The log of an orderly stop is empty and gone.
    if log > 0 && size <= LOOKED_THROUGH {
        let found: String = db.query_row("PRAGMA quick_check(1)", (), |row| row.get(0)).map_err(failed)?;
        if found != "ok" {
            return Err(damaged(found.trim()));
        }
    }
    prepare(&mut db, version).map_err(failed)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).map_err(failed)?;
    Ok(db)
}

/// Whether what is open there for reading is ours, and of the current schema.
pub(super) fn check(db: &Connection, file: &Path) -> Result<(), StoreError> {
    match version(db, file) {
        Ok(Ok(0)) => Err(StoreError::NotOurs { file: file.to_owned() }),
        Ok(Ok(version)) if version == MIGRATIONS.len() => Ok(()),
        Ok(Ok(found)) => Err(StoreError::Older { file: file.to_owned(), found, known: MIGRATIONS.len() }),
        Ok(Err(error)) => Err(error),
        Err(source) if source.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
            Err(StoreError::NotADatabase { file: file.to_owned() })
        }
        Err(source) => Err(super::read::failed(file, source)),
    }
}

fn length(file: &Path) -> u64 {
    std::fs::metadata(file).map_or(0, |known| known.len())
}

/// Whether a file that SQLite cannot read was a database of ours once. What a person may have put there by mistake is left alone.
fn was_ours(file: &Path) -> bool {
    let mut header = [0; 100];
    let read = std::fs::File::open(file).and_then(|mut opened| opened.read_exact(&mut header));
    // The application's number is at byte 68 (sqlite.org/fileformat.html).
    let ours = i64::from(u32::from_be_bytes([header[68], header[69], header[70], header[71]])) == APPLICATION;
    let blank = header.iter().all(|&byte| byte == header[0]);
    let is_named_so = file.file_name() == Config::default().path.file_name();
    is_named_so || (read.is_ok() && (ours || blank))
}

/// The file's schema, once it is sure that the file is ours and that we know it.
fn version(db: &Connection, file: &Path) -> rusqlite::Result<Result<usize, StoreError>> {
    db.busy_timeout(PATIENCE)?;
    let count = "SELECT count(*), count(*) FILTER (WHERE type = 'table' AND name IN (?1, ?2, ?3)) FROM sqlite_schema";
    let (all, ours): (i64, i64) = db.query_row(count, TABLES, |row| Ok((row.get(0)?, row.get(1)?)))?;
    let application: i64 = db.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let found: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if all == 0 && application == 0 {
        return Ok(Ok(0));
    }
    let damaged = |what: String| Ok(Err(StoreError::Damaged { file: file.to_owned(), what }));
    let has_ours = ours == TABLES.len() as i64;
    match (application == APPLICATION, has_ours) {
        (true, true) => {}
        (true, false) => return damaged("tables are missing".into()),
        (false, true) => return damaged("its mark is wrong".into()),
        (false, false) => return Ok(Err(StoreError::NotOurs { file: file.to_owned() })),
    }
    match usize::try_from(found) {
        Ok(version @ 1..) if version <= MIGRATIONS.len() => Ok(Ok(version)),
        Ok(_) if (1..=PLAUSIBLE).contains(&found) => {
            Ok(Err(StoreError::Newer { file: file.to_owned(), found, known: MIGRATIONS.len() as i64 }))
        }
        _ => damaged(format!("its schema is said to be {found}")),
    }
}

/// The highest number that was ever reserved, from a file that is good for nothing else.
pub(super) fn salvage_reserved(file: &Path) -> Option<u64> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(file, flags).ok()?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).ok()?;
    let value: i64 = db.query_row("SELECT value FROM meta WHERE key = 'reserved'", (), |row| row.get(0)).ok()?;
    u64::try_from(value).ok().filter(|&value| value > 0 && value < 1 << 53)
}

fn prepare(db: &mut Connection, version: usize) -> rusqlite::Result<()> {
    // Both only take effect before the first table. Half of SQLite's usual page: a flush ends in the midst of one, and what is
    // touched beside the readings themselves is written as whole pages.
    db.pragma_update(None, "page_size", 2048)?;
    // Lets old data's pages be given back little by little.
    db.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    db.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    // What a transaction has written survives a power cut. With NORMAL the system may keep it in memory for half a minute.
    db.pragma_update(None, "synchronous", "FULL")?;
    // In KiB.
    db.pragma_update(None, "cache_size", -1024)?;
    // In pages: the log goes into the file about twice an hour at fifty readings a second.
    db.pragma_update_and_check(None, "wal_autocheckpoint", 2000, |_| Ok(()))?;
    // In bytes. A reader that stays for long makes it longer than that; then it is cut again.
    db.pragma_update_and_check(None, "journal_size_limit", 4 << 20, |_| Ok(()))?;
    for (index, migration) in MIGRATIONS.iter().enumerate().skip(version) {
        let transaction = db.transaction()?;
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", index as i64 + 1)?;
        transaction.commit()?;
    }
    // What a deletion sorts is small, and /tmp may lie on the card. What a migration sorts may be larger than the memory.
    db.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::disk::RealDisk;
    use super::*;

    fn open(file: &Path) -> Result<Connection, StoreError> {
        super::open(file, &RealDisk)
    }

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
            "FILE was written by a newer homeostat (schema 99, this one knows 3): \
             install that version again, or move the file away"
        );
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config.toml");
        std::fs::write(&file, "shopping list: ".repeat(100)).unwrap();
        assert!(matches!(open(&file), Err(StoreError::NotADatabase { .. })));
        let text = refused(|file| Connection::open(file).unwrap().execute_batch("CREATE TABLE photos (id)").unwrap());
        assert_eq!(text, "FILE is a database of another program: choose another `path` under [store]");
    }

    #[test]
    fn a_file_of_the_first_schema_gets_the_alarms_and_keeps_its_readings() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("homeostat.db");
        let old = Connection::open(&file).unwrap();
        old.execute_batch(MIGRATIONS[0]).unwrap();
        old.pragma_update(None, "application_id", APPLICATION).unwrap();
        old.pragma_update(None, "user_version", 1).unwrap();
        old.execute_batch(
            "INSERT INTO series VALUES (1, 'a.b', '%'); INSERT INTO readings VALUES (1, 2, 3, 4, 0, NULL)",
        )
        .unwrap();
        drop(old);
        let db = open(&file).unwrap();
        let count = |view: &str| db.query_row(&format!("SELECT count(*) FROM {view}"), (), |row| row.get::<_, i64>(0));
        assert_eq!((count("history"), count("alarm_history")), (Ok(1), Ok(0)));
    }

    #[test]
    fn a_file_of_the_second_schema_keeps_every_reading_with_its_reason() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("homeostat.db");
        let old = Connection::open(&file).unwrap();
        MIGRATIONS[..2].iter().for_each(|migration| old.execute_batch(migration).unwrap());
        old.pragma_update(None, "application_id", APPLICATION).unwrap();
        old.pragma_update(None, "user_version", 2).unwrap();
        old.execute_batch(
            "INSERT INTO series VALUES (1, 'a.b', '%'), (2, 'c.d', 'V');
             INSERT INTO readings VALUES (1, 100, 1, 0.5, 0, NULL), (2, 100, 2, NULL, 2, 'gone'), (1, 90, 3, 7, 1, 'odd'),
                (2, 101, 4, NULL, 2, NULL), (1, 103, 5, 8, 1, NULL), (2, 99, 2005, NULL, 2, 'hung'), (1, 104, 2006, 9, 0, NULL);
             INSERT INTO alarms VALUES (1, 5, 'sensors.a', 'unplugged', 0, 0);
             INSERT INTO meta VALUES ('reserved', 77)",
        )
        .unwrap();
        drop(old);
        let db = open(&file).unwrap();
        let lines = |question: &str| -> Vec<String> {
            let mut select = db.prepare(question).unwrap();
            select.query_map((), |row| row.get(0)).unwrap().map(Result::unwrap).collect()
        };
        assert_eq!(
            lines("SELECT concat_ws(' ', seq, channel, value, unit, quality, reason) FROM history ORDER BY seq"),
            [
                "1 a.b 0.5 % good",
                "2 c.d V bad gone",
                "3 a.b 7.0 % uncertain odd",
                "4 c.d V bad gone",
                "5 a.b 8.0 % uncertain odd",
                "2005 c.d V bad hung",
                "2006 a.b 9.0 % good",
            ]
        );
        let batches = "SELECT concat_ws(' ', first_seq, last_seq, from_time, to_time, count) FROM batches";
        assert_eq!(lines(batches), ["1 5 90 103 5", "2005 2006 99 104 2"]);
        assert_eq!(lines("SELECT name || text FROM alarm_history"), ["sensors.aunplugged"]);
        assert_eq!(lines("SELECT key || value FROM meta"), ["reserved77"]);
        assert_eq!(lines("PRAGMA integrity_check"), ["ok"]);
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
