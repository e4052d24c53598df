//! What the broker has taken of the history, as the wire between the two shows it: a page counts when its acknowledgement comes.

use std::collections::HashMap;

/// One connection's packets, put together from what passes.
#[derive(Default)]
pub struct Wire {
    up: Vec<u8>,
    down: Vec<u8>,
    /// Pages that were sent and not acknowledged.
    sent: HashMap<[u8; 2], Vec<u8>>,
}

impl Wire {
    /// These bytes come from the daemon.
    pub fn said(&mut self, bytes: &[u8]) {
        self.up.extend_from_slice(bytes);
        while let Some((head, body)) = packet(&mut self.up) {
            // A publish at QoS 1.
            if head >> 4 == 3 && head & 0b110 == 0b010 {
                let (topic, rest) = body[2..].split_at(usize::from(u16::from_be_bytes([body[0], body[1]])));
                if topic.ends_with(b"/history") {
                    self.sent.insert([rest[0], rest[1]], rest[2..].to_vec());
                }
            }
        }
    }

    /// These come from the broker. Gives the pages that it has taken now.
    pub fn answered(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.down.extend_from_slice(bytes);
        let mut taken = Vec::new();
        while let Some((head, body)) = packet(&mut self.down) {
            if head >> 4 == 4 {
                taken.extend(self.sent.remove(&[body[0], body[1]]));
            }
        }
        taken
    }
}

/// Takes the first packet off, if it is there whole: MQTT 3.1.1, 2.2.
fn packet(bytes: &mut Vec<u8>) -> Option<(u8, Vec<u8>)> {
    let mut length = 0;
    for at in 1..5 {
        let byte = *bytes.get(at)?;
        length |= usize::from(byte & 0x7f) << (7 * (at - 1));
        if byte & 0x80 == 0 {
            let end = at + 1 + length;
            if bytes.len() < end {
                return None;
            }
            let rest = bytes.split_off(end);
            let whole = std::mem::replace(bytes, rest);
            return Some((whole[0], whole[at + 1..].to_vec()));
        }
    }
    panic!("what passes is not MQTT");
}
