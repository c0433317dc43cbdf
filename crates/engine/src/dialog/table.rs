//! The table of dialogs: found by Call-ID and tags (RFC 3261 §12), or all those of a Call-ID.
//!
//! What a message costs may not grow with the dialogs that share its Call-ID: a peer chooses those.
use super::Dialog;
use crate::id::{ApplicationId, DialogId};
use crate::transaction::key::{Digest, Digester};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

/// The dialogs of a shard.
pub(crate) struct DialogTable {
    by_id: FxHashMap<DialogId, Box<Dialog>>,
    by_tags: FxHashMap<Digest, DialogId>,
    by_call: FxHashMap<Digest, SmallVec<[DialogId; 2]>>,
    digester: Digester,
    /// How often a dialog was looked at: what a test counts, as time depends on the machine.
    #[cfg(debug_assertions)]
    looked: std::cell::Cell<u64>,
}

impl DialogTable {
    /// An empty table.
    pub(crate) fn new(digester: Digester) -> DialogTable {
        DialogTable {
            by_id: FxHashMap::default(),
            by_tags: FxHashMap::default(),
            by_call: FxHashMap::default(),
            digester,
            #[cfg(debug_assertions)]
            looked: std::cell::Cell::new(0),
        }
    }

    /// How often a dialog was looked at.
    #[cfg(debug_assertions)]
    pub(crate) fn looked(&self) -> u64 {
        self.looked.get()
    }

    fn count(&self) {
        #[cfg(debug_assertions)]
        self.looked.set(self.looked.get() + 1);
    }

    fn tags_key(&self, call_id: &str, local_tag: &str, remote_tag: &str) -> Digest {
        self.digester.digest(&[
            call_id.as_bytes(),
            local_tag.as_bytes(),
            remote_tag.as_bytes(),
        ])
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// The dialog with this identifier.
    pub(crate) fn get(&self, id: DialogId) -> Option<&Dialog> {
        self.count();
        self.by_id.get(&id).map(AsRef::as_ref)
    }

    /// The dialog with this identifier.
    pub(crate) fn get_mut(&mut self, id: DialogId) -> Option<&mut Dialog> {
        self.count();
        self.by_id.get_mut(&id).map(AsMut::as_mut)
    }

    /// Adds a dialog.
    pub(crate) fn insert(&mut self, id: DialogId, dialog: Dialog) {
        let key = self.tags_key(&dialog.call_id, &dialog.local_tag, &dialog.remote_tag);
        self.by_tags.insert(key, id);
        self.by_call
            .entry(self.digester.digest(&[dialog.call_id.as_bytes()]))
            .or_default()
            .push(id);
        self.by_id.insert(id, Box::new(dialog));
    }

    /// Removes a dialog.
    pub(crate) fn remove(&mut self, id: DialogId) -> Option<Box<Dialog>> {
        let dialog = self.by_id.remove(&id)?;
        let key = self.tags_key(&dialog.call_id, &dialog.local_tag, &dialog.remote_tag);
        // An application may have given two the same tags; the later one is found.
        if self.by_tags.get(&key) == Some(&id) {
            self.by_tags.remove(&key);
        }
        let key = self.digester.digest(&[dialog.call_id.as_bytes()]);
        if let Some(ids) = self.by_call.get_mut(&key) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.by_call.remove(&key);
            }
        }
        Some(dialog)
    }

    /// Gives back room that is not needed.
    pub(crate) fn shrink(&mut self) {
        self.by_id.shrink_to_fit();
        self.by_tags.shrink_to_fit();
        self.by_call.shrink_to_fit();
    }

    /// The dialogs of a call, oldest first.
    pub(crate) fn of_call(&self, call_id: &str) -> SmallVec<[DialogId; 2]> {
        let ids = self
            .by_call
            .get(&self.digester.digest(&[call_id.as_bytes()]));
        let mut ids = ids.cloned().unwrap_or_default();
        ids.retain(|id| {
            self.get(*id)
                .is_some_and(|dialog| *dialog.call_id == *call_id)
        });
        ids
    }

    /// The dialog of a message, by its Call-ID and tags as we see them.
    pub(crate) fn find(
        &self,
        call_id: &str,
        local_tag: &str,
        remote_tag: &str,
    ) -> Option<DialogId> {
        let key = self.tags_key(call_id, local_tag, remote_tag);
        let id = *self.by_tags.get(&key)?;
        self.get(id)
            .is_some_and(|dialog| dialog.matches(call_id, local_tag, remote_tag))
            .then_some(id)
    }

    /// The dialog that an application means by Call-ID and the From tag of the creating request: of several forks the
    /// confirmed one, else the latest.
    pub(crate) fn find_by_creator(&self, call_id: &str, from_tag: &str) -> Option<DialogId> {
        let ids = self.of_call(call_id);
        let mut found = None;
        for id in ids {
            if let Some(dialog) = self
                .get(id)
                .filter(|dialog| dialog.creator_tag() == from_tag)
            {
                if dialog.confirmed {
                    return Some(id);
                }
                found = Some(id);
            }
        }
        found
    }

    /// The dialogs that this application owns, oldest first.
    pub(crate) fn owned_by(&self, application: ApplicationId) -> Vec<DialogId> {
        let owned = self
            .by_id
            .iter()
            .filter(|(_, dialog)| dialog.owner == Some(application));
        let mut ids: Vec<DialogId> = owned.map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids
    }
}
