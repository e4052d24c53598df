//! What must be known to nobody else: passwords, and addresses that are as good as one. A secret never stands in the
//! configuration, which says only where it is kept; it is read each time that it is needed, so that it can be put right or
//! renewed while the daemon runs.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::config::Section;

/// More than any password, key or chain of certificates needs.
const LARGEST: u64 = 1 << 20;

/// Where systemd puts what `LoadCredential=` names.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// A text that is shown to nobody.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text, for the one who needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Where a secret is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The first line of this file.
    File(PathBuf),
    /// The environment variable of this name.
    Environment(String),
    /// The systemd credential of this name: the first line of `$CREDENTIALS_DIRECTORY/NAME`.
    Credential(String),
}

/// The keys of the configuration that name a source; at most one of them may be there.
#[derive(Debug, Clone, Copy)]
pub struct Keys {
    /// `password_file`
    pub file: &'static str,
    /// `password_env`
    pub environment: &'static str,
    /// `password_credential`
    pub credential: &'static str,
}

/// The keys for a password.
pub const PASSWORD: Keys =
    Keys { file: "password_file", environment: "password_env", credential: "password_credential" };

impl Keys {
    /// The key that names this kind of source.
    pub fn of(&self, source: &Source) -> &'static str {
        match source {
            Source::File(_) => self.file,
            Source::Environment(_) => self.environment,
            Source::Credential(_) => self.credential,
        }
    }

    /// All of them.
    pub fn all(&self) -> [&'static str; 3] {
        [self.file, self.environment, self.credential]
    }
}

impl Source {
    /// Reads where a secret is kept; `None` also if that is wrong, which is reported.
    pub fn of(section: &Section<'_>, keys: &Keys) -> Option<Self> {
        let file = section.optional::<String>(keys.file).map(|path| Self::File(path.into()));
        let environment = named(section, keys.environment, is_variable, "NAME").map(Self::Environment);
        let credential = named(section, keys.credential, is_file_name, "mqtt").map(Self::Credential);
        let given: Vec<&str> = keys.all().into_iter().filter(|key| section.has(key)).collect();
        if let [first, .., last] = given[..] {
            let message = format!("`{first}` and `{last}` of {} name one secret twice", section.what());
            section.wrong(last, message, format!("keep `{first}` or `{last}`, not both"));
        }
        file.or(environment).or(credential)
    }

    /// Reads the secret. Blocks, as files do.
    ///
    /// # Errors
    /// What stands in the way; nothing of what was read.
    pub fn read(&self) -> Result<Secret, Unreadable> {
        self.read_with(|name| std::env::var_os(name))
    }

    fn read_with(&self, environment: impl Fn(&str) -> Option<OsString>) -> Result<Secret, Unreadable> {
        let (place, text) = match self {
            Self::File(file) => (file.display().to_string(), text_of(file)),
            Self::Environment(name) => {
                let text = environment(name)
                    .ok_or_else(|| "it is not set".to_owned())
                    .and_then(|text| text.into_string().map_err(|_| "its value is not UTF-8".to_owned()));
                // Not its name: somebody may have written the secret itself there.
                ("the environment variable named in the configuration".to_owned(), text)
            }
            Self::Credential(name) => match environment(CREDENTIALS) {
                Some(directory) => {
                    let file = Path::new(&directory).join(name);
                    ("the systemd credential named in the configuration".to_owned(), text_of(&file))
                }
                None => {
                    let reason =
                        "systemd gives us none; its unit needs a line `LoadCredential=NAME:/path` with that name"
                            .to_owned();
                    ("the systemd credential".to_owned(), Err(reason))
                }
            },
        };
        match text {
            Ok(text) => match text.lines().next() {
                Some(line) if !line.is_empty() => Ok(Secret(line.to_owned())),
                _ => Err(Unreadable { place, reason: "its first line is empty".into() }),
            },
            Err(reason) => Err(Unreadable { place, reason }),
        }
    }
}

/// Why a secret cannot be read: `/etc/homeostat/mqtt.password: No such file or directory (os error 2)`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {reason}")]
pub struct Unreadable {
    place: String,
    reason: String,
}

