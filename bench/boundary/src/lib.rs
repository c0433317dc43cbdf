//! The spike behind the boundary's design: ways to carry events from a Rust thread to an asyncio loop, and what the parts cost.
//!
//! It measures the shape, with a message of the usual size and a producer thread in the place of a shard. It is no part of dracht.
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTuple};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Nanoseconds of CLOCK_MONOTONIC, which is what `time.perf_counter_ns` reads too.
fn now() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: a valid pointer to a timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000
        + u64::try_from(time.tv_nsec).unwrap_or(0)
}

struct Inner {
    bytes: Vec<u8>,
    /// Start and end of each field's name and value.
    fields: Vec<[usize; 4]>,
}

impl Inner {
    fn parse(bytes: &[u8]) -> Inner {
        let mut fields = Vec::new();
        let mut start = 0;
        while let Some(length) = bytes[start..].windows(2).position(|pair| pair == b"\r\n") {
            let line = &bytes[start..start + length];
            if let Some(colon) = line
                .iter()
                .position(|byte| *byte == b':')
                .filter(|_| start > 0)
            {
                fields.push([start, start + colon, start + colon + 2, start + length]);
            }
            start += length + 2;
        }
        Inner {
            bytes: bytes.to_vec(),
            fields,
        }
    }
}

/// The class of the design: frozen, over shared data, headers read when asked for.
#[pyclass(frozen)]
struct Message {
    inner: Arc<Inner>,
}

#[pymethods]
impl Message {
    #[staticmethod]
    fn parse(bytes: &[u8]) -> Message {
        Message {
            inner: Arc::new(Inner::parse(bytes)),
        }
    }

    fn header<'py>(&self, py: Python<'py>, name: &str) -> Option<Bound<'py, PyString>> {
        let inner = &self.inner;
        let found = inner
            .fields
            .iter()
            .find(|field| inner.bytes[field[0]..field[1]].eq_ignore_ascii_case(name.as_bytes()))?;
        Some(PyString::new(
            py,
            std::str::from_utf8(&inner.bytes[found[2]..found[3]]).ok()?,
        ))
    }
}

/// What a real event carries beside the message.
#[pyclass(frozen)]
struct Origin;

struct Item {
    at: u64,
    id: u64,
    message: Arc<Inner>,
}

impl Item {
    fn into_tuple(self, py: Python<'_>) -> PyResult<Bound<'_, PyTuple>> {
        let message = Bound::new(
            py,
            Message {
                inner: self.message,
            },
        )?;
        (
            0_u8,
            self.id,
            self.at,
            message,
            Bound::new(py, Origin)?,
            500_u16,
        )
            .into_pyobject(py)
    }
}

const BOUND: usize = 4096;

/// Mutex<Vec>, an armed flag and an eventfd.
struct Bridge {
    queue: Mutex<Vec<Item>>,
    armed: AtomicBool,
    fd: i32,
    wakes: AtomicU64,
}

impl Bridge {
    /// False when the queue is full.
    fn push(&self, item: Item) -> bool {
        {
            let mut queue = self.queue.lock().unwrap();
            if queue.len() >= BOUND {
                return false;
            }
            queue.push(item);
        }
        if !self.armed.swap(true, Ordering::AcqRel) {
            self.wakes.fetch_add(1, Ordering::Relaxed);
            let one = 1_u64;
            // SAFETY: eight bytes to an eventfd that lives as long as the process.
            unsafe { libc::write(self.fd, (&raw const one).cast(), 8) };
        }
        true
    }
}

#[pyclass(frozen)]
struct Bench {
    bridge: Arc<Bridge>,
    /// What was taken out of the queue and did not fit into a batch, newest first.
    rest: Mutex<Vec<Item>>,
    commands: Mutex<Vec<(u64, String, Vec<(String, String)>)>>,
    template: Arc<Inner>,
}

/// Calls `push` `count` times, evenly at `rate` per second (0: as fast as it is taken).
fn produce(count: u64, rate: u64, template: &Arc<Inner>, mut push: impl FnMut(Item) -> bool) {
    let started = now();
    for id in 0..count {
        if rate > 0 {
            let due = started + id * 1_000_000_000 / rate;
            while now() < due {
                std::thread::sleep(Duration::from_nanos(due.saturating_sub(now())));
            }
        }
        // As a shard does: a message of its own for each event.
        let message = Arc::new(Inner {
            bytes: template.bytes.clone(),
            fields: template.fields.clone(),
        });
        while !push(Item {
            at: now(),
            id,
            message: Arc::clone(&message),
        }) {
            std::thread::sleep(Duration::from_micros(50));
        }
    }
}

#[pymethods]
impl Bench {
    #[new]
    fn new(message: &[u8]) -> Bench {
        // SAFETY: no arguments that could be invalid.
        let fd = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        let bridge = Bridge {
            queue: Mutex::new(Vec::new()),
            armed: AtomicBool::new(false),
            fd,
            wakes: AtomicU64::new(0),
        };
        Bench {
            bridge: Arc::new(bridge),
            rest: Mutex::new(Vec::new()),
            commands: Mutex::new(Vec::new()),
            template: Arc::new(Inner::parse(message)),
        }
    }

