//! A name that leads nowhere leaves a line in the log at the level that is shown by default: which name, and what was wrong.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod network;

use engine::ResolveError;
use network::{Network, seconds};
use sip::Method;
use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Keeps what is logged as warnings and worse.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{field}={value:?} ").unwrap();
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// What is logged by this.
fn logged(what: impl FnOnce()) -> Vec<String> {
    let lines = Lines::default();
    tracing::subscriber::with_default(lines.clone(), what);
    let lines = lines.0.lock().unwrap();
    lines.clone()
}

fn answer(network: &mut Network, answer: ResolveError) {
    network.settle();
    let question = network.hosts[0].resolves.remove(0);
    let now = network.now;
    let engine = &mut network.hosts[0].engine;
    engine.handle_resolved(now, question.id, Err(answer));
}

#[test]
fn it_names_the_host_and_what_was_wrong() {
    let mut network = Network::new(1);
    let lines = logged(|| {
        network.send(0, Method::Options, "sip:nowhere.example", &[], b"");
        answer(&mut network, ResolveError::NotFound);
    });
    assert_eq!(lines.len(), 1, "{lines:?}");
    for part in [
        "host=\"nowhere.example\"",
        "the name does not exist or has no address",
        "suppressed=0",
    ] {
        assert!(lines[0].contains(part), "{lines:?}");
    }
}

#[test]
fn so_does_one_that_is_never_answered() {
    let mut network = Network::new(1);
    let lines = logged(|| {
        network.send(0, Method::Options, "sip:slow.example", &[], b"");
        network.settle();
        network.advance(seconds(40));
    });
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("host=\"slow.example\"") && lines[0].contains("in time"));
}

#[test]
fn thousands_of_them_leave_ten_lines_a_second_and_how_many_there_were() {
    let mut network = Network::new(1);
    let lines = logged(|| {
        for _ in 0..1000 {
            network.send(0, Method::Options, "sip:nowhere.example", &[], b"");
            answer(&mut network, ResolveError::NotFound);
        }
        network.advance(seconds(1));
        network.send(0, Method::Options, "sip:nowhere.example", &[], b"");
        answer(&mut network, ResolveError::NotFound);
    });
    assert_eq!(lines.len(), 11, "{lines:?}");
    assert!(lines[10].contains("suppressed=990"), "{}", lines[10]);
}
