//! `recvmmsg` and `sendmmsg`. The only place of this crate, with `addresses.rs`, that hands pointers to the system.
#![allow(unsafe_code)]
use super::{BATCH, DATAGRAM_BYTES, Received, ToSend};
use socket2::SockAddr;
use std::io;
use std::mem::{self, MaybeUninit};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr;

/// How many slots a call offers after one that found little: setting up a slot costs some nanoseconds.
const FEW: usize = 8;

/// Room for the control messages of one datagram: packet info (28 bytes and a header at most) and the drop counter.
#[derive(Copy, Clone)]
#[repr(C, align(8))]
struct Control([u8; 96]);

/// Receives up to [`BATCH`] datagrams in one call.
pub(crate) struct ReceiveBatch {
    bytes: Vec<u8>,
    names: Vec<libc::sockaddr_storage>,
    controls: Vec<Control>,
    vectors: Vec<libc::iovec>,
    headers: Vec<libc::mmsghdr>,
    received: usize,
    slots: usize,
    drained: bool,
}

impl ReceiveBatch {
    pub fn new() -> ReceiveBatch {
        // SAFETY: sockaddr_storage, iovec and mmsghdr are plain C data, for which all zeroes is a value.
        let (name, vector, header) = unsafe { (mem::zeroed(), mem::zeroed(), mem::zeroed()) };
        ReceiveBatch {
            // Zeroed memory is mapped when touched: most slots only ever use their first page.
            bytes: vec![0; BATCH * DATAGRAM_BYTES],
            names: vec![name; BATCH],
            controls: vec![Control([0; 96]); BATCH],
            vectors: vec![vector; BATCH],
            headers: vec![header; BATCH],
            received: 0,
            slots: FEW,
            drained: true,
        }
    }

    /// Whether the last call found fewer datagrams than it had room for: the socket was empty then.
    pub fn drained(&self) -> bool {
        self.drained
    }

    /// Receives what waits, without waiting. An error leaves the batch empty.
    pub fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        self.received = 0;
        let slots = self.slots;
        let buffers = self
            .bytes
            .chunks_exact_mut(DATAGRAM_BYTES)
            .zip(&mut self.names)
            .zip(&mut self.controls);
        let places = self.vectors.iter_mut().zip(&mut self.headers);
        for (((buffer, name), control), (vector, header)) in buffers.zip(places).take(slots) {
            *vector = libc::iovec {
                iov_base: buffer.as_mut_ptr().cast(),
                iov_len: buffer.len(),
            };
            header.msg_hdr.msg_name = ptr::from_mut(name).cast();
            header.msg_hdr.msg_namelen =
                mem::size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = control.0.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = control.0.len() as _;
            header.msg_hdr.msg_flags = 0;
            header.msg_len = 0;
        }
        // SAFETY: the first `slots` headers were just pointed at live buffers of the stated lengths, all owned by `self`, which is
        // borrowed mutably for the whole call.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                slots as libc::c_uint,
                libc::MSG_DONTWAIT as _,
                ptr::null_mut(),
            )
        };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        self.received = count;
        self.drained = count < slots;
        self.slots = if self.drained { FEW } else { BATCH };
        Ok(count)
    }

    /// The datagrams of the last call.
    pub fn datagrams(&self) -> impl Iterator<Item = Received<'_>> {
        let slots = self
            .headers
            .iter()
            .zip(&self.names)
            .zip(self.bytes.chunks_exact(DATAGRAM_BYTES))
            .take(self.received);
        slots.filter_map(|((header, name), buffer)| {
            let bytes = buffer.get(..header.msg_len as usize)?;
            let peer = socket_address(name)?;
            let (local, dropped) = control_messages(&header.msg_hdr);
            Some(Received {
                bytes,
                peer,
                local,
                dropped,
            })
        })
    }
}