/// All of a small file. What is no plain file is not waited for.
///
/// # Errors
/// The system's; or that it is larger than 1 MiB or no file.
pub fn bytes(file: &Path) -> io::Result<Vec<u8>> {
    // A pipe could keep us waiting for ever.
    if !std::fs::metadata(file)?.is_file() {
        return Err(io::Error::other("this is not a file"));
    }
    let mut bytes = Vec::new();
    File::open(file)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST { Err(io::Error::other("it is larger than 1 MiB")) } else { Ok(bytes) }
}

fn text_of(file: &Path) -> Result<String, String> {
    let bytes = bytes(file).map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8".into())
}

/// A name of one kind, and nothing of it in the complaint if it is none: it may be the secret itself.
fn named(section: &Section<'_>, key: &'static str, fits: fn(&str) -> bool, example: &str) -> Option<String> {
    let name: String = section.optional(key)?;
    if fits(&name) {
        return Some(name);
    }
    let message = format!("`{key}` of {} is not a name", section.what());
    section.wrong(key, message, format!("write where the secret is kept, not the secret: `{key} = \"{example}\"`"));
    None
}

/// As shells and systemd take them.
fn is_variable(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn is_file_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(['/', '\0'])
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use toml::de::DeTable;

    use super::*;

    fn read(text: &str) -> (Option<Source>, String) {
        let found = RefCell::default();
        let table = DeTable::parse(text).unwrap();
        let section = Section::new("[mqtt]", 0..0, table.get_ref(), &found);
        let source = Source::of(&section, &PASSWORD);
        section.finish();
        let said = |one: crate::config::Diagnostic| format!("{}: {}\n", one.message, one.hint);
        (source, found.into_inner().into_iter().map(said).collect())
    }

    #[test]
    fn a_secret_is_kept_in_one_of_three_places() {
        let cases = [
            ("password_file = \"/p\"", Source::File("/p".into())),
            ("password_env = \"MQTT_PASSWORD\"", Source::Environment("MQTT_PASSWORD".into())),
            ("password_credential = \"mqtt\"", Source::Credential("mqtt".into())),
        ];
        for (text, source) in cases {
            assert_eq!(read(text), (Some(source), String::new()), "{text}");
        }
        let wrong = [
            ("password_file = \"/p\"\npassword_env = \"P\"", "keep `password_file` or `password_env`, not both"),
            ("password_env = \"geh eim\"", "write where the secret is kept, not the secret"),
            ("password_env = \"\"", "`password_env = \"NAME\"`"),
            ("password_credential = \"../geheim\"", "`password_credential = \"mqtt\"`"),
        ];
        for (text, expected) in wrong {
            let (_, said) = read(text);
            assert!(said.contains(expected) && !said.contains("eim"), "{text}: {said}");
        }
    }

    #[test]
    fn its_first_line_is_read_each_time_and_never_shown() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("mqtt");
        let environment = |name: &str| match name {
            "P" => Some(OsString::from("from the environment")),
            CREDENTIALS => Some(directory.path().into()),
            _ => None,
        };
        let sources = [Source::File(file.clone()), Source::Credential("mqtt".into()), Source::Environment("P".into())];
        for (content, expected) in [("one \nmore", "one "), ("two\r\n", "two")] {
            std::fs::write(&file, content).unwrap();
            for source in &sources[..2] {
                let secret = source.read_with(environment).unwrap();
                assert_eq!(secret.expose(), expected);
                assert_eq!(format!("{secret:?}"), "Secret(…)");
            }
        }
        assert_eq!(sources[2].read_with(environment).unwrap().expose(), "from the environment");
    }

    #[test]
    fn what_stands_in_the_way_is_told_without_the_secret() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &[u8]| {
            let path = directory.path().join(name);
            std::fs::write(&path, content).unwrap();
            Source::File(path)
        };
        let cases = [
            (Source::File("/nowhere/p".into()), "/nowhere/p: No such file"),
            (Source::File("/".into()), "this is not a file"),
            (Source::File("/dev/zero".into()), "this is not a file"),
            (file("empty", b""), "its first line is empty"),
            (file("bytes", b"geheim\xff"), "it is not UTF-8"),
            (file("large", &vec![b'x'; 1 << 21]), "it is larger than 1 MiB"),
            (Source::Environment("geheim".into()), "it is not set"),
            (Source::Credential("mqtt".into()), "LoadCredential=NAME:"),
        ];
        for (source, expected) in cases {
            let error = source.read_with(|_| None).unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains("geheim"), "{source:?}: {error}");
        }
    }
}
