//! Values that a driver of the kernel shows as files, a folder for each device: found by the device's name, as the folders' numbers
//! change from start to start.

use std::path::{Path, PathBuf};

use super::{Channel, Driver, DriverError};
use crate::config::Section;
use crate::hardware::{Files, Hardware};
use crate::model::Quantity;

/// Where a kind of device stands in /sys.
#[derive(Debug)]
pub struct Class {
    /// What it is called here: `IIO device`.
    pub kind: &'static str,
    /// The folders, up to their number: `/sys/class/hwmon/hwmon`.
    pub folders: &'static str,
    /// In which units its files are: what makes ours of a quantity's, 1 for those that are not named.
    pub units: &'static [(Quantity, f64)],
    /// A device and one of its files, for a hint.
    pub example: (&'static str, &'static str),
}

/// Folders are numbered from 0 on; a Pi has fewer than ten.
const MOST: u32 = 64;

/// One file of one device, and what its number means.
#[derive(Debug, Clone)]
pub struct KernelValue {
    class: &'static Class,
    place: Place,
    channel: Channel,
    /// What makes the quantity's unit of the file's, and whether the key `scale` says so.
    scale: f64,
    scale_is_given: bool,
}

#[derive(Debug, Clone)]
enum Place {
    Path(PathBuf),
    Named { device: String, input: String },
}

impl KernelValue {
    /// Reads `device` and `input`, or `path`, then `quantity` and `scale`.
    pub fn read(section: &Section<'_>, class: &'static Class) -> Option<Self> {
        let quantity = section.required::<Quantity>("quantity");
        let place = match section.has("path") {
            true => section.optional::<String>("path").and_then(|path| absolute(section, &path)).map(Place::Path),
            false => {
                let (device, input) = (section.required::<String>("device"), section.required::<String>("input"));
                let wrong = |text: &Option<String>| text.as_ref().is_some_and(|text| text.contains('/'));
                if wrong(&device) || wrong(&input) {
                    let (device, input) = class.example;
                    let hint = format!("write their names: device = \"{device}\", input = \"{input}\"; or `path`");
                    section.wrong("input", "`device` and `input` are names and no paths", hint);
                    return None;
                }
                device.zip(input).map(|(device, input)| Place::Named { device, input })
            }
        };
        let units = |quantity| class.units.iter().find(|(one, _)| *one == quantity).map_or(1.0, |(_, factor)| *factor);
        let scale = if section.has("scale") { section.optional("scale") } else { quantity.map(units) };
        let scale_is_given = section.has("scale");
        let quantity = quantity?;
        let channel = Channel { name: quantity.name(), quantity };
        Some(Self { class, place: place?, channel, scale: scale?, scale_is_given })
    }

    /// The only one, called as its quantity.
    pub fn channels(&self) -> &[Channel] {
        std::slice::from_ref(&self.channel)
    }

    /// Where the file is now.
    pub fn find(&self, hardware: &dyn Hardware) -> Result<PathBuf, DriverError> {
        match &self.place {
            Place::Path(path) => Ok(path.clone()),
            Place::Named { device, input } => Ok(find(hardware, self.class, device)?.join(input)),
        }
    }

    /// Whether somebody said what the file's unit is, or does not care.
    pub fn has_known_unit(&self) -> bool {
        self.scale_is_given || self.channel.quantity == Quantity::Number
    }

    /// Reads the file at `path` from now on. The kernel's number becomes a value of the kernel's unit by `offset`, which comes first, and
    /// `scale`: 0 and 1 where it is one already.
    pub fn open(&self, hardware: &dyn Hardware, path: PathBuf, offset: f64, scale: f64) -> Box<dyn Driver> {
        Box::new(KernelFile { files: hardware.files(), path, offset, scale: scale * self.scale })
    }
}

struct KernelFile {
    files: Files,
    path: PathBuf,
    offset: f64,
    scale: f64,
}

impl Driver for KernelFile {
    fn read(&mut self) -> Result<Vec<f64>, DriverError> {
        let value = number(&self.path, &self.files.read(&self.path)?)?;
        Ok(vec![(value + self.offset) * self.scale])
    }
}

/// The folder of the only device with this name, or with this name and its place behind it: `dht11` is also `dht11@4`.
///
/// # Errors
/// There is none, or there are several; those that are there are named.
pub fn find(hardware: &dyn Hardware, class: &Class, device: &str) -> Result<PathBuf, DriverError> {
    let folders = (0..MOST).map(|number| PathBuf::from(format!("{}{number}", class.folders)));
    let named = |folder: PathBuf| Some((hardware.read_file(&folder.join("name")).ok()?.trim().to_owned(), folder));
    let there: Vec<(String, PathBuf)> = folders.filter_map(named).collect();
    let is_it = |name: &str| name.strip_prefix(device).is_some_and(|rest| rest.is_empty() || rest.starts_with('@'));
    let mut found = there.iter().filter(|(name, _)| is_it(name)).map(|(_, folder)| folder);
    let what = match (found.next(), found.next()) {
        (Some(folder), None) => return Ok(folder.clone()),
        (Some(one), Some(other)) => {
            format!("there are several of this name; give `path`: {}, {} …", one.display(), other.display())
        }
        (None, _) if there.is_empty() => {
            format!("there is no {} at all; load its driver by a dtoverlay in /boot/firmware/config.txt", class.kind)
        }
        (None, _) => {
            let names: Vec<&str> = there.iter().map(|(name, _)| name.as_str()).collect();
            format!("there are {}; load its driver by a dtoverlay in /boot/firmware/config.txt", names.join(", "))
        }
    };
    Err(DriverError::wrong_chip(&format!("{} {device}", class.kind), what))
}

/// The number that is the whole of a file's text.
pub fn number(path: &Path, text: &str) -> Result<f64, DriverError> {
    let number = text.trim().parse().ok().filter(|number: &f64| number.is_finite());
    let found: String = text.trim().chars().take(40).collect();
    number.ok_or_else(|| {
        DriverError::no_value(&path.display().to_string(), format!("it has `{found}`, which is no number"))
    })
}

/// A path that leads to the same file wherever we stand.
pub fn absolute(section: &Section<'_>, path: &str) -> Option<PathBuf> {
    if path.starts_with('/') && !path.split('/').any(|part| part == "..") {
        return Some(path.into());
    }
    section.wrong("path", format!("`{path}` is no whole path"), "write it from the root on, without `..`: \"/sys/…\"");
    None
}