/// The address that the kernel wrote.
fn socket_address(name: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match libc::c_int::from(name.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says that a sockaddr_in lies there; sockaddr_storage is large and aligned enough for it.
            let name = unsafe { &*ptr::from_ref(name).cast::<libc::sockaddr_in>() };
            let address = Ipv4Addr::from(u32::from_be(name.sin_addr.s_addr));
            Some(SocketAddr::V4(SocketAddrV4::new(
                address,
                u16::from_be(name.sin_port),
            )))
        }
        libc::AF_INET6 => {
            // SAFETY: as above, for sockaddr_in6.
            let name = unsafe { &*ptr::from_ref(name).cast::<libc::sockaddr_in6>() };
            let address = Ipv6Addr::from(name.sin6_addr.s6_addr);
            Some(SocketAddr::V6(SocketAddrV6::new(
                address,
                u16::from_be(name.sin6_port),
                name.sin6_flowinfo,
                name.sin6_scope_id,
            )))
        }
        _ => None,
    }
}

/// The address the datagram was sent to, and the socket's drop counter.
fn control_messages(header: &libc::msghdr) -> (Option<IpAddr>, Option<u32>) {
    let (mut local, mut dropped) = (None, None);
    // SAFETY: `header` was filled by recvmmsg: its control buffer is live and holds `msg_controllen` bytes of whole control messages,
    // which the CMSG macros walk; data is read unaligned, and only of the type that level and type name.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while let Some(current) = message.as_ref() {
            let data = libc::CMSG_DATA(message);
            match (current.cmsg_level, current.cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let info = data.cast::<libc::in_pktinfo>().read_unaligned();
                    // Of a broadcast or multicast datagram the address of ours that may answer, and otherwise what it was sent to.
                    local = Some(IpAddr::V4(Ipv4Addr::from(u32::from_be(
                        info.ipi_spec_dst.s_addr,
                    ))));
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let info = data.cast::<libc::in6_pktinfo>().read_unaligned();
                    local = Some(IpAddr::V6(Ipv6Addr::from(info.ipi6_addr.s6_addr)));
                }
                (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => {
                    dropped = Some(data.cast::<u32>().read_unaligned())
                }
                _ => {}
            }
            message = libc::CMSG_NXTHDR(header, message);
        }
    }
    (local, dropped)
}

/// Sends up to [`BATCH`] datagrams in one call.
pub(crate) struct SendBatch {
    names: Vec<SockAddr>,
    controls: Vec<Control>,
    vectors: Vec<libc::iovec>,
    headers: Vec<libc::mmsghdr>,
}

impl SendBatch {
    pub fn new() -> SendBatch {
        let (names, vectors, headers) = (
            Vec::with_capacity(BATCH),
            Vec::with_capacity(BATCH),
            Vec::with_capacity(BATCH),
        );
        SendBatch {
            names,
            controls: vec![Control([0; 96]); BATCH],
            vectors,
            headers,
        }
    }

    /// Sends the first datagrams, without waiting; says how many. An error is about the first one.
    pub fn send<'a>(
        &mut self,
        socket: &UdpSocket,
        datagrams: impl Iterator<Item = ToSend<'a>>,
    ) -> io::Result<usize> {
        self.names.clear();
        self.vectors.clear();
        self.headers.clear();
        for (datagram, control) in datagrams.take(BATCH).zip(&mut self.controls) {
            self.names.push(SockAddr::from(datagram.peer));
            self.vectors.push(libc::iovec {
                iov_base: datagram.bytes.as_ptr().cast_mut().cast(),
                iov_len: datagram.bytes.len(),
            });
            // SAFETY: mmsghdr is plain C data, for which all zeroes is a value.
            let mut header: libc::mmsghdr = unsafe { mem::zeroed() };
            if let Some(source) = datagram.source {
                header.msg_hdr.msg_controllen = write_source(control, source) as _;
                header.msg_hdr.msg_control = control.0.as_mut_ptr().cast();
            }
            self.headers.push(header);
        }
        // Nothing is pushed from here on: the pointers taken now stay good until the call returns.
        for ((header, name), vector) in self
            .headers
            .iter_mut()
            .zip(&self.names)
            .zip(&mut self.vectors)
        {
            header.msg_hdr.msg_name = name.as_ptr().cast_mut().cast();
            header.msg_hdr.msg_namelen = name.len();
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
        }
        // SAFETY: every header points at a live name, vector and control buffer of `self`, and each vector at bytes that the caller
        // lends for the whole call; sendmmsg only reads them and writes `msg_len` of the headers.
        let count = unsafe {
            let length = self.headers.len() as libc::c_uint;
            libc::sendmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                length,
                (libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) as _,
            )
        };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    }
}

