//! The record of what crossed the wire, drawn as a ladder when a test fails.
use crate::packet::Packet;
use engine::Time;
use std::fmt::Write as _;
use std::net::SocketAddr;

/// What became of a message.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It is on its way, or arrived.
    Sent,
    /// It was lost.
    Lost,
    /// It will come twice.
    Doubled,
    /// It waits until the test releases it.
    Held,
    /// Nobody is there.
    Nowhere,
}

/// One message, as it was sent.
#[derive(Clone, Debug)]
pub struct Step {
    /// When it was sent.
    pub at: Time,
    /// The message.
    pub packet: Packet,
    /// What became of it.
    pub fate: Fate,
}

/// Everything that was sent, and what the test noted between.
#[derive(Clone, Debug, Default)]
pub struct Ladder {
    steps: Vec<Step>,
    notes: Vec<(usize, Time, String)>,
}

impl Ladder {
    pub(crate) fn push(&mut self, at: Time, packet: Packet, fate: Fate) {
        self.steps.push(Step { at, packet, fate });
    }

    pub(crate) fn note(&mut self, at: Time, text: String) {
        self.notes.push((self.steps.len(), at, text));
    }

    /// Every message, in the order sent.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The ladder as text: a column for each host, an arrow for each message.
    #[must_use]
    pub fn draw(&self, hosts: &[(String, SocketAddr)]) -> String {
        let mut out = String::from("           ");
        for (name, address) in hosts {
            let _ = write!(out, " {:<22}", format!("{name} {}", address.ip()));
        }
        out.push('\n');
        let mut notes = self.notes.iter().peekable();
        for (index, step) in self.steps.iter().enumerate() {
            while let Some((_, at, text)) = notes.next_if(|(before, ..)| *before <= index) {
                let _ = writeln!(
                    out,
                    "{:>10.3}  -- {text}",
                    at.since(Time::START).as_secs_f64()
                );
            }
            let column =
                |address: SocketAddr| hosts.iter().position(|(_, host)| host.ip() == address.ip());
            let arrow = match (column(step.packet.from), column(step.packet.to)) {
                (Some(from), Some(to)) if from < to => format!(
                    "{}{}>",
                    " ".repeat(from * 23),
                    "-".repeat((to - from) * 23 - 1)
                ),
                (Some(from), Some(to)) if from > to => format!(
                    "{}<{}",
                    " ".repeat(to * 23),
                    "-".repeat((from - to) * 23 - 1)
                ),
                (from, to) => format!(
                    "{}{} to {}",
                    " ".repeat(from.or(to).unwrap_or(0) * 23),
                    step.packet.from,
                    step.packet.to
                ),
            };
            let fate = match step.fate {
                Fate::Sent => "",
                Fate::Lost => "  LOST",
                Fate::Doubled => "  twice",
                Fate::Held => "  held",
                Fate::Nowhere => "  nobody there",
            };
            let method = step.packet.cseq_method();
            let start = step.packet.start_line();
            let method = if start.starts_with("SIP/2.0") {
                format!(" ({method})")
            } else {
                String::new()
            };
            let _ = writeln!(
                out,
                "{:>10.3}  {arrow:<width$} {start}{method} [{}]{fate}",
                step.at.since(Time::START).as_secs_f64(),
                step.packet.transport,
                width = hosts.len().saturating_sub(1) * 23 + 1,
            );
        }
        for (_, at, text) in notes {
            let _ = writeln!(
                out,
                "{:>10.3}  -- {text}",
                at.since(Time::START).as_secs_f64()
            );
        }
        out
    }
}
