//! The descriptor that wakes a Python loop: an eventfd on Linux, a socket pair elsewhere.
//!
//! It knows only "readable or not". When to write and when to clear, so that no wake-up is lost, is `bridge`'s business.
#![allow(unsafe_code)]
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

/// A descriptor that is readable from `set` until `clear`.
pub struct Wakeup {
    reader: File,
    /// The other end; on Linux the same descriptor once more.
    writer: File,
}

impl Wakeup {
    /// Opens the descriptor. It is not blocking, and closed on exec.
    ///
    /// # Errors
    /// The operating system's: no descriptor left.
    pub fn open() -> io::Result<Wakeup> {
        let (reader, writer) = open()?;
        Ok(Wakeup {
            reader: File::from(reader),
            writer: File::from(writer),
        })
    }

    /// The end to watch.
    pub fn fileno(&self) -> RawFd {
        self.reader.as_raw_fd()
    }

    /// Makes it readable. One system call, which never blocks.
    pub fn set(&self) {
        // That it is full means that it is readable already, which is what was wanted.
        let _ = (&self.writer).write(&1_u64.to_ne_bytes());
    }

    /// Makes it unreadable.
    pub fn clear(&self) {
        let mut read = [0; 64];
        // An eventfd gives all at once; a socket pair gives what fits.
        while (&self.reader)
            .read(&mut read)
            .is_ok_and(|length| length == read.len())
        {}
    }

    /// Blocks until it is readable or the time is over; says whether it is.
    pub fn wait(&self, timeout: Duration) -> bool {
        let deadline = Instant::now().checked_add(timeout);
        loop {
            let remaining =
                deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            // Rounded up, or the last wait of less than a millisecond would spin. At most an hour at a time.
            let milliseconds = remaining.map_or(3_600_000, |remaining| {
                remaining.as_nanos().div_ceil(1_000_000).min(3_600_000)
            });
            let mut descriptor = libc::pollfd {
                fd: self.fileno(),
                events: libc::POLLIN,
                revents: 0,
            };
            // SAFETY: one valid pollfd; the descriptor is open as long as `self` is.
            let ready = unsafe {
                libc::poll(
                    &raw mut descriptor,
                    1,
                    i32::try_from(milliseconds).unwrap_or(i32::MAX),
                )
            };
            if ready > 0 {
                return true;
            }
            let interrupted =
                ready < 0 && io::Error::last_os_error().kind() == ErrorKind::Interrupted;
            if (ready < 0 && !interrupted) || remaining.is_some_and(|remaining| remaining.is_zero())
            {
                return false;
            }
        }
    }
}

#[cfg(target_os = "linux")]
fn open() -> io::Result<(OwnedFd, OwnedFd)> {
    // SAFETY: no pointers; the result is checked.
    let descriptor = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was opened above, and nothing else owns it.
    let reader = unsafe { OwnedFd::from_raw_fd(descriptor) };
    let writer = reader.try_clone()?;
    Ok((reader, writer))
}

#[cfg(not(target_os = "linux"))]
fn open() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = std::os::unix::net::UnixStream::pair()?;
    reader.set_nonblocking(true)?;
    writer.set_nonblocking(true)?;
    Ok((reader.into(), writer.into()))
}
