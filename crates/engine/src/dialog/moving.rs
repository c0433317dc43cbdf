//! Dialogs that move between engines: given as a value, taken over from one (`crate::export`).
use super::Dialog;
use crate::command::{Export, Import};
use crate::config::shard_of;
use crate::dialog::create::Ends;
use crate::dialog::session::Session;
use crate::dialog::subscription::Subscription;
use crate::dialog::usages::Subscriptions;
use crate::engine::Engine;
use crate::event::{CommandError, Event, Exported, Imported};
use crate::export::{ExportedDialog, ExportedRole, VERSION};
use crate::id::{ApplicationId, DialogRole};
use crate::time::Time;
use crate::transport::{Destination, Transport};
use std::time::Duration;

impl Dialog {
    /// What another engine needs to go on with it.
    fn export(&self, now: Time) -> ExportedDialog {
        // Every part is named, so that one which is added is either given as well or left out by decision.
        let Dialog {
            role,
            call_id,
            local_tag,
            remote_tag,
            local,
            remote,
            remote_target,
            route_set,
            local_sequence,
            remote_sequence,
            origin,
            // Told by the target and the peer, and by the peer's next request.
            behind_nat: _,
            invited,
            subscriptions,
            session,
            active,
            // Whoever imports it owns it; only what is confirmed is exported.
            owner: _,
            confirmed: _,
            // What is under way stays with the transactions that carry it.
            invite: _,
            remote_invite: _,
            local_invite: _,
            unacknowledged: _,
            remote_update: _,
            offer: _,
            reliable_late: _,
            reliable: _,
            reliable_number: _,
            remote_reliable: _,
            answer: _,
            held: _,
            acknowledgement: _,
            idle: _,
            // Of early dialogs only.
            early_description: _,
            // Whoever imports it has opened it itself.
            ticket: _,
        } = self;
        ExportedDialog {
            version: VERSION,
            role: match role {
                DialogRole::Uac => ExportedRole::Uac,
                DialogRole::Uas => ExportedRole::Uas,
            },
            call_id: call_id.to_string(),
            local_tag: local_tag.to_string(),
            remote_tag: remote_tag.to_string(),
            local: local.to_string(),
            remote: remote.to_string(),
            remote_target: remote_target.to_string(),
            route_set: route_set.iter().map(ToString::to_string).collect(),
            local_sequence: *local_sequence,
            remote_sequence: *remote_sequence,
            transport: origin.transport.name().to_owned(),
            peer: origin.peer,
            invited: *invited,
            subscriptions: subscriptions
                .iter()
                .flat_map(|all| &all.list)
                .filter_map(|one| one.export(now))
                .collect(),
            session: session.as_ref().map(|session| session.export(now)),
            silent_milliseconds: u64::try_from(now.since(*active).as_millis()).unwrap_or(u64::MAX),
        }
    }
}

impl Engine {
    /// An application asks for one of its dialogs as a value.
    pub(crate) fn export_dialog(
        &mut self,
        application: ApplicationId,
        export: &Export,
    ) -> Result<(), CommandError> {
        let id = self.owned_dialog(application, &export.dialog)?;
        let dialog = self.dialogs.get(id).ok_or(CommandError::UnknownDialog)?;
        if !dialog.confirmed {
            return Err(CommandError::EarlyDialog);
        }
        let exported = Exported {
            command: export.id,
            dialog: Box::new(dialog.export(self.now)),
        };
        if export.release {
            self.remove_dialog(id);
        }
        self.emit(application, Event::Exported(exported));
        Ok(())
    }

    /// An application takes over a dialog of another engine.
    pub(crate) fn import_dialog(
        &mut self,
        application: ApplicationId,
        import: Import,
    ) -> Result<(), CommandError> {
        let exported = import.dialog;
        if shard_of(exported.call_id.as_bytes(), self.config.shards) != self.config.shard {
            return Err(CommandError::UnknownDialog);
        }
        if self.dialogs.len() >= self.config.bounds.dialogs {
            return Err(CommandError::Limit("dialogs"));
        }
        let known = self
            .dialogs
            .find(&exported.call_id, &exported.local_tag, &exported.remote_tag);
        if known.is_some() {
            return Err(CommandError::DialogExists);
        }
        let dialog = self.revive(application, &exported, import.age)?;
        let from_tag = dialog.creator_tag().to_owned();
        let id = self.name_dialog(&dialog);
        self.add_dialog_as(id, dialog);
        self.watch_subscriptions(id);
        self.session_resumed(id);
        let imported = Imported {
            command: import.id,
            dialog: id,
            call_id: exported.call_id,
            from_tag,
        };
        self.emit(application, Event::Imported(imported));
        Ok(())
    }

    /// The dialog that a value describes, as it stands here and now.
    fn revive(
        &self,
        application: ApplicationId,
        exported: &ExportedDialog,
        age: Duration,
    ) -> Result<Dialog, CommandError> {
        let no_transport =
            || CommandError::NoTransport(format!("{} to {}", exported.transport, exported.peer));
        let transport = Transport::from_name(&exported.transport).ok_or_else(no_transport)?;
        let listener = self
            .listeners
            .choose(transport, exported.peer.ip(), None)
            .ok_or_else(no_transport)?;
        // The connection, if there was one, stayed with the other engine: the next request opens one.
        let origin = self.listeners.path(&Destination {
            listener,
            transport,
            peer: exported.peer,
            connection: None,
        });
        let role = match exported.role {
            ExportedRole::Uac => DialogRole::Uac,
            ExportedRole::Uas => DialogRole::Uas,
        };
        let silent = Duration::from_millis(exported.silent_milliseconds).saturating_add(age);
        let ends = Ends {
            local: exported.local.as_str().into(),
            local_tag: exported.local_tag.as_str().into(),
            remote: exported.remote.as_str().into(),
            remote_tag: exported.remote_tag.as_str().into(),
        };
        let most = self.config.bounds.dialog_idle;
        let subscriptions: Vec<Subscription> = exported
            .subscriptions
            .iter()
            .map(|one| Subscription::import(one, self.now, age, most))
            .collect();
        let network = self.listeners.network();
        let behind_nat = sip::Uri::parse(&exported.remote_target)
            .is_ok_and(|uri| network.disbelieves_contact(&uri, &origin));
        Ok(Dialog {
            behind_nat,
            owner: Some(application),
            confirmed: true,
            invited: exported.invited,
            session: exported
                .session
                .as_ref()
                .map(|session| Box::new(Session::import(session, self.now, age))),
            subscriptions: (!subscriptions.is_empty())
                .then(|| Box::new(Subscriptions::imported(subscriptions))),
            remote_target: exported.remote_target.as_str().into(),
            route_set: exported
                .route_set
                .iter()
                .map(|route| route.as_str().into())
                .collect(),
            local_sequence: exported.local_sequence,
            remote_sequence: exported.remote_sequence,
            ..ends.dialog(&exported.call_id, role, origin, self.now.before(silent))
        })
    }
}