/// Writes the control message that chooses the source address; gives its length.
fn write_source(control: &mut Control, source: IpAddr) -> usize {
    // SAFETY: plain C data, for which all zeroes is a value.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = control.0.len() as _;
    // SAFETY: the control buffer is 8-aligned and has room for one header and the larger of the two structures (CMSG_SPACE of
    // in6_pktinfo is 40 bytes); CMSG_FIRSTHDR gives its start.
    unsafe {
        let Some(message) = libc::CMSG_FIRSTHDR(&header).as_mut() else {
            return 0;
        };
        match source {
            IpAddr::V4(address) => {
                let length = mem::size_of::<libc::in_pktinfo>() as libc::c_uint;
                message.cmsg_level = libc::IPPROTO_IP;
                message.cmsg_type = libc::IP_PKTINFO;
                message.cmsg_len = libc::CMSG_LEN(length) as _;
                let mut info: libc::in_pktinfo = mem::zeroed();
                info.ipi_spec_dst.s_addr = u32::from(address).to_be();
                libc::CMSG_DATA(message)
                    .cast::<libc::in_pktinfo>()
                    .write_unaligned(info);
                libc::CMSG_SPACE(length) as usize
            }
            IpAddr::V6(address) => {
                let length = mem::size_of::<libc::in6_pktinfo>() as libc::c_uint;
                message.cmsg_level = libc::IPPROTO_IPV6;
                message.cmsg_type = libc::IPV6_PKTINFO;
                message.cmsg_len = libc::CMSG_LEN(length) as _;
                let mut info: libc::in6_pktinfo = mem::zeroed();
                info.ipi6_addr.s6_addr = address.octets();
                libc::CMSG_DATA(message)
                    .cast::<libc::in6_pktinfo>()
                    .write_unaligned(info);
                libc::CMSG_SPACE(length) as usize
            }
        }
    }
}

/// Sets what socket2 does not offer: the drop counter, the destination address (`wildcard` sockets), and a receive buffer past the
/// system's cap where this process may.
pub(crate) fn prepare(socket: &UdpSocket, wildcard: bool, receive_buffer: usize) -> io::Result<()> {
    set_option(socket, libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 1)?;
    if wildcard {
        match socket.local_addr()? {
            SocketAddr::V4(_) => set_option(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?,
            SocketAddr::V6(_) => set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?,
        }
    }
    let wanted = libc::c_int::try_from(receive_buffer).unwrap_or(libc::c_int::MAX);
    if set_option(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, wanted).is_err() {
        set_option(socket, libc::SOL_SOCKET, libc::SO_RCVBUF, wanted)?;
    }
    Ok(())
}

/// The receive buffer that the socket has, in bytes. The kernel reports twice that: its own bookkeeping counts too (socket(7)).
pub(crate) fn receive_buffer(socket: &UdpSocket) -> io::Result<usize> {
    Ok(socket2::SockRef::from(socket).recv_buffer_size()? / 2)
}

fn set_option(
    socket: &UdpSocket,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    let value = MaybeUninit::new(value);
    let length = mem::size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the value is an initialised c_int that lives until the call returns, and `length` is its size.
    match unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            value.as_ptr().cast(),
            length,
        )
    } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
