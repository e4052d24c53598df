//! Who carries a letter: a webhook, by HTTP. Blocking, so on a thread that may block.

use std::time::Duration;

use super::config::{Hook, check_url};
use super::letter::Letter;

/// All of one delivery: name, connection, request and answer.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);

/// Carries letters. The error says what to look at, and holds no secret.
pub trait Courier: Send + Sync + 'static {
    /// Brings the letter to where it belongs, or says why not. Blocks, for a bounded time.
    fn deliver(&self, letter: &Letter) -> Result<(), String>;
}

/// An address that takes JSON by POST.
pub(super) struct Webhook {
    hook: Hook,
    agent: ureq::Agent,
}

impl Webhook {
    pub fn new(hook: Hook, deadline: Duration) -> Self {
        let agent = ureq::Agent::config_builder().timeout_global(Some(deadline)).build().into();
        Self { hook, agent }
    }
}

impl Courier for Webhook {
    fn deliver(&self, letter: &Letter) -> Result<(), String> {
        let url = match &self.hook {
            Hook::Url(url) => url.clone(),
            Hook::Kept(source) => {
                let kept = source.read().map_err(|error| error.to_string())?;
                let url = kept.expose().trim().to_owned();
                check_url(&url).map_err(|hint| format!("what is kept as the webhook is no address: {hint}"))?;
                url
            }
        };
        let json = letter.json();
        let sent = self.agent.post(&url).header("content-type", "application/json").send(&json[..]);
        sent.map(drop).map_err(|error| told(&error))
    }
}

/// Without the address, which some of the library's own messages repeat.
fn told(error: &ureq::Error) -> String {
    match error {
        ureq::Error::StatusCode(status) => {
            format!("it answers with status {status}: is the address still the right one?")
        }
        ureq::Error::Timeout(_) => "it does not answer in time".into(),
        ureq::Error::HostNotFound => "its name is not known: is the network there?".into(),
        ureq::Error::ConnectionFailed => "no connection: is the network there?".into(),
        ureq::Error::Io(error) => format!("no connection: {error}"),
        ureq::Error::Tls(what) => format!("TLS: {what}"),
        ureq::Error::Rustls(error) => format!("TLS: {error}"),
        _ => "it cannot be reached with that address".into(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::thread::{self, JoinHandle};

    use super::*;
    use crate::alarms::letter::{Item, State};
    use crate::model::Timestamp;
    use crate::secret::Source;

    fn letter() -> Letter {
        let since = Timestamp::from_millis(0);
        let item =
            Item { name: "sensors.air".into(), text: "no answer".into(), since, state: State::Raised, latched: false };
        Letter { node: "greenhouse".into(), items: vec![item], more: 0 }
    }

    /// A server that takes one request and then does this; it gives what it was sent.
    fn server(then: impl FnOnce(TcpStream) + Send + 'static) -> (String, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook/secret", listener.local_addr().unwrap());
        let thread = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let mut request = Vec::new();
            let mut chunk = [0; 4096];
            // The body is complete when its last brace is there.
            while !request.ends_with(b"}") {
                match stream.read(&mut chunk) {
                    Ok(0) | Err(_) => break,
                    Ok(count) => request.extend_from_slice(&chunk[..count]),
                }
            }
            then(stream);
            String::from_utf8(request).unwrap()
        });
        (url, thread)
    }

    fn answer(status: &'static str) -> impl FnOnce(TcpStream) {
        move |mut stream| write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap()
    }

    #[test]
    fn a_letter_arrives_as_json_also_with_the_address_in_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("webhook");
        for in_file in [false, true] {
            let (url, thread) = server(answer("204 No Content"));
            fs::write(&file, format!("{url}\n")).unwrap();
            let hook = if in_file { Hook::Kept(Source::File(file.clone())) } else { Hook::Url(url) };
            Webhook::new(hook, DEADLINE).deliver(&letter()).unwrap();
            let request = thread.join().unwrap();
            assert!(request.starts_with("POST /hook/secret HTTP/1.1\r\n"), "{request}");
            assert!(request.to_lowercase().contains("\r\ncontent-type: application/json\r\n"), "{request}");
            let body = request.split_once("\r\n\r\n").unwrap().1;
            assert_eq!(body.as_bytes(), letter().json());
        }
    }

    #[test]
    fn an_error_a_silence_and_a_broken_line_are_told_without_the_address() {
        // Until the one who asked has gone.
        let silence = |mut stream: TcpStream| while stream.read(&mut [0]).is_ok_and(|count| count > 0) {};
        let servers = [
            (server(answer("500 Oh no")), "status 500"),
            (server(silence), "in time"),
            (server(drop), "no connection"),
        ];
        for ((url, thread), expected) in servers {
            let error = Webhook::new(Hook::Url(url), Duration::from_millis(500)).deliver(&letter()).unwrap_err();
            thread.join().unwrap();
            assert!(error.contains(expected) && !error.contains("secret"), "{error}");
        }
        let gone =
            Webhook::new(Hook::Url("http://127.0.0.1:1/secret".into()), DEADLINE).deliver(&letter()).unwrap_err();
        assert!(!gone.contains("secret"), "{gone}");
        let no_file =
            Webhook::new(Hook::Kept(Source::File("/nowhere/webhook".into())), DEADLINE).deliver(&letter()).unwrap_err();
        assert!(no_file.contains("/nowhere/webhook"), "{no_file}");
    }
}
