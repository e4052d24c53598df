//! A broker that is played by the test, packet by packet.

#![allow(clippy::unwrap_used, reason = "this is a test")]

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A broker of which the test chooses every answer. It remembers no session.
pub struct Puppet(TcpStream);

impl Puppet {
    /// Lets the next client in.
    pub async fn welcome(listener: &TcpListener) -> Self {
        let mut puppet = Self(listener.accept().await.unwrap().0);
        puppet.packet().await;
        puppet.0.write_all(b"\x20\x02\x00\x00").await.unwrap();
        puppet
    }

    /// The first byte of a packet, and what comes after its length.
    async fn packet(&mut self) -> (u8, Vec<u8>) {
        let kind = self.0.read_u8().await.unwrap();
        let (mut length, mut shift) = (0, 0);
        loop {
            let byte = self.0.read_u8().await.unwrap();
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let mut rest = vec![0; length];
        self.0.read_exact(&mut rest).await.unwrap();
        (kind, rest)
    }

    /// The packet id and the topic of the next publish.
    pub async fn publish(&mut self) -> (u16, String) {
        let (kind, rest) = self.packet().await;
        assert_eq!(kind >> 4, 3, "no publish");
        let (topic, rest) = rest[2..].split_at(usize::from(u16::from_be_bytes([rest[0], rest[1]])));
        (u16::from_be_bytes([rest[0], rest[1]]), String::from_utf8(topic.to_vec()).unwrap())
    }

    pub async fn acknowledge(&mut self, id: u16) {
        let [high, low] = id.to_be_bytes();
        self.0.write_all(&[0x40, 2, high, low]).await.unwrap();
    }
}
