//! What must be so whatever happened: within one party, between two, on the wire, and at rest. Each gives what is not so.
use super::{Client, Leg, Party, Stage, State};
use simnet::ladder::Fate;
use simnet::{HostId, World};
use sip::{Limits, Message, Method};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Every command had one outcome, every request one final response; what failed for want of a dialog has none.
pub fn outcomes(party: &Party) -> Vec<String> {
    let state = party.state();
    let mut faults = state.faults.clone();
    let mut wrong = |text: String| faults.push(format!("{}: {text}", state.name));
    for (what, outcomes) in state.commands.values() {
        if *outcomes != 1 {
            wrong(format!("{outcomes} outcomes of {what:?}"));
        }
    }
    for client in state
        .clients
        .values()
        .filter(|client| !has_one_final(client))
    {
        wrong(format!("not one final response: {client:?}"));
    }
    for (dialog, method) in &state.gone {
        let leg = state.legs.get(dialog);
        let open = leg.is_some_and(|leg| {
            leg.is_live() || leg.watches.iter().any(|watch| watch.ended.is_empty())
        });
        if open {
            wrong(format!(
                "{method} failed for want of a dialog that is there: {leg:?}"
            ));
        }
    }
    faults
}

/// A 2xx of each of several forks, or one response.
fn has_one_final(client: &Client) -> bool {
    let finals = &client.finals;
    let accepted = finals
        .iter()
        .all(|(status, dialog, _)| *status < 300 && dialog.is_some());
    let dialogs: HashSet<_> = finals.iter().map(|(_, dialog, _)| *dialog).collect();
    finals.len() == 1
        || (client.method == Method::Invite
            && client.dialog.is_none()
            && accepted
            && !finals.is_empty()
            && dialogs.len() == finals.len())
}

type View = BTreeMap<[String; 3], Leg>;

fn live(state: &State) -> View {
    let live = state.legs.values().filter(|leg| leg.is_live());
    live.map(|leg| (leg.key.clone(), leg.clone())).collect()
}

/// Whoever is in a call is in it with somebody who is, too, and both mean the same session. `others`: those that `one` may talk to.
pub fn agreement(one: &Party, others: &[&Party]) -> Vec<String> {
    let mut faults = Vec::new();
    let here = live(&one.state());
    let mut there = View::new();
    for other in others {
        there.extend(live(&other.state()));
    }
    let keys: HashSet<_> = here.keys().chain(there.keys()).cloned().collect();
    for key in keys {
        match (here.get(&key), there.get(&key)) {
            (Some(here), Some(there)) if here.session == there.session => {}
            (here, there) => faults.push(format!("they differ: {here:?} and {there:?}")),
        }
    }
    faults
}

/// Every call and every subscription is over, and was told to be so.
pub fn all_over(party: &Party) -> Vec<String> {
    let state = party.state();
    let mut faults = Vec::new();
    for leg in state.legs.values() {
        let answered = |invite| {
            state
                .clients
                .get(&invite)
                .is_some_and(|client| !client.finals.is_empty())
        };
        // Early dialogs of an INVITE that another fork answered are over without a word (RFC 3261 §13.2.2.4).
        let dropped = leg.stage == Stage::Early && leg.invite.is_some_and(answered);
        if leg.is_call && leg.stage != Stage::Ended && !dropped {
            faults.push(format!("{}: a call is not over: {leg:?}", state.name));
        }
        for watch in leg.watches.iter().filter(|watch| watch.ended.is_empty()) {
            faults.push(format!(
                "{}: a subscription is not over: {watch:?}",
                state.name
            ));
        }
    }
    faults
}

/// Every table of every engine is empty.
pub fn tables(world: &World, hosts: &[HostId]) -> Vec<String> {
    let mut faults = Vec::new();
    for host in hosts {
        let counts = world.counts(*host);
        let held = [
            ("server transactions", counts.server_transactions),
            ("client transactions", counts.client_transactions),
            ("dialogs", counts.dialogs),
            ("proxies", counts.proxies),
            ("timers", counts.timers),
            ("resolves", counts.resolves),
        ];
        let full = held.into_iter().filter(|(_, count)| *count > 0);
        faults
            .extend(full.map(|(what, count)| format!("{count} {what} of host {} at rest", host.0)));
    }
    faults
}

/// The wire: no answer to nothing, no two final answers of one transaction, numbers that rise in each direction of a dialog.
pub fn wire(world: &World) -> Vec<String> {
    let mut faults = Vec::new();
    let mut asked: HashSet<(String, String)> = HashSet::new();
    let mut finals: HashMap<(String, String), u16> = HashMap::new();
    let mut numbers: HashMap<(String, String, String), u32> = HashMap::new();
    let mut seen: HashSet<(String, String)> = HashSet::new();
    for step in world.ladder().steps() {
        let Ok(message) = Message::parse(step.packet.bytes.clone(), &Limits::default()) else {
            faults.push(format!("unreadable: {}", step.packet.start_line()));
            continue;
        };
        let branch = message
            .top_via()
            .ok()
            .and_then(|via| via.branch().map(str::to_owned))
            .unwrap_or_default();
        let Ok(cseq) = message.cseq() else { continue };
        let method = cseq.method.to_string();
        if message.is_request() {
            // From every proxy on the way the request has the number that its sender gave it.
            let first = seen.insert((branch.clone(), method.clone()));
            let tag = |address: Option<String>| address.unwrap_or_default();
            let from = tag(message
                .from()
                .ok()
                .and_then(|from| from.tag().map(str::to_owned)));
            let to = tag(message.to().ok().and_then(|to| to.tag().map(str::to_owned)));
            let mine = message.vias().flatten().count() == 1;
            if first
                && mine
                && !to.is_empty()
                && !matches!(cseq.method, Method::Ack | Method::Cancel)
            {
                let key = (message.call_id().unwrap_or_default().to_owned(), from, to);
                let last = numbers.insert(key, cseq.number);
                if last.is_some_and(|last| cseq.number <= last) {
                    faults.push(format!("{} {method} after {last:?}", cseq.number));
                }
            }
            if step.fate != Fate::Lost {
                asked.insert((branch, method));
            }
            continue;
        }
        let key = (branch, method);
        if !asked.contains(&key) {
            faults.push(format!(
                "an answer to nothing: {}",
                step.packet.start_line()
            ));
        }
        let status = message.status();
        if status >= 200 {
            let before = *finals.entry(key).or_insert(status);
            if before != status {
                faults.push(format!("{status} after {before} in one transaction"));
            }
        }
    }
    faults
}
