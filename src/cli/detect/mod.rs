//! `homeostat detect`: what is connected to this machine, and the lines of the configuration for it.
//!
//! Chips on I²C are asked whether anybody answers at their address, as `i2cdetect` does, and nothing else is said to them: at many an
//! address there can be an output as well, which must not be moved by who only looks.

mod i2c;
mod kernel;

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use self::i2c::Bus;
use super::bench::{Whose, alone, configuration};
use super::client::Client;
use super::database::Sorry;
use super::machine::{last_state_directory, this_board, usual_configuration};
use super::page::{Ink, Page};
use crate::config::Config;
use crate::hardware::Hardware;
use crate::payload::Status;

/// Where is looked, and how closely.
#[derive(Debug, Args)]
pub struct Detect {
    /// Also begin to speak as each sensor's driver would, to tell chips at one address apart. Whatever output is there may move
    #[arg(long)]
    identify: bool,
    #[command(flatten)]
    whose: Whose,
}

/// Something that is there.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// Where, and what it says of itself: `0x76`.
    place: String,
    what: String,
    /// Its table, where we have a driver for it.
    table: Option<String>,
}

/// Looks, and prints.
pub fn detect(Detect { identify, whose: Whose { config, at } }: Detect) -> Result<(), Sorry> {
    let asks = identify || config.is_none();
    let running = asks.then(|| Client::new(at.socket).get::<Status<'static>>("status").ok()).flatten();
    if identify {
        // Under a daemon the same chips would be spoken to by two.
        if running.is_some() {
            let error = "a homeostat runs here, and --identify speaks to the chips themselves";
            return Err(Sorry::taken(error, "stop it first (systemctl stop homeostat), or leave --identify out"));
        }
        alone(&last_state_directory())?;
    }
    let running = running.map(|status| PathBuf::from(&*status.config));
    let known = known(config.or(running), identify)?;
    let board = this_board();
    let mut out = io::stdout();
    let page = Page::of(&out);
    let mut tables = Vec::new();
    let mut show = |heading: &str, found: Vec<Found>, nothing: &str| {
        let mut text = format!("{}\n", page.ink(Ink::Heading, heading));
        for Found { place, what, .. } in &found {
            let _ = writeln!(text, "  {place:<22}  {}", page.hang(26, what));
        }
        if found.is_empty() {
            let _ = writeln!(text, "  {}", page.ink(Ink::Dim, nothing));
        }
        tables.extend(found.into_iter().filter_map(|one| one.table));
        let _ = out.write_all(text.as_bytes());
    };
    let root = Path::new("/");
    let buses = i2c::buses(root);
    if buses.is_empty() {
        show(
            "I²C",
            Vec::new(),
            "no bus: enable one with dtparam=i2c_arm=on in /boot/firmware/config.txt, and `sudo modprobe i2c-dev`",
        );
    }
    for number in buses {
        show(&format!("I²C bus {number}"), on_bus(number, &board, known.as_ref(), identify), "nobody answers");
    }
    for (heading, found, nothing) in kernel::all(root) {
        show(heading, found, nothing);
    }
    if !tables.is_empty() {
        let text = format!("\n{}\n\n{}", page.ink(Ink::Heading, "for the configuration"), tables.join("\n"));
        let _ = out.write_all(text.as_bytes());
    }
    Ok(())
}

fn on_bus(number: u8, board: &Arc<dyn Hardware>, known: Option<&Config>, identify: bool) -> Vec<Found> {
    match Bus::scan(number, &**board) {
        Ok(bus) => bus.found(known, Some(board).filter(|_| identify)),
        Err(error) => vec![Found { place: format!("/dev/i2c-{number}"), what: error.to_string(), table: None }],
    }
}

/// The configuration that runs here, or would: what it has needs no guessing. There need not be one, but one that cannot be read is told;
/// what is spoken to must not be somebody's output.
fn known(file: Option<PathBuf>, must: bool) -> Result<Option<Config>, Sorry> {
    let Some(file) = file.or_else(usual_configuration) else { return Ok(None) };
    match configuration(Some(file)) {
        Ok((config, _)) => Ok(Some(config)),
        Err(sorry) if must => Err(sorry),
        Err(Sorry { text, .. }) => {
            let _ = writeln!(io::stderr(), "{text}note: so nothing is known of whose the addresses are");
            Ok(None)
        }
    }
}
