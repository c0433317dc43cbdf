//! Which application gets a new request: routes per method in turn, the catch-all, overload.
//!
//! It refuses to know who owns a dialog: in-dialog requests go to the owner, not through here.
use crate::id::ApplicationId;
use rustc_hash::FxHashMap;
use sip::Method;
use std::time::Duration;

/// Applications that share a method, and whose turn it is.
#[derive(Default)]
struct Rota {
    members: Vec<ApplicationId>,
    next: usize,
}

impl Rota {
    /// The next member in turn that is fit; the turn passes on.
    fn pick(&mut self, fit: impl Fn(ApplicationId) -> bool) -> Option<ApplicationId> {
        let count = self.members.len();
        for step in 0..count {
            let index = (self.next + step) % count;
            if let Some(member) = self
                .members
                .get(index)
                .copied()
                .filter(|member| fit(*member))
            {
                self.next = (index + 1) % count;
                return Some(member);
            }
        }
        None
    }

    /// A set: asking twice gives no second turn.
    fn add(&mut self, member: ApplicationId) {
        if !self.members.contains(&member) {
            self.members.push(member);
        }
    }

    fn remove(&mut self, member: ApplicationId) {
        self.members.retain(|other| *other != member);
        self.next = 0;
    }
}

/// How far an application is behind with its events.
#[derive(Copy, Clone, Default)]
struct Backlog {
    /// How old the oldest is that it has not taken.
    oldest: Duration,
    /// It was past the limit, and has not come down to half of it since. Without that distance what is let in just below the limit would
    /// wait as long as the limit allows, for as long as there is more than can be served.
    is_overloaded: bool,
}

/// What became of the search for an application.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Selection {
    /// This one gets the request.
    Application(ApplicationId),
    /// All that would take it are behind with their events.
    Overloaded,
    /// Applications are attached, but none takes the method; the methods that some take, for Allow.
    MethodNotAllowed(Vec<Method>),
    /// No application is attached.
    None,
}

/// The applications attached to the engine.
#[derive(Default)]
pub(crate) struct Applications {
    attached: FxHashMap<ApplicationId, Backlog>,
    routes: FxHashMap<Method, Rota>,
    catch_all: Rota,
}

impl Applications {
    /// How many are attached.
    pub(crate) fn len(&self) -> usize {
        self.attached.len()
    }

    /// Whether this one is attached.
    pub(crate) fn is_attached(&self, application: ApplicationId) -> bool {
        self.attached.contains_key(&application)
    }

    /// Attaches an application, without routes.
    pub(crate) fn attach(&mut self, application: ApplicationId) {
        self.attached.insert(application, Backlog::default());
    }

    /// Detaches an application and forgets its routes.
    pub(crate) fn detach(&mut self, application: ApplicationId) {
        self.attached.remove(&application);
        self.catch_all.remove(application);
        self.routes.retain(|_, rota| {
            rota.remove(application);
            !rota.members.is_empty()
        });
    }

    /// Routes a method to an application.
    pub(crate) fn route(&mut self, application: ApplicationId, method: Method) {
        self.routes.entry(method).or_default().add(application);
    }

    /// Ends that for this method only.
    pub(crate) fn unroute(&mut self, application: ApplicationId, method: &Method) {
        if let Some(rota) = self.routes.get_mut(method) {
            rota.remove(application);
            if rota.members.is_empty() {
                self.routes.remove(method);
            }
        }
    }

    /// Routes every method to an application for which none asked by name.
    pub(crate) fn route_all(&mut self, application: ApplicationId) {
        self.catch_all.add(application);
    }

    /// Notes how old the oldest event is that the application has not taken.
    pub(crate) fn set_backlog(
        &mut self,
        application: ApplicationId,
        oldest: Duration,
        most: Duration,
    ) {
        if let Some(backlog) = self.attached.get_mut(&application) {
            let limit = if backlog.is_overloaded {
                most / 2
            } else {
                most
            };
            *backlog = Backlog {
                oldest,
                is_overloaded: oldest > limit,
            };
        }
    }

