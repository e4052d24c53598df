//! A device on the network as an output: a request over HTTP with each new level. Plugs, lamps and relays with a web interface.
//!
//! Only an answer of 2xx means that it was taken; a redirect is none, for it may lead to somebody's login page.

use std::fmt;
use std::time::Duration;

use ureq::http::{Method, Request, Uri};

use super::lines::{self, PERCENT};
use super::{Entry, OutputConfig, Resolution};
use crate::config::Section;
use crate::hardware::bank::{Confirmation, Line};
use crate::hardware::{Hardware, HardwareError};
use crate::model::{Claim, Level};
use crate::secret::{Keys, Source};

const ABOUT: &str = "\
- `on` and `off` are requests: { url = \"http://plug.lan/relay/0?turn=on\" }; `method` is GET if it is not there, POST if there is a
  `body`. Or `set` alone, for every level, with {percent} in its `url` or `body`.
- A password is no part of this file: `token_file`, `token_env` or `token_credential` says where it is kept, and it is sent as the
  header `Authorization`, or another one: `header = \"X-Api-Key\"`. What is kept there is sent as it is: \"Bearer …\", \"Basic …\".
- An answer of 2xx within `within` (2 s if it is not there, 4 s at most) counts as accepted. Otherwise the request comes again each
  second until it does.
- The network may be gone when it matters most, and homeostat as well. **Let the plug itself be a dead man's switch**: give it a
  switch-off timer, and tell it again well before that ends. With `repeat = \"30s\"` it is told again every 30 s while it is not at its
  safe level, which is no switching to limits and budgets; its timer is three times that, so that one that is lost does no harm. A
  Shelly's timer is in the request: `turn=on&timer=90`, or `on=true&toggle_after=90` from the second generation on. Tasmota has it for
  good: `PulseTime 190` is 90 s (100 more than the seconds).
- Without a timer of its own a plug stays on when nobody reaches it: use a pin for whatever must not. A device that toggles at each
  request must not be told again.
";

pub(super) const ENTRY: Entry = Entry {
    name: "http",
    summary: "a request over HTTP with each level: plugs, lamps and relays on the network",
    about: ABOUT,
    example: r#"
[outputs.lamp]
driver = "http"
on = { url = "http://192.168.1.40/relay/0?turn=on&timer=90" }
off = { url = "http://192.168.1.40/relay/0?turn=off" }
repeat = "30s"
"#,
    read,
};

const TOKEN: Keys = Keys { file: "token_file", environment: "token_env", credential: "token_credential" };

#[derive(Debug, Clone)]
struct Config {
    name: String,
    requests: Requests,
    token: Option<(String, Source)>,
    within: Duration,
    repeat: Option<Duration>,
}

#[derive(Debug, Clone)]
enum Requests {
    Switch { on: Asking, off: Asking },
    Set(Asking),
}

/// One request. What it says stays out of messages and logs: people put passwords there.
#[derive(Debug, Clone)]
struct Asking {
    method: Method,
    url: String,
    body: Option<String>,
}

fn read(section: &Section) -> Option<Box<dyn OutputConfig>> {
    let (within, repeat) = (lines::within(section), lines::repeat(section));
    let token = Source::of(section, &TOKEN);
    let header = header(section);
    let requests = match lines::forms(section)? {
        lines::Forms::Switch => {
            let (on, off) = (asking(section, "on"), asking(section, "off"));
            Requests::Switch { on: on?, off: off? }
        }
        lines::Forms::Set => {
            let set = asking(section, "set")?;
            if !set.url.contains(PERCENT) && !set.body.as_deref().is_some_and(|body| body.contains(PERCENT)) {
                let message = format!("`set` of {} is the same for every level", section.what());
                section.wrong("set", message, "put {percent} in its `url` or `body`");
                return None;
            }
            Requests::Set(set)
        }
    };
    let header = header?;
    let token = token.map(|source| (header, source));
    Some(Box::new(Config { name: lines::name(section), requests, token, within: within?, repeat }))
}

/// Which header the token is sent in.
fn header(section: &Section) -> Option<String> {
    let header = if section.has("header") { section.optional("header")? } else { "Authorization".to_owned() };
    if header.parse::<ureq::http::HeaderName>().is_err() {
        section.wrong("header", format!("`{header}` is not the name of a header"), "write \"Authorization\"");
        return None;
    }
    Some(header)
}

/// `{ url = "http://…", method = "PUT", body = "…" }`
fn asking(section: &Section, key: &'static str) -> Option<Asking> {
    let table = section.table(key)?;
    let body = table.optional::<String>("body");
    let usual = if body.is_some() { "POST" } else { "GET" };
    let method = if table.has("method") { table.word("method", &["GET", "POST", "PUT", "PATCH"]) } else { Some(usual) };
    let url: Option<String> = table.required("url");
    let fits = url.as_deref().is_none_or(reaches);
    if !fits {
        table.wrong(
            "url",
            format!("`url` of {} is no address", table.what()),
            "write \"http://192.168.1.40/relay/0?turn=on\"",
        );
    }
    let get_with_body = method == Some("GET") && body.is_some();
    if get_with_body {
        table.wrong("body", format!("{} is a GET, which has no body", table.what()), "write `method = \"POST\"`");
    }
    table.finish();
    let method = Method::from_bytes(method?.as_bytes()).ok()?;
    (fits && !get_with_body).then_some(Asking { method, url: url?, body })
}

