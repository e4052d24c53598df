//! The other courier: a mail server, by SMTP over TLS. Behind the cargo feature `email`.

use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::Credentials;
use lettre::{Message, SmtpTransport, Transport};

use super::config::Mail;
use super::courier::{Courier, DEADLINE};
use super::letter::Letter;

/// Sends plain text to one address.
pub(super) struct Email(pub Mail);

impl Courier for Email {
    fn deliver(&self, letter: &Letter) -> Result<(), String> {
        let Self(mail) = self;
        let address = |text: &str| text.parse::<Mailbox>().map_err(|error| format!("{text}: {error}"));
        let message = Message::builder()
            .from(address(&mail.from)?)
            .to(address(&mail.to)?)
            .subject(format!("homeostat {}: {}", letter.node, subject(letter)))
            .body(letter.lines().join("\n\n"))
            .map_err(|error| error.to_string())?;
        let password = mail.password.read().map_err(|error| error.to_string())?;
        let server =
            if mail.tls_at_once { SmtpTransport::relay(&mail.host) } else { SmtpTransport::starttls_relay(&mail.host) };
        let server = server.map_err(|error| format!("{}: {error}", mail.host))?;
        let transport = server
            .port(mail.port)
            .credentials(Credentials::new(mail.user.clone(), password.expose().to_owned()))
            .timeout(Some(DEADLINE))
            .build();
        transport.send(&message).map(drop).map_err(|error| format!("{}: {error}", mail.host))
    }
}

/// The name of what it is about, or how many they are.
fn subject(letter: &Letter) -> String {
    match (&letter.items[..], letter.more) {
        ([only], 0) => only.name.to_string(),
        (items, more) => format!("{} alarms", items.len() + more),
    }
}