    /// Chooses the application for a new request.
    pub(crate) fn select(&mut self, method: &Method, event_age: Duration) -> Selection {
        let attached = &self.attached;
        let fit = |application: ApplicationId| {
            attached
                .get(&application)
                .is_some_and(|backlog| !backlog.is_overloaded && backlog.oldest <= event_age)
        };
        let rota = match self.routes.get_mut(method) {
            Some(rota) => rota,
            None if !self.catch_all.members.is_empty() => &mut self.catch_all,
            None if attached.is_empty() => return Selection::None,
            None => return Selection::MethodNotAllowed(self.allowed()),
        };
        rota.pick(fit)
            .map_or(Selection::Overloaded, Selection::Application)
    }

    /// Whether an application takes new requests of this method from those who may wait for it.
    pub(crate) fn would_take(&self, method: &Method) -> bool {
        let rota = self.routes.get(method).unwrap_or(&self.catch_all);
        rota.members.iter().any(|member| {
            let backlog = self.attached.get(member);
            backlog.is_some_and(|backlog| !backlog.is_overloaded)
        })
    }

    fn allowed(&self) -> Vec<Method> {
        let mut methods: Vec<Method> = self.routes.keys().cloned().collect();
        methods.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
        methods
    }
}

#[cfg(test)]
mod tests {
    //! New requests go round the applications that asked for the method, and only to those.
    use super::*;

    const AGE: Duration = Duration::from_millis(500);

    fn two() -> Applications {
        let mut applications = Applications::default();
        for id in [1, 2] {
            applications.attach(ApplicationId(id));
            applications.route(ApplicationId(id), Method::Invite);
        }
        applications
    }

    #[test]
    fn applications_take_turns_and_asking_twice_gives_no_second_turn() {
        let mut applications = two();
        applications.route(ApplicationId(1), Method::Invite);
        let turns: Vec<_> = (0..4)
            .map(|_| applications.select(&Method::Invite, AGE))
            .collect();
        assert_eq!(
            turns,
            [1, 2, 1, 2].map(|id| Selection::Application(ApplicationId(id)))
        );
    }

    #[test]
    fn removing_one_route_leaves_the_others() {
        let mut applications = two();
        applications.route(ApplicationId(1), Method::Options);
        applications.unroute(ApplicationId(1), &Method::Invite);
        assert_eq!(
            applications.select(&Method::Invite, AGE),
            Selection::Application(ApplicationId(2))
        );
        assert_eq!(
            applications.select(&Method::Options, AGE),
            Selection::Application(ApplicationId(1))
        );
    }

    #[test]
    fn an_application_that_is_behind_is_passed_over() {
        let mut applications = two();
        applications.set_backlog(ApplicationId(1), AGE * 2, AGE);
        assert_eq!(
            applications.select(&Method::Invite, AGE),
            Selection::Application(ApplicationId(2))
        );
        applications.set_backlog(ApplicationId(2), AGE * 2, AGE);
        assert_eq!(
            applications.select(&Method::Invite, AGE),
            Selection::Overloaded
        );
    }

    #[test]
    fn an_application_that_was_behind_gets_new_requests_when_it_has_caught_up_by_half() {
        let mut applications = two();
        applications.unroute(ApplicationId(2), &Method::Invite);
        let mut after = |oldest| {
            applications.set_backlog(ApplicationId(1), oldest, AGE);
            applications.select(&Method::Invite, AGE)
        };
        let taken = Selection::Application(ApplicationId(1));
        assert_eq!(after(AGE), taken);
        assert_eq!(after(AGE * 2), Selection::Overloaded);
        assert_eq!(after(AGE * 9 / 10), Selection::Overloaded);
        assert_eq!(after(AGE / 2), taken);
        assert_eq!(after(AGE * 9 / 10), taken);
    }

    #[test]
    fn a_method_that_nobody_takes_is_told_from_nobody_there() {
        let mut applications = two();
        assert_eq!(
            applications.select(&Method::Register, AGE),
            Selection::MethodNotAllowed(vec![Method::Invite])
        );
        applications.detach(ApplicationId(1));
        applications.detach(ApplicationId(2));
        assert_eq!(applications.select(&Method::Invite, AGE), Selection::None);
    }
}