fn reaches(url: &str) -> bool {
    let uri = url.replace(PERCENT, "0").parse::<Uri>();
    uri.is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
    })
}

impl OutputConfig for Config {
    fn resolution(&self) -> Resolution {
        match self.requests {
            Requests::Switch { .. } => Resolution::Switch,
            Requests::Set(_) => Resolution::Continuous,
        }
    }

    fn claims(&self) -> Vec<Claim> {
        Vec::new()
    }

    /// One of its own: a device that does not answer holds up nobody else.
    fn lane(&self) -> String {
        format!("http {}", self.name)
    }

    /// There is nothing to take; the first write follows at once.
    fn open(&self, _: &dyn Hardware, _: Level) -> Result<Box<dyn Line>, HardwareError> {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(self.within))
            .max_redirects(0)
            // Small devices close what is kept open, and the next request would fail.
            .max_idle_connections(0)
            .build();
        Ok(Box::new(Http { config: self.clone(), agent: agent.into() }))
    }

    fn deadline(&self) -> Duration {
        self.within + lines::MARGIN
    }
}

struct Http {
    config: Config,
    agent: ureq::Agent,
}

impl Line for Http {
    /// There is nothing to take.
    fn renewable(&self) -> bool {
        false
    }

    fn write(&mut self, level: Level) -> Result<Confirmation, HardwareError> {
        let asking = match &self.config.requests {
            Requests::Switch { on, off } => if level.is_on() { on } else { off }.clone(),
            Requests::Set(set) => set.at(level),
        };
        self.send(asking).map_err(|reason| HardwareError::Io {
            what: format!("the device of output {}", self.config.name),
            reason,
        })?;
        Ok(Confirmation::Accepted)
    }

    fn repeat(&self) -> Option<Duration> {
        self.config.repeat
    }
}

impl Http {
    fn send(&self, Asking { method, url, body }: Asking) -> Result<(), String> {
        let mut request = Request::builder().method(method).uri(url);
        if let Some((header, source)) = &self.config.token {
            let token = source.read().map_err(|error| error.to_string())?;
            request = request.header(header, token.expose().trim());
        }
        let answer = match body {
            None => request.body(()).map(|request| self.agent.run(request)),
            Some(body) => {
                let json = body.trim_start().starts_with(['{', '[']);
                let kind = if json { "application/json" } else { "application/x-www-form-urlencoded" };
                request.header("content-type", kind).body(body).map(|request| self.agent.run(request))
            }
        };
        // The library's own words might repeat the token.
        let answer = answer.map_err(|_| "what is kept as its token cannot be a header: check it".to_owned())?;
        let status = answer.map_err(|error| told(&error))?.status();
        status.is_success().then_some(()).ok_or_else(|| refused(status))
    }
}

impl Asking {
    fn at(&self, level: Level) -> Self {
        let body = self.body.as_ref().map(|body| lines::with_percent(body, level));
        Self { method: self.method.clone(), url: lines::with_percent(&self.url, level), body }
    }
}

fn refused(status: impl fmt::Display) -> String {
    format!("it answers with status {status}: check its address and its password")
}

