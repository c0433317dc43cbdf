//! Many datagrams in one system call, over buffers that are made once.
//!
//! Linux has `recvmmsg` and `sendmmsg`; elsewhere one call moves one datagram. The rest of the crate sees no difference.
use std::net::{IpAddr, SocketAddr};

#[cfg(target_os = "linux")]
mod linux;
#[cfg(any(not(target_os = "linux"), test))]
#[cfg_attr(target_os = "linux", allow(dead_code))]
mod portable;

#[cfg(target_os = "linux")]
pub(crate) use linux::{ReceiveBatch, SendBatch, prepare, receive_buffer};
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::{ReceiveBatch, SendBatch, prepare, receive_buffer};

/// How many datagrams one call moves at most.
pub(crate) const BATCH: usize = 64;
/// The longest datagram there is: what IPv4 and IPv6 can carry without jumbograms.
const DATAGRAM_BYTES: usize = 65_535;

/// A datagram received; its bytes lie in the batch until the next call.
#[derive(Clone, Debug)]
pub(crate) struct Received<'a> {
    pub bytes: &'a [u8],
    pub peer: SocketAddr,
    /// The address it was sent to, on sockets that ask for it.
    pub local: Option<IpAddr>,
    /// How many datagrams the kernel has dropped on this socket since it was opened, when it says so.
    pub dropped: Option<u32>,
}

/// A datagram to send.
#[derive(Clone, Debug)]
pub(crate) struct ToSend<'a> {
    pub bytes: &'a [u8],
    pub peer: SocketAddr,
    /// The address of this host to send from; none leaves it to the routing table.
    pub source: Option<IpAddr>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::time::Duration;

    macro_rules! moves_datagrams {
        ($name:ident, $module:ident) => {
            #[test]
            fn $name() {
                for address in ["127.0.0.1:0", "[::1]:0"] {
                    let (a, b) = (
                        UdpSocket::bind(address).unwrap(),
                        UdpSocket::bind(address).unwrap(),
                    );
                    b.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                    let peer = b.local_addr().unwrap();
                    let texts: Vec<String> = (0..200).map(|n| format!("datagram {n}")).collect();
                    let mut send = $module::SendBatch::new();
                    let mut sent = 0;
                    while sent < texts.len() {
                        let rest = texts[sent..].iter().map(|text| ToSend {
                            bytes: text.as_bytes(),
                            peer,
                            source: None,
                        });
                        sent += send.send(&a, rest).unwrap();
                    }
                    b.set_nonblocking(true).unwrap();
                    let mut receive = $module::ReceiveBatch::new();
                    let mut got = Vec::new();
                    while got.len() < texts.len() {
                        let count = receive.receive(&b).unwrap();
                        assert!(count > 0);
                        for datagram in receive.datagrams() {
                            assert_eq!(datagram.peer, a.local_addr().unwrap());
                            got.push(String::from_utf8(datagram.bytes.to_vec()).unwrap());
                        }
                    }
                    assert_eq!(got, texts);
                    assert_eq!(
                        receive.receive(&b).unwrap_err().kind(),
                        std::io::ErrorKind::WouldBlock
                    );
                }
            }
        };
    }
    #[cfg(target_os = "linux")]
    moves_datagrams!(batches_move_every_datagram_in_order, linux);
    moves_datagrams!(single_calls_move_every_datagram_in_order, portable);

    #[cfg(target_os = "linux")]
    #[test]
    fn a_wildcard_socket_learns_where_a_datagram_was_sent_to_and_answers_from_there() {
        for (wildcard, host) in [("0.0.0.0:0", "127.0.0.2"), ("[::]:0", "::1")] {
            let (server, client) = (
                UdpSocket::bind(wildcard).unwrap(),
                UdpSocket::bind((host, 0)).unwrap(),
            );
            prepare(&server, true, 4 << 20).unwrap();
            for socket in [&server, &client] {
                socket
                    .set_read_timeout(Some(Duration::from_secs(5)))
                    .unwrap();
            }
            let local: IpAddr = if host == "::1" {
                host.parse().unwrap()
            } else {
                "127.0.0.3".parse().unwrap()
            };
            client
                .send_to(b"ping", (local, server.local_addr().unwrap().port()))
                .unwrap();
            let mut receive = ReceiveBatch::new();
            assert_eq!(receive.receive(&server).unwrap(), 1);
            let got = receive.datagrams().next().unwrap();
            assert_eq!((got.bytes, got.local), (&b"ping"[..], Some(local)));
            let answer = ToSend {
                bytes: b"pong",
                peer: got.peer,
                source: got.local,
            };
            assert_eq!(
                SendBatch::new()
                    .send(&server, std::iter::once(answer))
                    .unwrap(),
                1
            );
            let mut buffer = [0; 16];
            let (length, from) = client.recv_from(&mut buffer).unwrap();
            assert_eq!((&buffer[..length], from.ip()), (&b"pong"[..], local));
        }
    }
}
