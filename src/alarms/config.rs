//! The `[alarms]` table: how a person is told.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::DeValue;

#[cfg(feature = "email")]
use crate::config::Diagnostic;
use crate::config::{Section, Value};
#[cfg(feature = "email")]
use crate::secret::PASSWORD;
use crate::secret::{Keys, Source};

const AGAIN_AFTER: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(30 * 24 * 3600);

/// The `[alarms]` table, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// All the ways in which a person is told; not empty.
    pub ways: Vec<Way>,
    /// At most so many messages each way.
    pub at_most: Rate,
    /// When an alarm that stands is told of again; `None`: never.
    pub again_after: Option<Duration>,
}

/// One way to a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// `webhook`, or `webhook_file` and its like
    Webhook(Hook),
    /// `email`
    #[cfg(feature = "email")]
    Email(Mail),
}

/// Where the webhook's address is found. Whoever knows it can use it, so it is never shown.
#[derive(Clone, PartialEq, Eq)]
pub enum Hook {
    /// It stands in the configuration.
    Url(String),
    /// It is kept there, and read each time.
    Kept(Source),
}

/// The keys for a webhook's address elsewhere.
const WEBHOOK: Keys = Keys { file: "webhook_file", environment: "webhook_env", credential: "webhook_credential" };

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Not what it is, only whether it is another one.
            Self::Url(url) => write!(f, "Url({:016x})", hash(url)),
            Self::Kept(source) => f.debug_tuple("Kept").field(source).finish(),
        }
    }
}

/// `email = { … }`
#[cfg(feature = "email")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// Who is told.
    pub to: String,
    /// Who writes.
    pub from: String,
    /// Whether TLS begins with the connection (`smtps`), or after a greeting that must offer it (`smtp`).
    pub tls_at_once: bool,
    /// Who we are at the server.
    pub user: String,
    /// The server.
    pub host: String,
    /// 465 with `smtps` and 587 with `smtp`, if not given.
    pub port: u16,
    /// Where the password is kept.
    pub password: Source,
}

/// `"10 per hour"`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// So many, at least one …
    pub messages: u32,
    /// … in any stretch of this length.
    pub per: Duration,
}

impl Default for Rate {
    fn default() -> Self {
        Self { messages: 10, per: Duration::from_secs(3600) }
    }
}

impl Value for Rate {
    const EXPECTED: &'static str = "a number of messages over a time";
    const EXAMPLE: &'static str = "\"10 per hour\"";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        const HINT: &str = "write \"10 per hour\"; it can be per minute, hour or day, and at most 1000";
        let (messages, per) = value.as_str().ok_or(HINT)?.split_once(" per ").ok_or(HINT)?;
        let seconds = match per.trim() {
            "minute" => 60,
            "hour" => 3600,
            "day" => 24 * 3600,
            _ => return Err(HINT.into()),
        };
        let messages = messages.trim().parse().ok().filter(|messages| (1..=1000).contains(messages)).ok_or(HINT)?;
        Ok(Self { messages, per: Duration::from_secs(seconds) })
    }
}

impl Config {
    /// Reads `[alarms]`. What is wrong is reported to the section.
    pub fn read(section: Section<'_>) -> Option<Self> {
        let (hook, mail) = (webhook(&section), email(&section));
        let at_most = section.or("at_most", Rate::default());
        let again_after = section.duration("again_after", AGAIN_AFTER);
        if !["webhook", "email"].into_iter().chain(WEBHOOK.all()).any(|key| section.has(key)) {
            let hint =
                "add `webhook = \"https://…\"`, or remove the section: alarms are shown and published all the same";
            section.wrong("", format!("{} tells nobody", section.what()), hint);
        }
        section.finish();
        let ways: Vec<Way> = hook.into_iter().chain(mail).collect();
        (!ways.is_empty()).then_some(Self { ways, at_most, again_after })
    }
}

fn webhook(section: &Section<'_>) -> Option<Way> {
    let url = section.optional::<String>("webhook");
    let kept = Source::of(section, &WEBHOOK);
    if let (Some(_), Some(kept)) = (&url, &kept) {
        let key = WEBHOOK.of(kept);
        section.wrong(key, "the webhook is given twice", format!("keep `webhook` or `{key}`, not both"));
    }
    if let Some(url) = &url
        && let Err(hint) = check_url(url)
    {
        section.wrong("webhook", "`webhook` is not an address on the web", hint);
    }
    url.map(Hook::Url).or(kept.map(Hook::Kept)).map(Way::Webhook)
}

/// Whether a webhook can be reached by this at all. The hint does not repeat the address: it is a secret.
pub(super) fn check_url(url: &str) -> Result<(), &'static str> {
    let fits = ["https://", "http://"].iter().any(|scheme| {
        url.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', ':', '?', '#']))
    });
    let plain = url.parse::<ureq::http::Uri>().is_ok();
    if fits && plain { Ok(()) } else { Err("write \"https://…\", the whole address as your messenger gives it") }
}

#[cfg(not(feature = "email"))]
fn email(section: &Section<'_>) -> Option<Way> {
    if section.has("email") {
        section.wrong(
            "email",
            "this homeostat was built without e-mail",
            "build it with `cargo build --release --features email`, or use `webhook`",
        );
    }
    None
}

