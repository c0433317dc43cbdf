//! A client of the control protocol that sends and reads frames and knows nothing else.
#![allow(dead_code, reason = "each test uses its part")]
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A connection to a control listener. Whatever takes longer than ten seconds fails.
pub struct Client {
    /// The connection.
    pub stream: TcpStream,
    received: Vec<u8>,
}

impl Client {
    /// Connects.
    pub fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        stream
            .set_write_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        Client {
            stream,
            received: Vec::new(),
        }
    }

    /// Sends one payload.
    pub fn send(&mut self, payload: &str) {
        self.stream
            .write_all(format!("{}#{payload}", payload.len()).as_bytes())
            .unwrap();
    }

    /// The next payload.
    pub fn next(&mut self) -> String {
        loop {
            if let Some(digits) = self.received.iter().position(|&byte| byte == b'#') {
                let length: usize = std::str::from_utf8(&self.received[..digits])
                    .unwrap()
                    .parse()
                    .unwrap();
                let end = digits + 1 + length;
                if self.received.len() >= end {
                    let payload =
                        String::from_utf8(self.received[digits + 1..end].to_vec()).unwrap();
                    self.received.drain(..end);
                    return payload;
                }
            }
            let mut chunk = [0; 4096];
            let read = self.stream.read(&mut chunk).unwrap();
            assert!(
                read > 0,
                "closed; left {:?}",
                String::from_utf8_lossy(&self.received)
            );
            self.received.extend_from_slice(&chunk[..read]);
        }
    }

    /// Reads until the server closes; a reset counts.
    pub fn is_closed(&mut self) -> bool {
        let mut chunk = [0; 65_536];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => {
                    return matches!(
                        error.kind(),
                        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
                    );
                }
            }
        }
    }
}
