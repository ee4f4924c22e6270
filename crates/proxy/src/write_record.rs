//! The one record of a write, from its head on.

use std::{sync::Arc, time::Instant};

use attributes::User;
use hold::HoldId;
use judge::{Basis, Call, Found, Write, elapsed_micros};
use ledger::{
    DecisionRecord, Entry, HoldEvent, HoldRecord, Identity, ObjectRecord, Outcome, RequestRecord,
    ResponseRecord, Stage,
};
use parking_lot::Mutex;
use payload::Redactor;

use crate::recorder::{Recorder, is_nobodys};

/// What will be recorded last of a write. Whoever answers it takes the entry and appends it. Dropped
/// before, the write has lost its client, and is recorded with what was decided so far.
pub(crate) struct WriteRecord {
    recorder: Recorder,
    received: Instant,
    /// `None` once somebody has answered.
    open: Mutex<Option<Open>>,
}

/// The record of a write that nobody has answered yet.
struct Open {
    entry: Entry,
    /// Who asked what, where an entry of its own tells of it.
    told: Option<(Option<Identity>, Option<RequestRecord>)>,
    /// Names the user of a write that ends before it is known.
    token: Option<Arc<str>>,
    /// The hold that it waits on.
    hold: Option<HoldId>,
    /// Its bytes may have left.
    is_sent: bool,
    /// The object as its preview saw it.
    found: Option<Found>,
    /// The object as it left it.
    object: Option<ObjectRecord>,
    /// The name of the object that it made.
    made: Option<String>,
}

impl WriteRecord {
    /// Begins with what the head says.
    pub(crate) fn begin(call: &Call, recorder: &Recorder, redactor: &Redactor) -> Arc<Self> {
        let entry = Entry {
            user: call.known_user().as_ref().map(Identity::from),
            request: Some(call.record(redactor)),
            ..call.entry(Stage::ResponseComplete)
        };
        Arc::new(Self {
            recorder: recorder.clone(),
            received: call.received,
            open: Mutex::new(Some(Open {
                entry,
                told: None,
                token: call.token(),
                hold: None,
                is_sent: false,
                found: None,
                object: None,
                made: None,
            })),
        })
    }

    fn update(&self, change: impl FnOnce(&mut Open)) {
        if let Some(open) = self.open.lock().as_mut() {
            change(open);
        }
    }

    /// Who sends it is known.
    pub(crate) fn is_of(&self, user: &User) {
        self.update(|open| (open.entry.user, open.token) = (Some(Identity::from(user)), None));
    }

    /// Its body is here.
    pub(crate) fn is_whole(&self, write: &Write, redactor: &Redactor) {
        self.update(|open| open.entry.request = Some(write.record(redactor)));
    }

    /// The rules have an answer, which no entry tells of yet.
    pub(crate) fn is_decided(&self, decision: DecisionRecord) {
        self.update(|open| {
            open.entry.decision = Some(decision);
            // Whoever looks for decisions of an agent looks at single entries.
            if let Some((user, request)) = open.told.take() {
                (open.entry.user, open.entry.request) = (user, request);
            }
        });
    }

    /// What its denial was made from.
    pub(crate) fn is_judged_by(&self, basis: Basis) {
        self.update(|open| basis.add_to(&mut open.entry));
    }

    /// An entry of its own tells who asked what, and what was decided; the last one need not.
    pub(crate) fn is_recorded(&self) {
        self.update(|open| {
            open.told = Some((open.entry.user.take(), open.entry.request.take()));
            open.entry.decision = None;
        });
    }

    /// It waits on a hold.
    pub(crate) fn waits_on(&self, id: &HoldId) {
        self.update(|open| open.hold = Some(id.clone()));
    }

    /// Its bytes are about to leave, or it turned out that nothing of them ran.
    pub(crate) fn set_sent(&self, is_sent: bool) {
        self.update(|open| open.is_sent = is_sent);
    }

    /// It will be sent, and this is what its preview saw.
    pub(crate) fn found(&self, object: Option<Found>) {
        self.update(|open| open.found = object);
    }

    /// The answer shows the object that it left.
    pub(crate) fn left(&self, object: Option<ObjectRecord>) {
        self.update(|open| {
            let found = open.found.take();
            open.object = object.map(|left| match found {
                Some(found) => found.before(left),
                None => left,
            });
        });
    }

    /// The answer names the object that it made.
    pub(crate) fn made(&self, name: Option<String>) {
        self.update(|open| open.made = name);
    }

    /// The entry of its answer, for whoever gives it and appends the entry; `None` where somebody has.
    pub(crate) fn end(&self, code: u16, outcome: Outcome, bytes: u64) -> Option<Entry> {
        let Open { mut entry, object, made, .. } = self.open.lock().take()?;
        entry.time = jiff::Timestamp::now();
        let latency_micros = elapsed_micros(self.received);
        entry.made = made;
        entry.response = Some(ResponseRecord { code, outcome, latency_micros, bytes, object });
        Some(entry)
    }

    /// As [`WriteRecord::end`], appended at once.
    pub(crate) async fn answered(&self, code: u16, outcome: Outcome, bytes: u64) {
        match self.end(code, outcome, bytes) {
            // Nothing of it has left, nor was any of it recorded: nobody stands behind it.
            Some(entry) if is_of_nobody(&entry) => {
                self.recorder.append_of_nobody(entry, None);
            }
            Some(entry) => self.recorder.append_outcome(entry).await,
            None => {}
        }
    }
}

impl Drop for WriteRecord {
    fn drop(&mut self) {
        let open = self.open.get_mut().as_mut();
        let Some((is_sent, token, hold)) =
            open.map(|open| (open.is_sent, open.token.take(), open.hold.take()))
        else {
            return;
        };
        let (code, outcome, note) = if is_sent {
            (0, Outcome::Unknown, Some("it was being sent when agent-shield ended"))
        } else if std::thread::panicking() {
            (500, Outcome::Refused, Some("agent-shield failed to judge it; nothing was sent"))
        } else if hold.is_some() {
            (0, Outcome::ClientGone, None)
        } else {
            (0, Outcome::ClientGone, Some("its client left before an answer; nothing was sent"))
        };
        if let Some(mut entry) = self.end(code, outcome, 0) {
            entry.hold = hold.as_ref().map(left);
            entry.note = note.map(str::to_owned);
            match is_of_nobody(&entry) {
                true => self.recorder.append_of_nobody(entry, None),
                false => self.recorder.append_later(entry, token),
            }
        }
    }
}

/// Whether nobody stands behind a write of which nothing else is recorded: its token is not known, or it
/// has none. Where it is only not known yet whose it is, somebody does.
fn is_of_nobody(entry: &Entry) -> bool {
    let is_unauthorized = entry.response.as_ref().is_some_and(|it| it.code == 401);
    let is_anonymous = entry.user.is_some() && is_nobodys(entry);
    entry.request.is_some() && (is_anonymous || (entry.user.is_none() && is_unauthorized))
}

/// The agent's connection ended while its hold was open.
fn left(id: &HoldId) -> HoldRecord {
    HoldRecord::step(id.as_str(), HoldEvent::Left)
}
