//! The engines' side of the seam, recording: what was attached, submitted and detached, for tests of the control side alone.
#![allow(dead_code, reason = "each test uses its part")]
use engine::admit::{Ban, Prefix};
use engine::command::Command;
use engine::counts::Counts;
use engine::id::ApplicationId;
use engine::seam::{Commands, Events};
use engine::transport::Origin;
use sip::Message;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// What was recorded.
#[derive(Default)]
pub struct Record {
    /// Every application that was ever attached; its identifier is the index.
    pub attached: Vec<Arc<dyn Events>>,
    /// Those that were detached, in order.
    pub detached: Vec<ApplicationId>,
    /// The batches that were submitted.
    pub batches: Vec<(ApplicationId, Vec<Command>)>,
    /// The bans that were asked for; without a time they are lifted.
    pub bans: Vec<(Prefix, Option<Duration>)>,
}

impl Record {
    /// Every command of one application, in order.
    pub fn commands(&self, application: u32) -> Vec<Command> {
        let mine = self.batches.iter().filter(|(id, _)| id.0 == application);
        mine.flat_map(|(_, commands)| commands.clone()).collect()
    }
}

/// Records what links hand in.
#[derive(Default)]
pub struct Recorder {
    record: Mutex<Record>,
    changed: Condvar,
}

impl Recorder {
    /// Looks at the record.
    pub fn look<T>(&self, look: impl FnOnce(&mut Record) -> T) -> T {
        look(&mut self.record.lock().unwrap())
    }

    /// Waits until the record satisfies `condition`; fails after ten seconds.
    pub fn wait(&self, what: &str, condition: impl Fn(&Record) -> bool) {
        let record = self.record.lock().unwrap();
        let (_record, waited) = self
            .changed
            .wait_timeout_while(record, Duration::from_secs(10), |record| !condition(record))
            .unwrap();
        assert!(!waited.timed_out(), "waited in vain: {what}");
    }

    fn change(&self, change: impl FnOnce(&mut Record)) {
        change(&mut self.record.lock().unwrap());
        self.changed.notify_all();
    }
}

impl Commands for Recorder {
    fn attach(&self, events: Arc<dyn Events>) -> ApplicationId {
        let mut application = ApplicationId(0);
        self.change(|record| {
            application = ApplicationId(u32::try_from(record.attached.len()).unwrap());
            record.attached.push(events);
        });
        application
    }

    fn detach(&self, application: ApplicationId) {
        self.change(|record| record.detached.push(application));
    }

    fn submit(&self, application: ApplicationId, commands: &mut Vec<Command>) {
        let commands = std::mem::take(commands);
        self.change(|record| record.batches.push((application, commands)));
    }

    fn counts(&self) -> Vec<Counts> {
        vec![Counts {
            shard: 0,
            dialogs: 3,
            totals: vec![("messages_received", 12)],
            ..Counts::default()
        }]
    }

    fn flow_token(&self, origin: &Origin) -> Option<String> {
        origin
            .connection
            .map(|connection| format!("drf{}", connection.0))
    }

    fn is_behind_nat(&self, _request: &Message, origin: &Origin) -> bool {
        origin.peer.ip().is_loopback()
    }

    fn ban(&self, network: Prefix, time: Option<Duration>) {
        self.change(|record| record.bans.push((network, time)));
    }

    fn bans(&self) -> Vec<Ban> {
        vec![Ban {
            network: "192.0.2.0/24".parse().unwrap(),
            remaining: Duration::from_secs(60),
            reason: "sipcli*".to_owned(),
        }]
    }

    fn hostports(&self) -> (Vec<String>, Vec<String>) {
        let advertised = vec![
            "udp/203.0.113.9:5060".to_owned(),
            "tcp/203.0.113.9:5060".to_owned(),
        ];
        (
            advertised,
            vec![
                "udp/10.0.0.5:5060".to_owned(),
                "tcp/10.0.0.5:5060".to_owned(),
            ],
        )
    }
}
