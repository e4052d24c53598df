//! QEMU's own protocol: what changes around the machine, seen from outside.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};

/// A line of JSON each way.
pub struct Qmp(BufReader<UnixStream>);

impl Qmp {
    pub fn new(stream: UnixStream) -> Self {
        let mut qmp = Self(BufReader::new(stream));
        let greeting = qmp.line();
        assert!(greeting["QMP"].is_object(), "{greeting}");
        qmp.ask("qmp_capabilities", json!({}));
        qmp
    }

    /// What the TMP105 on I²C bus 1 feels from now on.
    pub fn set_temperature(&mut self, celsius: f64) {
        let thousandths = (celsius * 1000.0).round() as i64;
        let path = "/machine/peripheral/tmp0";
        self.ask("qom-set", json!({ "path": path, "property": "temperature", "value": thousandths }));
    }

    fn ask(&mut self, command: &str, arguments: Value) -> Value {
        writeln!(self.0.get_ref(), "{}", json!({ "execute": command, "arguments": arguments })).unwrap();
        loop {
            let answer = self.line();
            assert!(answer.get("error").is_none(), "{command}: {answer}");
            // Events come whenever they like.
            if let Some(value) = answer.get("return") {
                return value.clone();
            }
        }
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("QEMU does not answer");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }
}