#[cfg(feature = "email")]
fn email(section: &Section<'_>) -> Option<Way> {
    let section = section.table("email")?;
    let address = |key: &'static str| {
        let text: String = section.required(key)?;
        if text.parse::<lettre::message::Mailbox>().is_err() {
            section.wrong(
                key,
                format!("`{key}` of {} is not an e-mail address", section.what()),
                "write \"anna@example.org\"",
            );
        }
        Some(text)
    };
    let (to, from) = (address("to"), address("from"));
    let server = section.required::<String>("smtp").and_then(|smtp| {
        let server = read_server(&smtp);
        if server.is_none() {
            let hint = "write \"smtps://user@host:465\", or \"smtp://user@host:587\" for STARTTLS; the password has a file of its own";
            section.wrong("smtp", format!("`smtp` of {} is not the address of a mail server", section.what()), hint);
        }
        server
    });
    let password = Source::of(&section, &PASSWORD);
    if !PASSWORD.all().into_iter().any(|key| section.has(key)) {
        let message = format!("{} needs `{}`", section.what(), PASSWORD.file);
        let hint = "add `password_file = \"/etc/homeostat/mail.password\"`";
        section.report(Diagnostic::absent(message, section.header_place(), hint));
    }
    section.finish();
    let (tls_at_once, user, host, port) = server?;
    Some(Way::Email(Mail { to: to?, from: from?, tls_at_once, user, host, port, password: password? }))
}

#[cfg(feature = "email")]
fn read_server(text: &str) -> Option<(bool, String, String, u16)> {
    let (tls_at_once, usual, rest) = match text.split_once("://")? {
        ("smtps", rest) => (true, 465, rest),
        ("smtp", rest) => (false, 587, rest),
        _ => return None,
    };
    let (user, server) = rest.rsplit_once('@')?;
    let (host, port) = match server.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok().filter(|port: &u16| *port > 0)?),
        None => (server, usual),
    };
    let fits = !user.is_empty() && !user.contains(':') && !host.is_empty() && !host.contains(['/', ':', ' ']);
    fits.then(|| (tls_at_once, user.to_owned(), host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use toml::de::DeTable;

    use super::*;

    fn read(text: &str) -> (Option<Config>, String) {
        let found = RefCell::default();
        let table = DeTable::parse(text).unwrap();
        let config = Config::read(Section::new("[alarms]", 0..0, table.get_ref(), &found));
        let said = |diagnostic: crate::config::Diagnostic| format!("{}: {}\n", diagnostic.message, diagnostic.hint);
        (config, found.into_inner().into_iter().map(said).collect())
    }

    #[test]
    fn a_webhook_is_enough_and_is_never_shown() {
        let (config, said) = read("webhook = \"https://hooks.example.org/T0/secret\"");
        assert_eq!(said, "");
        let config = config.unwrap();
        assert_eq!((config.at_most, config.again_after), (Rate { messages: 10, per: Duration::from_secs(3600) }, None));
        assert!(!format!("{config:?}").contains("secret"), "{config:?}");
        let (config, said) =
            read("webhook_file = \"/etc/homeostat/webhook\"\nat_most = \"3 per day\"\nagain_after = \"24h\"");
        assert_eq!(said, "");
        let config = config.unwrap();
        assert_eq!(config.ways, [Way::Webhook(Hook::Kept(Source::File("/etc/homeostat/webhook".into())))]);
        assert_eq!(config.at_most, Rate { messages: 3, per: Duration::from_secs(24 * 3600) });
        assert_eq!(config.again_after, Some(Duration::from_secs(24 * 3600)));
    }

    #[test]
    fn every_mistake_says_what_to_write() {
        let cases = [
            ("", "[alarms] tells nobody"),
            ("webhook = \"https://a/b\"\nwebhook_file = \"c\"", "keep `webhook` or `webhook_file`"),
            ("webhook = \"hooks.example.org/secret\"", "write \"https://…\""),
            ("webhook = \"https:///secret\"", "write \"https://…\""),
            ("webhook = \"https://a b/secret\"", "write \"https://…\""),
            ("webhook = \"https://a/b\"\nat_most = \"0 per hour\"", "write \"10 per hour\""),
            ("webhook = \"https://a/b\"\nat_most = 10", "write \"10 per hour\""),
            ("webhook = \"https://a/b\"\nagain_after = \"1s\"", "`again_after` of [alarms] cannot be 1s"),
            ("webhook = \"https://a/b\"\nagain_afer = \"1h\"", "did you mean `again_after`?"),
        ];
        for (text, expected) in cases {
            let (_, said) = read(text);
            assert!(said.contains(expected), "{text}: {said}");
            assert!(!said.contains("secret"), "{said}");
        }
    }

    #[cfg(not(feature = "email"))]
    #[test]
    fn without_e_mail_it_says_how_to_build_with_it() {
        let (config, said) = read("email = { to = \"a@b\" }");
        assert_eq!(config, None);
        assert!(said.contains("--features email"), "{said}");
    }

    #[cfg(feature = "email")]
    #[test]
    fn e_mail_has_a_server_and_a_password_file() {
        let mail = "to = \"anna@example.org\", from = \"house@example.org\", password_file = \"/p\"";
        let (config, said) = read(&format!("email = {{ {mail}, smtp = \"smtps://me@mail.example.org\" }}"));
        assert_eq!(said, "");
        let [Way::Email(mail_way)] = &config.unwrap().ways[..] else { panic!("one way") };
        assert_eq!((mail_way.host.as_str(), mail_way.port, mail_way.tls_at_once), ("mail.example.org", 465, true));
        for smtp in [
            "mail.example.org",
            "smtps://mail.example.org",
            "smtps://me:secret@host",
            "imap://me@host",
            "smtp://me@h:0",
        ] {
            let (config, said) = read(&format!("email = {{ {mail}, smtp = \"{smtp}\" }}"));
            assert_eq!(config, None);
            assert!(said.contains("smtps://user@host:465") && !said.contains("secret"), "{said}");
        }
        assert!(read("email = { to = \"nobody\" }").1.contains("is not an e-mail address"));
    }
}
