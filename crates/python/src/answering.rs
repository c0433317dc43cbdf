//! Writing an answer on the interpreter's thread, so that `res.send` knows at once what goes out and need not wait for the engine:
//! a result awaited costs two thread switches (bench/README.md, "The boundary"), several times what writing the response does.
use engine::command::{Draft, Written};
use engine::event::CommandError;
use engine::id::{CommandId, DialogId, Generator, TransactionId};
use engine::reply::{Replier, Reply};
use engine::transport::Origin;
use sip::Limits;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// What an answer needs beside the request: kept with the request's message.
pub struct Answering {
    pub origin: Origin,
    /// The dialog that the request belongs to.
    dialog: Option<DialogId>,
    /// Our tag, chosen with the first answer; none when the engine wrote that one, and with it the tag.
    tag: OnceLock<Option<Box<str>>>,
}

impl Answering {
    /// For a request that came this way.
    pub fn new(origin: Origin, dialog: Option<DialogId>) -> Answering {
        Answering {
            origin,
            dialog,
            tag: OnceLock::new(),
        }
    }
}

/// Writes answers as the engine would.
pub struct Writer {
    replier: Arc<Replier>,
    tags: Mutex<Generator>,
}

impl Writer {
    /// A writer with the listeners of the engine.
    pub fn new(replier: Arc<Replier>) -> Writer {
        let mut seed = [0; 32];
        for chunk in seed.chunks_exact_mut(8) {
            // The standard library's hasher is seeded by the operating system.
            chunk.copy_from_slice(&RandomState::new().build_hasher().finish().to_be_bytes());
        }
        Writer {
            replier,
            tags: Mutex::new(Generator::new(seed)),
        }
    }

    /// What the engine says about flows and NATs.
    pub fn replier(&self) -> &Replier {
        &self.replier
    }

    /// The answer, and the dialog it belongs to; none when the engine must write it itself.
    ///
    /// # Errors
    /// `InvalidHeader`, `MissingContentType`.
    pub fn write(
        &self,
        id: CommandId,
        transaction: TransactionId,
        request: &sip::Message,
        answering: &Answering,
        answer: (u16, &str, &Draft),
    ) -> Result<Option<(Written, Option<DialogId>)>, CommandError> {
        let (status, reason, draft) = answer;
        let needs_engine = Replier::needs_engine(request, status, draft);
        let tag = answering.tag.get_or_init(|| {
            let mut tags = self.tags.lock().unwrap_or_else(PoisonError::into_inner);
            (!needs_engine).then(|| tags.token().into())
        });
        // Every answer to a request has the same tag (RFC 3261 §8.2.6.2), and one that the engine chose only it knows.
        let Some(tag) = tag.as_deref().filter(|_| !needs_engine) else {
            return Ok(None);
        };
        let reply = Reply {
            status,
            reason,
            tag: Some(tag),
            reliable_number: None,
            draft,
        };
        let bytes = self.replier.write(request, &answering.origin, &reply)?;
        let message = sip::Message::parse(bytes, &Limits::unlimited()).map_err(|error| {
            CommandError::InvalidHeader(format!("the response cannot be sent: {error}"))
        })?;
        let created = || Replier::dialog(request, transaction, status, draft);
        let dialog = answering.dialog.or_else(created);
        let message = Arc::new(message);
        Ok(Some((
            Written {
                id,
                transaction,
                message,
            },
            dialog,
        )))
    }
}
