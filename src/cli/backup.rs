//! `homeostat backup TO`: a whole copy of the database, while the daemon runs on.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::bar::Bar;
use super::database::{Database, Sorry, Which};
use super::target::may_become;
use crate::store;

/// What is to be copied to where.
#[derive(Debug, Args)]
pub struct Backup {
    /// The copy's file
    to: PathBuf,
    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    which: Which,
}

/// Copies it.
pub fn backup(Backup { to, force, which }: Backup) -> Result<(), Sorry> {
    let database = Database::find(which)?;
    may_become(&to, &database.file, "homeostat.db")?;
    is_free(&to, force)?;
    database.mention_what_is_left();
    let mut bar = Bar::new("copying", true);
    store::backup(&database.file, &to, |done, all| bar.at(done, all))?;
    drop(bar);
    let size = fs::metadata(&to).map_or(0, |known| known.len());
    let _ = writeln!(io::stdout(), "{} is a whole copy of {} ({})", to.display(), database.file.display(), bytes(size));
    Ok(())
}

fn is_free(to: &Path, force: bool) -> Result<(), Sorry> {
    let named = to.display();
    if to.exists() && !force {
        return Err(Sorry::missing(format!("{named} is there already"), "name another file, or replace it (--force)"));
    }
    // SQLite would take an older file's log for this one's.
    let log = beside(to, "-wal");
    if fs::metadata(&log).is_ok_and(|known| known.len() > 0) {
        let next = "end the program that has it open, or take both away";
        return Err(Sorry::missing(format!("{} is there: {named} is a database in use", log.display()), next));
    }
    Ok(())
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(suffix);
    name.into()
}

/// `12.3 MB`
fn bytes(size: u64) -> String {
    match size {
        0..1_000_000 => format!("{:.0} kB", size as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", size as f64 / 1e6),
        _ => format!("{:.1} GB", size as f64 / 1e9),
    }
}
