//! How the commands speak to a daemon that runs: finding its socket, asking once, and what to tell a person when that fails.

use std::io::{Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;
use std::{env, io, thread};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Exit;
use super::machine::first_directory;
use crate::payload::{Failure, json};
use crate::web::SOCKET;

/// The daemon looks into its memory and answers; a second is long.
const PATIENCE: Duration = Duration::from_secs(5);

/// More than a daemon with a thousand devices says.
const LONGEST_ANSWER: u64 = 16 << 20;

/// Where systemd's RuntimeDirectory is, for people who ask from their own shell.
pub const SYSTEMD: &str = "/run/homeostat";

/// Where daemons may be listening, the likeliest first.
#[derive(Debug, Clone)]
pub struct Client {
    sockets: Vec<PathBuf>,
}

/// Why there is no answer to show.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// Nobody is there: what was tried, and what came of it.
    #[error("no homeostat answers")]
    NoDaemon(Vec<(PathBuf, io::Error)>),
    /// The daemon will not or cannot do it.
    #[error("{error}")]
    Refused {
        /// What is wrong.
        error: String,
        /// The next step.
        hint: String,
        /// What was asked for is right, and it could not be done.
        has_failed: bool,
    },
    /// Somebody is there, but does not speak as a daemon does.
    #[error("{} gave no answer: {what}", socket.display())]
    Broken {
        /// Who.
        socket: PathBuf,
        /// What it did.
        what: String,
    },
}

impl Client {
    /// By `--socket`, by `HOMEOSTAT_SOCKET`, or in the places where a daemon would put its socket.
    pub fn new(option: Option<PathBuf>) -> Self {
        let named =
            option.or_else(|| env::var_os("HOMEOSTAT_SOCKET").filter(|path| !path.is_empty()).map(PathBuf::from));
        let sockets = match named {
            Some(socket) => vec![socket],
            None => {
                let here = Some(PathBuf::from(SOCKET)).filter(|socket| socket.exists());
                let runtime = first_directory("RUNTIME_DIRECTORY").map(|directory| directory.join(SOCKET));
                let mut sockets: Vec<PathBuf> = runtime.into_iter().chain(here).collect();
                sockets.push(Path::new(SYSTEMD).join(SOCKET));
                sockets.dedup();
                sockets
            }
        };
        Self { sockets }
    }

    /// Asks for something.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Trouble> {
        let (socket, body) = self.ask("GET", path, "", PATIENCE)?;
        read(&socket, &body)
    }

    /// The same as it came, for machines.
    pub fn get_json(&self, path: &str) -> Result<Vec<u8>, Trouble> {
        self.ask("GET", path, "", PATIENCE).map(|(_, body)| body)
    }

    /// Asks to do something, which may take so long.
    pub fn post<T: DeserializeOwned>(&self, path: &str, patience: Duration) -> Result<T, Trouble> {
        let (socket, body) = self.ask("POST", path, "", patience)?;
        read(&socket, &body)
    }

    /// The same, with what is to be done.
    pub fn post_with<T: DeserializeOwned>(
        &self,
        path: &str,
        what: &impl Serialize,
        patience: Duration,
    ) -> Result<T, Trouble> {
        let (socket, body) = self.ask("POST", path, &String::from_utf8_lossy(&json(what)), patience)?;
        read(&socket, &body)
    }

    /// Same request to the first that takes a connection.
    fn ask(&self, method: &str, path: &str, body: &str, patience: Duration) -> Result<(PathBuf, Vec<u8>), Trouble> {
        let mut tried = Vec::new();
        for socket in &self.sockets {
            let request = format!(
                "{method} /api/v1/{path} HTTP/1.1\r\nHost: homeostat\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            match exchange(socket.clone(), request, patience) {
                Ok(Ok(bytes)) => {
                    return answer(&bytes, socket).map(|body| (socket.clone(), body));
                }
                Ok(Err(error)) => {
                    return Err(Trouble::Broken { socket: socket.clone(), what: error.to_string() });
                }
                Err(error) => tried.push((socket.clone(), error)),
            }
        }
        Err(Trouble::NoDaemon(tried))
    }
}

impl Trouble {
    /// The exit code for it.
    pub fn exit(&self) -> Exit {
        match self {
            Self::NoDaemon(_) => Exit::Start,
            Self::Refused { has_failed: false, .. } => Exit::Configuration,
            Self::Refused { .. } | Self::Broken { .. } => Exit::Failed,
        }
    }

    /// The same in full, with the next step.
    pub fn tell(&self) -> String {
        match self {
            Self::NoDaemon(tried) => {
                let denied = tried.iter().any(|(_, error)| error.kind() == io::ErrorKind::PermissionDenied);
                let tried: String = tried
                    .iter()
                    .map(|(socket, error)| format!("  tried  {}: {}\n", socket.display(), reason(socket, error)))
                    .collect();
                let next = if denied {
                    "add yourself to its group (sudo usermod -aG homeostat $USER) and log in again"
                } else {
                    "start it (homeostat run FILE, or systemctl start homeostat), or say where\n         it listens (--socket PATH, or HOMEOSTAT_SOCKET)"
                };
                format!("error: {self}\n{tried}  next   {next}\n")
            }
            // The mistakes of a file bring their own headings.
            Self::Refused { error, hint, .. } if error.starts_with("error") => {
                format!("{}\n{hint}\n", error.trim_end())
            }
            Self::Refused { error, hint, .. } => format!("error: {error}\n  next   {hint}\n"),
            Self::Broken { .. } => {
                format!("error: {self}\n  next   look into its log (journalctl -u homeostat), or start it again\n")
            }
        }
    }
}