    fn fileno(&self) -> i32 {
        self.bridge.fd
    }

    fn wakes(&self) -> u64 {
        self.bridge.wakes.load(Ordering::Relaxed)
    }

    fn produce(&self, count: u64, rate: u64) {
        let (bridge, template) = (Arc::clone(&self.bridge), Arc::clone(&self.template));
        std::thread::spawn(move || produce(count, rate, &template, |item| bridge.push(item)));
    }

    /// The same by one `call_soon_threadsafe` per event.
    fn produce_threadsafe(
        &self,
        call_soon_threadsafe: Py<PyAny>,
        callback: Py<PyAny>,
        count: u64,
        rate: u64,
    ) {
        let template = Arc::clone(&self.template);
        std::thread::spawn(move || {
            produce(count, rate, &template, |item| {
                Python::attach(|py| {
                    let event = item.into_tuple(py).unwrap();
                    call_soon_threadsafe.call1(py, (&callback, event)).unwrap();
                });
                true
            });
            Python::attach(|_| drop((call_soon_threadsafe, callback)));
        });
    }

    /// At most `limit` events. Without `arm` nothing wakes the loop until a later call has it.
    #[pyo3(signature = (limit, arm = true))]
    fn take<'py>(&self, py: Python<'py>, limit: usize, arm: bool) -> PyResult<Bound<'py, PyList>> {
        let mut rest = self.rest.lock().unwrap();
        if rest.is_empty() {
            let mut count = 0_u64;
            // SAFETY: eight bytes from the eventfd.
            unsafe { libc::read(self.bridge.fd, (&raw mut count).cast(), 8) };
            if arm {
                self.bridge.armed.store(false, Ordering::SeqCst);
            }
            std::mem::swap(&mut *rest, &mut *self.bridge.queue.lock().unwrap());
            rest.reverse();
        }
        let from = rest.len().saturating_sub(limit);
        let events: PyResult<Vec<_>> = rest
            .drain(from..)
            .rev()
            .map(|item| item.into_tuple(py))
            .collect();
        PyList::new(py, events?)
    }

    /// A command: plain data into a vector.
    fn respond(&self, transaction: u64, reason: String, headers: Vec<(String, String)>) {
        self.commands
            .lock()
            .unwrap()
            .push((transaction, reason, headers));
    }

    /// Hands the commands over: here, answers each by an event from another thread.
    fn flush(&self) {
        let commands = std::mem::take(&mut *self.commands.lock().unwrap());
        let (bridge, template) = (Arc::clone(&self.bridge), Arc::clone(&self.template));
        echo().send(Box::new(move || {
            for (id, _, _) in commands {
                bridge.push(Item {
                    at: now(),
                    id,
                    message: Arc::clone(&template),
                });
            }
        }));
    }

    fn forget(&self) {
        self.commands.lock().unwrap().clear();
    }
}

type Job = Box<dyn FnOnce() + Send>;
struct Echo(std::sync::mpsc::Sender<Job>);
impl Echo {
    fn send(&self, job: Job) {
        self.0.send(job).unwrap();
    }
}
fn echo() -> &'static Echo {
    static ECHO: std::sync::OnceLock<Echo> = std::sync::OnceLock::new();
    ECHO.get_or_init(|| {
        let (sender, jobs) = std::sync::mpsc::channel::<Job>();
        std::thread::spawn(move || jobs.into_iter().for_each(|job| job()));
        Echo(sender)
    })
}

/// The awaitable of pyo3-async-runtimes, of a future that is ready at once.
#[cfg(feature = "pyo3-async-runtimes")]
#[pyfunction]
fn ready(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    pyo3_async_runtimes::tokio::future_into_py(py, async { Ok(()) })
}

#[pymodule(gil_used = false)]
fn boundary_bench(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Bench>()?;
    module.add_class::<Message>()?;
    #[cfg(feature = "pyo3-async-runtimes")]
    module.add_function(wrap_pyfunction!(ready, module)?)?;
    Ok(())
}