/// Without the address, which some of the library's own messages repeat.
fn told(error: &ureq::Error) -> String {
    match error {
        ureq::Error::StatusCode(status) => refused(status),
        ureq::Error::Timeout(_) => "it does not answer in time: is it on, and in the network?".into(),
        ureq::Error::HostNotFound => "its name is not known: is it in the network? Its IP address would do".into(),
        ureq::Error::ConnectionFailed => "no connection: is it on, and in the network?".into(),
        ureq::Error::Io(error) => format!("no connection: {error}"),
        ureq::Error::Tls(what) => format!("TLS: {what}"),
        ureq::Error::Rustls(error) => format!("TLS: {error}"),
        _ => "it cannot be reached with that address: check it".into(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::thread::{self, JoinHandle};

    use super::super::testing::{config, mistakes, world};
    use super::*;

    /// A device that takes one request, does this, and gives what it was sent.
    fn device(then: impl FnOnce(&mut TcpStream) + Send + 'static) -> (String, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/secret", listener.local_addr().unwrap());
        let thread = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let mut request = String::new();
            let mut byte = [0];
            let length = |head: &str| {
                let line = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                line.map_or(0, |length| length.parse::<usize>().unwrap())
            };
            let whole = |request: &str| {
                request.split_once("\r\n\r\n").is_some_and(|(head, body)| body.len() >= length(&head.to_lowercase()))
            };
            while !whole(&request) && stream.read(&mut byte).is_ok_and(|count| count > 0) {
                request.push(byte[0].into());
            }
            then(&mut stream);
            request
        });
        (url, thread)
    }

    fn answer(status: &'static str) -> impl FnOnce(&mut TcpStream) {
        move |stream| write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\nlocation: /login\r\n\r\n").unwrap()
    }

    fn write(keys: &str, level: Level) -> Result<Confirmation, String> {
        let mut line = config(&ENTRY, keys).open(&world(), Level::OFF).unwrap();
        line.write(level).map_err(|error| error.to_string())
    }

    #[test]
    fn each_level_has_its_request_and_its_token_is_read_each_time() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        std::fs::write(&file, "Bearer 123\n").unwrap();
        for (level, expected) in
            [(Level::ON, "GET /secret?on HTTP/1.1\r\n"), (Level::OFF, "PUT /secret?off HTTP/1.1\r\n")]
        {
            let (url, thread) = device(answer("204 No Content"));
            let keys = format!(
                "on = {{ url = \"{url}?on\" }}\noff = {{ url = \"{url}?off\", method = \"PUT\", body = \"\" }}\ntoken_file = {file:?}"
            );
            assert_eq!(write(&keys, level), Ok(Confirmation::Accepted));
            let request = thread.join().unwrap();
            assert!(request.starts_with(expected), "{request}");
            assert!(request.to_lowercase().contains("\r\nauthorization: bearer 123\r\n"), "{request}");
        }
        let (url, thread) = device(answer("200 OK"));
        let keys = format!("set = {{ url = \"{url}\", body = '{{\"brightness\": {{percent}}}}' }}");
        assert_eq!(write(&keys, Level::clamped(0.4)), Ok(Confirmation::Accepted));
        let request = thread.join().unwrap();
        assert!(request.starts_with("POST /secret HTTP/1.1") && request.contains("application/json"), "{request}");
        assert!(request.ends_with("\r\n\r\n{\"brightness\": 40}"), "{request}");
    }

    #[test]
    fn it_is_told_again_if_that_is_wanted() {
        for (keys, expected) in [("", None), ("repeat = \"30s\"", Some(Duration::from_secs(30)))] {
            let keys = format!("set = {{ url = \"http://a/{{percent}}\" }}\n{keys}");
            assert_eq!(config(&ENTRY, &keys).open(&world(), Level::OFF).unwrap().repeat(), expected);
        }
    }

    #[test]
    fn only_2xx_in_time_is_accepted_and_the_address_is_told_to_nobody() {
        // Until the one who asked has gone.
        let silence = |stream: &mut TcpStream| while stream.read(&mut [0]).is_ok_and(|count| count > 0) {};
        for ((url, thread), expected) in [
            (device(answer("401 Unauthorized")), "status 401"),
            (device(answer("302 Found")), "status 302"),
            (device(answer("500 Oh no")), "status 500"),
            (device(silence), "in time"),
            (device(|_| ()), "no connection"),
        ] {
            let keys = format!("within = \"500ms\"\nset = {{ url = \"{url}?{{percent}}\" }}");
            let error = write(&keys, Level::ON).unwrap_err();
            thread.join().unwrap();
            assert!(error.starts_with("the device of output test: ") && error.contains(expected), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
        let keys = "set = { url = \"http://127.0.0.1:1/{percent}\" }\ntoken_file = \"/nowhere/token\"";
        assert!(write(keys, Level::ON).unwrap_err().contains("/nowhere/token: No such file"));
    }

    #[test]
    fn mistakes_are_told_with_what_would_do() {
        for (keys, expected) in [
            ("", "`on` and `off`"),
            ("on = { url = \"http://a/\" }", "`off`"),
            ("set = { url = \"http://a/\" }", "put {percent}"),
            ("set = { url = \"a/{percent}\" }", "http://192"),
            ("set = { url = \"ftp://a/{percent}\" }", "http://192"),
            ("set = { url = \"http://a/{percent}\", method = \"GIT\" }", "`GET`"),
            ("set = { url = \"http://a/{percent}\", method = \"GET\", body = \"a\" }", "POST"),
            ("set = { url = \"http://a/{percent}\", bdy = \"a\" }", "`body`"),
            ("set = { body = \"{percent}\" }", "add `url"),
            ("set = \"http://a/{percent}\"", "{ … }"),
            ("set = { url = \"http://a/{percent}\" }\nheader = \"X Y\"", "Authorization"),
            ("set = { url = \"http://a/{percent}\" }\nwithin = \"1m\"", "100ms to 4s"),
            ("set = { url = \"http://a/{percent}\" }\nrepeat = \"1s\"", "5s to 1h"),
        ] {
            let found = mistakes(&ENTRY, keys);
            assert!(found.len() == 1 && found[0].hint.contains(expected), "{keys}: {found:?}");
        }
    }
}