/// A name as a part of a path.
pub fn encoded(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    name.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// The outer error is of the connection. On a thread of its own, so that `patience` is for everything together: a socket of the
/// standard library has a deadline for each read and write, but none for connecting.
fn exchange(socket: PathBuf, request: String, patience: Duration) -> io::Result<io::Result<Vec<u8>>> {
    let (tell, told) = mpsc::channel();
    let thread = thread::Builder::new().name("client".into()).spawn(move || {
        let result = UnixStream::connect(&socket).map(|mut stream| {
            stream.write_all(request.as_bytes())?;
            let mut bytes = Vec::new();
            stream.take(LONGEST_ANSWER).read_to_end(&mut bytes)?;
            Ok(bytes)
        });
        // Nobody listens after the deadline.
        let _ = tell.send(result);
    });
    thread?;
    told.recv_timeout(patience).unwrap_or_else(|_| {
        let what = format!("nothing came within {} s", patience.as_secs());
        Ok(Err(io::Error::new(io::ErrorKind::TimedOut, what)))
    })
}

/// The body of an answer.
fn answer(bytes: &[u8], socket: &Path) -> Result<Vec<u8>, Trouble> {
    let broken = |what: &str| Trouble::Broken { socket: socket.to_owned(), what: what.to_owned() };
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut head = httparse::Response::new(&mut headers);
    let start = match head.parse(bytes) {
        Ok(httparse::Status::Complete(start)) => start,
        Ok(httparse::Status::Partial) => return Err(broken("it ended before its head did")),
        Err(_) => return Err(broken("that was not HTTP")),
    };
    let body = bytes.get(start..).unwrap_or_default();
    let length = head.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|header| std::str::from_utf8(header.value).ok()?.trim().parse::<usize>().ok());
    if length.is_some_and(|length| length != body.len()) {
        return Err(broken("it ended in the middle"));
    }
    if head.code == Some(200) {
        return Ok(body.to_vec());
    }
    match serde_json::from_slice::<Failure<'static>>(body) {
        Ok(Failure { error, hint }) => {
            let has_failed = head.code.is_some_and(|code| code >= 500);
            Err(Trouble::Refused { error: error.into(), hint: hint.into(), has_failed })
        }
        Err(_) => Err(broken(&format!("HTTP status {}", head.code.unwrap_or_default()))),
    }
}

fn read<T: DeserializeOwned>(socket: &Path, body: &[u8]) -> Result<T, Trouble> {
    serde_json::from_slice(body).map_err(|error| Trouble::Broken {
        socket: socket.to_owned(),
        what: format!("it is of another version than this command ({error})"),
    })
}

/// The system's words for what most often is the matter are about sockets, not about daemons.
fn reason(socket: &Path, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused if !is_socket(socket) => "it is not a socket".to_owned(),
        io::ErrorKind::ConnectionRefused => "the daemon that listened here has died".to_owned(),
        io::ErrorKind::NotFound => "there is none".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

fn is_socket(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(bytes: &str) -> String {
        match answer(bytes.as_bytes(), Path::new("s")) {
            Ok(body) => String::from_utf8(body).unwrap(),
            Err(trouble) => trouble.tell(),
        }
    }

    #[test]
    fn an_answer_is_taken_whole_or_not_at_all() {
        let cases = [
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", "{}"),
            ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}", "it ended in the middle"),
            ("HTTP/1.1 200 OK\r\ncontent-le", "it ended before its head did"),
            ("", "it ended before its head did"),
            ("SSH-2.0-OpenSSH_9.9\r\n", "that was not HTTP"),
            ("HTTP/1.1 502 Bad Gateway\r\n\r\n<html>", "HTTP status 502"),
            (
                "HTTP/1.1 404 Not Found\r\n\r\n{\"error\":\"there is no output `a`\",\"hint\":\"did you mean `b`?\"}",
                "error: there is no output `a`\n  next   did you mean `b`?\n",
            ),
        ];
        for (bytes, expected) in cases {
            assert!(told(bytes).contains(expected), "{bytes:?} gave {:?}", told(bytes));
        }
    }

    #[test]
    fn without_a_daemon_it_says_what_was_tried_and_what_to_do() {
        let tried =
            |kind: io::ErrorKind| Trouble::NoDaemon(vec![("/run/homeostat/homeostat.sock".into(), kind.into())]);
        assert_eq!(
            tried(io::ErrorKind::NotFound).tell(),
            "error: no homeostat answers\n  tried  /run/homeostat/homeostat.sock: there is none\n  next   start it (homeostat run FILE, or \
             systemctl start homeostat), or say where\n         it listens (--socket PATH, or HOMEOSTAT_SOCKET)\n"
        );
        assert!(tried(io::ErrorKind::PermissionDenied).tell().contains("usermod -aG homeostat"));
        assert_eq!(tried(io::ErrorKind::NotFound).exit(), Exit::Start);
    }

    #[test]
    fn names_cannot_break_out_of_a_path() {
        assert_eq!(encoded("sensors.air"), "sensors.air");
        assert_eq!(encoded("a/b c?é\r\n"), "a%2Fb%20c%3F%C3%A9%0D%0A");
    }
}
