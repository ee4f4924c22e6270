//! What `watch` knows and what a key does to it. No terminal, no clock, no network: keys and answers
//! come in, an [`Action`] goes out, and tests need nothing else.

use std::collections::BTreeSet;

use api::body::{HoldDetail, HoldSummary};

use crate::{holds, sentences};

/// Rows that the frame around a page takes: title, state of the connection, a blank, the page's header;
/// two for a notice, one for keys.
pub(crate) const FRAME_ROWS: usize = 7;

/// A longer reason is a document, and has a better place.
const REASON_CHARS_MAX: usize = 500;

/// What somebody pressed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Key {
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    Enter,
    Escape,
    Erase,
    EraseLine,
    Interrupt,
    Char(char),
    /// Text that nobody typed: it may fill a reason, and is never a command.
    Paste(String),
}

/// What is to be done outside.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Action {
    Quit,
    Read { id: String },
    Approve { id: String, digest: String, reason: String },
    Deny { id: String, reason: String },
}

/// Why the server did not do as asked, in one line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Failure {
    /// It is decided already, or not what was seen.
    Changed(String),
    /// The server said no.
    Refused(String),
    /// No answer came: it may have been done.
    Silent(String),
}

/// What fills the screen.
#[derive(Clone, Debug)]
pub(crate) enum Page {
    Queue,
    /// One hold exactly as it was read: it is never replaced under the reader's eyes, as an approval
    /// is of what they read.
    Hold {
        hold: Box<HoldDetail>,
        scroll: usize,
    },
}

/// A question that the next keys answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Prompt {
    Approve {
        id: String,
        digest: String,
    },
    /// A rule requires a reason.
    ApproveWithReason {
        id: String,
        digest: String,
        reason: String,
    },
    Deny {
        id: String,
        /// Those that are denied with it, for the same reason.
        others: Vec<String>,
        reason: String,
    },
    /// The filter takes effect as it is typed.
    Filter,
}

/// What the server is asked now.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Busy {
    Read { id: String, then_approve: bool },
    Approve { id: String },
    Deny { id: String },
}

/// What follows a decision that was taken: the rest of what was marked.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Next {
    Approve(String),
    Deny { id: String, reason: String },
}

/// Columns and rows of the terminal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Size {
    pub(crate) columns: usize,
    pub(crate) rows: usize,
}

/// Everything that is on the screen.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    /// Pending ones, the most severe first, and of these the nearest deadline.
    pub(crate) holds: Vec<HoldSummary>,
    /// Only holds with this text in them are listed; all where it is empty.
    pub(crate) filter: String,
    /// Ids of those that are decided together.
    pub(crate) marked: BTreeSet<String>,
    pub(crate) page: Page,
    pub(crate) prompt: Option<Prompt>,
    pub(crate) busy: Option<Busy>,
    /// What came of the last action, until the next key.
    pub(crate) notice: Option<String>,
    /// Why the last poll had no answer.
    pub(crate) silence: Option<String>,
    pub(crate) size: Size,
    /// An id, not a row: rows move when holds come and go, and the choice must not.
    selected: Option<String>,
    /// The last one comes first. Any key that answers no question empties it.
    next: Vec<Next>,
    /// How many rows a hold takes at a width: whoever draws it knows.
    hold_rows: fn(&HoldDetail, usize) -> usize,
}

impl Model {
    /// The queue, as it was first read.
    pub(crate) fn new(
        holds: Vec<HoldSummary>,
        size: Size,
        hold_rows: fn(&HoldDetail, usize) -> usize,
    ) -> Self {
        let mut model = Self {
            holds: Vec::new(),
            filter: String::new(),
            marked: BTreeSet::new(),
            page: Page::Queue,
            prompt: None,
            busy: None,
            notice: None,
            silence: None,
            size,
            selected: None,
            next: Vec::new(),
            hold_rows,
        };
        model.polled(Ok(holds));
        model
    }

    /// Rows between the frame's.
    pub(crate) fn page_rows(&self) -> usize {
        self.size.rows.saturating_sub(FRAME_ROWS).max(1)
    }

    /// So far can the hold be scrolled.
    fn scroll_max(&self) -> usize {
        match &self.page {
            Page::Queue => 0,
            Page::Hold { hold, .. } => {
                (self.hold_rows)(hold, self.size.columns).saturating_sub(self.page_rows())
            }
        }
    }

    /// Those that the filter leaves, in their order.
    pub(crate) fn listed(&self) -> impl Iterator<Item = &HoldSummary> {
        let filter = self.filter.trim().to_lowercase();
        self.holds.iter().filter(move |hold| {
            let user = &hold.user.username;
            let what = sentences::describe_request(hold);
            let texts = [&hold.id, &hold.severity, user, &hold.request.namespace, &what];
            let has = |it: &str| it.to_lowercase().contains(&filter);
            texts.into_iter().any(|it| has(it)) || hold.rules.iter().any(|it| has(it))
        })
    }

    /// The row that is chosen.
    pub(crate) fn row(&self) -> usize {
        let is_selected = |hold: &HoldSummary| Some(&hold.id) == self.selected.as_ref();
        self.listed().position(is_selected).unwrap_or(0)
    }

    /// Why the hold that was read is no longer what the queue has.
    pub(crate) fn outdated(&self) -> Option<&'static str> {
        let Page::Hold { hold, .. } = &self.page else { return None };
        let shown = &hold.summary;
        if shown.state != "pending" {
            return None; // It says so itself.
        }
        match self.holds.iter().find(|it| it.id == shown.id) {
            None => Some("it no longer waits for a decision"),
            Some(now) if now.changed_at != shown.changed_at || now.drifts != shown.drifts => {
                Some("it has changed")
            }
            Some(_) => None,
        }
    }

    /// Takes the answer of a poll; without one the screen stays.
    pub(crate) fn polled(&mut self, answer: Result<Vec<HoldSummary>, String>) {
        let mut holds = match answer {
            Ok(holds) => holds,
            Err(why) => {
                self.silence = Some(why);
                return;
            }
        };
        self.silence = None;
        holds.sort_by_key(holds::urgency);
        let row = self.row();
        self.holds = holds;
        self.marked.retain(|id| self.holds.iter().any(|hold| hold.id == *id));
        self.select_one_listed(row);
    }

    /// Chooses this row if the hold that was chosen is not listed any more.
    fn select_one_listed(&mut self, row: usize) {
        if !self.listed().any(|hold| Some(&hold.id) == self.selected.as_ref()) {
            self.select(row);
        }
    }

    /// Takes a hold that was asked for; one that nobody waits for any more is left.
    pub(crate) fn read(&mut self, id: &str, answer: Result<HoldDetail, Failure>) {
        let Some(Busy::Read { id: waited, then_approve }) = &self.busy else { return };
        if waited != id {
            return;
        }
        let then_approve = *then_approve;
        self.busy = None;
        match answer {
            Ok(hold) => {
                self.page = Page::Hold { hold: Box::new(hold), scroll: 0 };
                if then_approve {
                    self.ask_to_approve();
                }
            }
            Err(Failure::Changed(why) | Failure::Refused(why) | Failure::Silent(why)) => {
                self.notice = Some(format!("{id} cannot be shown: {why}"));
            }
        }
    }

    /// Takes what came of an approval or a denial; what has changed is read again.
    pub(crate) fn decided(&mut self, answer: Result<String, Failure>) -> Option<Action> {
        let (id, done) = match self.busy.take()? {
            Busy::Approve { id } => (id, "approved"),
            Busy::Deny { id } => (id, "denied"),
            other => {
                self.busy = Some(other);
                return None;
            }
        };
        let notice = match answer {
            Ok(becomes) => {
                self.page = Page::Queue;
                self.notice = Some(format!("{id}: {becomes}"));
                self.marked.remove(&id);
                return self.go_on();
            }
            Err(Failure::Refused(why)) => {
                self.next.clear();
                self.notice = Some(format!("{id} is not {done}: {why}"));
                return None;
            }
            Err(Failure::Changed(why)) => {
                format!("{id} is not {done}: {why}; this is how it stands now")
            }
            Err(Failure::Silent(why)) => {
                format!("it is not known whether {id} is {done}: {why}; see how it stands now")
            }
        };
        self.notice = Some(notice);
        self.next.clear();
        self.start_reading(id, false)
    }

    /// Does what a key says on the page that is shown.
    pub(crate) fn press(&mut self, key: Key) -> Option<Action> {
        if key == Key::Interrupt {
            return Some(Action::Quit);
        }
        match &self.busy {
            // A decision is on its way: what is typed meanwhile was meant for another screen.
            Some(Busy::Approve { .. } | Busy::Deny { .. }) => return None,
            Some(Busy::Read { .. }) => {
                return match key {
                    Key::Char('q') => Some(Action::Quit),
                    Key::Escape => {
                        self.busy = None;
                        None
                    }
                    _ => None,
                };
            }
            None => self.notice = None,
        }
        match self.prompt.take() {
            Some(Prompt::Approve { id, digest }) => self.answer_approval(key, id, digest),
            Some(Prompt::ApproveWithReason { id, digest, reason }) => {
                self.answer_approval_with_reason(&key, id, digest, reason)
            }
            Some(Prompt::Deny { id, others, reason }) => {
                self.answer_denial(&key, id, others, reason)
            }
            Some(Prompt::Filter) => {
                self.answer_filter(&key);
                None
            }
            None => {
                self.next.clear();
                match &self.page {
                    Page::Queue => self.press_on_queue(key),
                    Page::Hold { .. } => self.press_on_hold(key),
                }
            }
        }
    }

    fn press_on_queue(&mut self, key: Key) -> Option<Action> {
        let (row, page) = (self.row(), self.page_rows());
        let id = self.listed().nth(row).map(|hold| hold.id.clone());
        match key {
            Key::Char('q') => return Some(Action::Quit),
            Key::Up | Key::Char('k') => self.select(row.saturating_sub(1)),
            Key::Down | Key::Char('j') => self.select(row + 1),
            Key::PageUp => self.select(row.saturating_sub(page)),
            Key::PageDown => self.select(row + page),
            Key::First | Key::Char('g') => self.select(0),
            Key::Last | Key::Char('G') => self.select(usize::MAX),
            Key::Enter => return self.start_reading(id?, false),
            // What is approved must have been on the screen, whole: it is read first.
            Key::Char('a') => {
                let (id, others) = self.together(id?);
                self.next = others.into_iter().rev().map(Next::Approve).collect();
                return self.start_reading(id, true);
            }
            Key::Char('d') => {
                let (id, others) = self.together(id?);
                self.prompt = Some(Prompt::Deny { id, others, reason: String::new() });
            }
            Key::Char(' ') => {
                let id = id?;
                if !self.marked.remove(&id) {
                    self.marked.insert(id);
                }
                self.select(row + 1);
            }
            Key::Char('/') => self.prompt = Some(Prompt::Filter),
            Key::Escape => {
                self.filter.clear();
                self.select_one_listed(row);
            }
            _ => {}
        }
        None
    }

    fn press_on_hold(&mut self, key: Key) -> Option<Action> {
        let Page::Hold { hold, .. } = &self.page else { return None };
        let (id, is_pending) = (hold.summary.id.clone(), hold.summary.state == "pending");
        match key {
            Key::Char('q') => return Some(Action::Quit),
            Key::Escape | Key::Erase | Key::Char('h') => self.page = Page::Queue,
            Key::Enter => return self.start_reading(id, false),
            Key::Char('a') => self.ask_to_approve(),
            Key::Char('d') if is_pending => {
                self.prompt = Some(Prompt::Deny { id, others: Vec::new(), reason: String::new() });
            }
            key => self.scroll(&key),
        }
        None
    }

    /// Asks only for what is on the screen and still stands.
    fn ask_to_approve(&mut self) {
        let outdated = self.outdated();
        let Page::Hold { hold, .. } = &self.page else { return };
        let id = hold.summary.id.clone();
        if hold.summary.state != "pending" {
            self.notice = Some(format!("{id} cannot be approved: it is {}", hold.summary.state));
        } else if let Some(why) = outdated {
            self.notice = Some(format!("{why} since it was read: Enter reads it again"));
        } else {
            let digest = hold.preview.digest.clone();
            self.prompt = Some(match hold.summary.reason_required {
                true => Prompt::ApproveWithReason { id, digest, reason: String::new() },
                false => Prompt::Approve { id, digest },
            });
        }
    }

    fn answer_approval(&mut self, key: Key, id: String, digest: String) -> Option<Action> {
        match key {
            Key::Char('y') => return self.approve(id, digest, String::new()),
            Key::Char('n' | 'q') | Key::Escape => {
                self.notice = Some(format!("{id} is not approved"));
            }
            key => {
                self.scroll(&key);
                self.prompt = Some(Prompt::Approve { id, digest });
            }
        }
        None
    }

    fn answer_approval_with_reason(
        &mut self,
        key: &Key,
        id: String,
        digest: String,
        reason: String,
    ) -> Option<Action> {
        match key {
            Key::Enter if !reason.trim().is_empty() => {
                return self.approve(id, digest, reason.trim().to_owned());
            }
            Key::Escape => self.notice = Some(format!("{id} is not approved")),
            key => {
                let reason = typed(key, reason);
                self.prompt = Some(Prompt::ApproveWithReason { id, digest, reason });
            }
        }
        None
    }

    /// Approves what is on the screen, if it still stands.
    fn approve(&mut self, id: String, digest: String, reason: String) -> Option<Action> {
        if let Some(why) = self.outdated() {
            self.notice = Some(format!("{why} since it was read: Enter reads it again"));
            return None;
        }
        self.busy = Some(Busy::Approve { id: id.clone() });
        Some(Action::Approve { id, digest, reason })
    }

    fn answer_denial(
        &mut self,
        key: &Key,
        id: String,
        others: Vec<String>,
        reason: String,
    ) -> Option<Action> {
        match key {
            Key::Enter => {
                let reason = reason.trim().to_owned();
                let next = |id| Next::Deny { id, reason: reason.clone() };
                self.next = others.into_iter().rev().map(next).collect();
                return Some(self.deny(id, reason));
            }
            Key::Escape => self.notice = Some(format!("{id} is not denied")),
            key => self.prompt = Some(Prompt::Deny { id, others, reason: typed(key, reason) }),
        }
        None
    }

    fn deny(&mut self, id: String, reason: String) -> Action {
        self.busy = Some(Busy::Deny { id: id.clone() });
        Action::Deny { id, reason }
    }

    /// What a decision is about: those that are marked and listed, or else the one that is chosen.
    fn together(&self, chosen: String) -> (String, Vec<String>) {
        let marked = self.listed().filter(|hold| self.marked.contains(&hold.id));
        let mut ids = marked.map(|hold| hold.id.clone());
        match ids.next() {
            Some(first) => (first, ids.collect()),
            None => (chosen, Vec::new()),
        }
    }

    /// The next of those that were marked. What is approved is read first, each of them.
    fn go_on(&mut self) -> Option<Action> {
        match self.next.pop()? {
            Next::Approve(id) => self.start_reading(id, true),
            Next::Deny { id, reason } => Some(self.deny(id, reason)),
        }
    }

    /// Enter keeps the filter, Escape takes it away.
    fn answer_filter(&mut self, key: &Key) {
        match key {
            Key::Enter => return,
            Key::Escape => self.filter.clear(),
            key => {
                self.filter = typed(key, std::mem::take(&mut self.filter));
                self.prompt = Some(Prompt::Filter);
            }
        }
        self.select_one_listed(0);
    }

    fn start_reading(&mut self, id: String, then_approve: bool) -> Option<Action> {
        self.busy = Some(Busy::Read { id: id.clone(), then_approve });
        Some(Action::Read { id })
    }

    fn scroll(&mut self, key: &Key) {
        let (page, last) = (self.page_rows(), self.scroll_max());
        let Page::Hold { scroll, .. } = &mut self.page else { return };
        let to = match key {
            Key::Up | Key::Char('k') => scroll.saturating_sub(1),
            Key::Down | Key::Char('j') => *scroll + 1,
            Key::PageUp => scroll.saturating_sub(page),
            Key::PageDown | Key::Char(' ') => *scroll + page,
            Key::First | Key::Char('g') => 0,
            Key::Last | Key::Char('G') => last,
            _ => *scroll,
        };
        *scroll = to.min(last);
    }

    fn select(&mut self, row: usize) {
        let row = row.min(self.listed().count().saturating_sub(1));
        let selected = self.listed().nth(row).map(|hold| hold.id.clone());
        self.selected = selected;
    }
}

/// What a key makes of a reason. One line: a line break that was pasted is a blank.
fn typed(key: &Key, mut reason: String) -> String {
    match key {
        Key::Erase => {
            reason.pop();
        }
        Key::EraseLine => reason.clear(),
        Key::Char(char) => reason.push(*char),
        Key::Paste(text) => reason.push_str(text),
        _ => {}
    }
    let line = reason.chars().map(|it| if it.is_control() { ' ' } else { it });
    line.take(REASON_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::printers::tests::{at, detail};

    const SIZE: Size = Size { columns: 80, rows: 24 };

    fn summary(id: &str, minutes: i64) -> HoldSummary {
        let mut hold = detail().summary;
        hold.id = id.to_owned();
        hold.deadline = at(0) + SignedDuration::from_mins(minutes);
        hold
    }

    fn read(id: &str) -> HoldDetail {
        let mut hold = detail();
        hold.summary = summary(id, 1);
        hold.preview.digest = format!("digest of {id}");
        hold
    }

    fn model() -> Model {
        Model::new(vec![summary("b", 2), summary("a", 1), summary("c", 3)], SIZE, |_, _| 100)
    }

    fn keys(text: &str) -> impl Iterator<Item = Key> + '_ {
        text.split_whitespace().map(|word| match word {
            "up" => Key::Up,
            "down" => Key::Down,
            "enter" => Key::Enter,
            "esc" => Key::Escape,
            "erase" => Key::Erase,
            "space" => Key::Char(' '),
            "^c" => Key::Interrupt,
            word if word.len() > 1 => Key::Paste(word.replace('_', "\n")),
            word => Key::Char(word.chars().next().unwrap_or_default()),
        })
    }

    /// Presses keys; each hold that is asked for is there at once. Answers with the other actions.
    fn press(model: &mut Model, text: &str) -> String {
        let mut actions = Vec::new();
        for key in keys(text) {
            match model.press(key) {
                Some(Action::Read { id }) => {
                    let mut hold = read(&id);
                    let listed = model.holds.iter().find(|hold| hold.id == id);
                    hold.summary.reason_required = listed.is_some_and(|it| it.reason_required);
                    model.read(&id, Ok(hold));
                }
                Some(Action::Quit) => actions.push("quit".to_owned()),
                Some(Action::Approve { id, digest, reason }) => {
                    let why = if reason.is_empty() { reason } else { format!(": {reason}") };
                    actions.push(format!("approve {id} with {digest}{why}"));
                }
                Some(Action::Deny { id, reason }) => actions.push(format!("deny {id}: {reason}")),
                None => {}
            }
        }
        actions.join(", ")
    }

    #[test]
    fn does_what_keys_say() {
        let table = [
            ("q", "quit"),
            ("^c", "quit"),
            ("enter q", "quit"),
            ("a y", "approve a with digest of a"),
            ("j a y", "approve b with digest of b"),
            ("down down down a y", "approve c with digest of c"),
            ("j j k a y", "approve b with digest of b"),
            ("j enter a j y", "approve b with digest of b"),
            ("a n y", ""),
            ("a esc y", ""),
            ("a enter", ""),
            ("a yy", ""), // Pasted.
            ("y", ""),
            ("d n o enter", "deny a: no"),
            ("j d n o p erase enter", "deny b: no"),
            ("d enter", "deny a: "),
            ("d n o esc enter", ""),
            ("d two_lines enter", "deny a: two lines"),
            ("d q enter", "deny a: q"),
            ("d ^c", "quit"),
            ("enter d x enter", "deny a: x"),
            ("a y a y", "approve a with digest of a"), // The first is on its way.
        ];
        for (text, want) in table {
            assert_eq!(press(&mut model(), text), want, "{text}");
        }
        assert_eq!(press(&mut Model::new(vec![], SIZE, |_, _| 100), "j enter a y d"), "");
    }

    #[test]
    fn a_filter_leaves_what_has_its_text() {
        let mut other = summary("other", 9);
        other.user.username = "system:serviceaccount:shop:Cleaner".into();
        other.rules = vec!["run-code".into()];
        let table = [
            ("/ cleaner enter a y", "approve other with digest of other"),
            ("/ RUN-CODE enter d enter", "deny other: "),
            ("/ oth a y", ""), // Still typed.
            ("/ oth a y esc a y", "approve a with digest of a"),
            ("/ other enter esc a y", "approve other with digest of other"), // The choice stays.
            ("/ nowhere enter a y d", ""),
            ("/ q ^c", "quit"),
        ];
        for (text, want) in table {
            let holds = vec![summary("a", 1), other.clone()];
            let mut model = Model::new(holds, SIZE, |_, _| 100);
            assert_eq!(press(&mut model, text), want, "{text}");
        }
        // What a filter hides is still known: an approval of it is not taken for outdated.
        let mut model = Model::new(vec![summary("a", 1), other], SIZE, |_, _| 100);
        press(&mut model, "/ cleaner enter");
        assert_eq!((model.holds.len(), model.listed().count()), (2, 1));
        model.polled(Ok(vec![summary("a", 1)]));
        assert_eq!(press(&mut model, "a y"), "", "nothing is listed");
    }

    #[test]
    fn what_is_marked_is_decided_one_after_the_other() {
        // After each decision: it was taken, or not.
        let run = |text: &str, taken: &[bool], then: &str| {
            let mut model = model();
            let mut told = vec![press(&mut model, text)];
            for ok in taken {
                let answer = match ok {
                    true => Ok("done".to_owned()),
                    false => Err(Failure::Refused("no".into())),
                };
                match model.decided(answer) {
                    Some(Action::Deny { id, reason }) => told.push(format!("deny {id}: {reason}")),
                    Some(Action::Read { id }) => {
                        model.read(&id, Ok(read(&id)));
                        told.push(format!("read {id}"));
                        told.push(press(&mut model, then));
                    }
                    Some(other) => told.push(format!("{other:?}")),
                    None => told.push("end".to_owned()),
                }
            }
            told.join(", ")
        };
        let table = [
            ("space j space d no enter", &[true, true][..], "", "deny a: no, deny c: no, end"),
            ("space space d no enter", &[false], "", "deny a: no, end"),
            ("space space space space d x enter", &[true], "", "deny a: x, deny b: x"),
            (
                "space space a y",
                &[true, true],
                "y",
                "approve a with digest of a, read b, approve b with digest of b, end",
            ),
            // What is not answered with y is left, with all that would follow.
            ("space space a y", &[true], "n y a esc", "approve a with digest of a, read b, "),
            ("space space space a n d no enter", &[true], "", "deny a: no, end"),
        ];
        for (text, taken, then, want) in table {
            assert_eq!(run(text, taken, then), want, "{text}");
        }
        // What the filter hides is not decided on, marked or not.
        let holds = vec![summary("hidden", 1), summary("listed", 2)];
        let mut model = Model::new(holds, SIZE, |_, _| 100);
        assert_eq!(press(&mut model, "space space / listed enter d no enter"), "deny listed: no");
        assert_eq!(model.decided(Ok("done".into())), None);
        let mut model = self::model();
        press(&mut model, "space");
        model.polled(Ok(vec![summary("b", 2)]));
        assert!(model.marked.is_empty(), "it is decided already");
    }

    #[test]
    fn a_reason_is_asked_for_where_a_rule_requires_it() {
        let table = [
            ("a o k enter", "approve a with digest of a: ok"),
            ("enter a two_lines enter", "approve a with digest of a: two lines"),
            ("a y enter", "approve a with digest of a: y"),
            ("a enter", ""),
            ("a o erase enter", ""),
            ("a o esc enter y", ""),
        ];
        for (text, want) in table {
            let mut hold = summary("a", 1);
            hold.reason_required = true;
            assert_eq!(press(&mut Model::new(vec![hold], SIZE, |_, _| 100), text), want, "{text}");
        }
    }

    #[test]
    fn the_worst_comes_first() {
        let mut low = summary("low", 0);
        low.severity = "low".into();
        let mut later = summary("later", 9);
        later.severity = "high".into();
        let model =
            Model::new(vec![low, later, summary("soon", 1), summary("worst", 2)], SIZE, |_, _| 100);
        let ids: Vec<&str> = model.holds.iter().map(|it| it.id.as_str()).collect();
        assert_eq!(ids, ["soon", "worst", "later", "low"]);
    }

    #[test]
    fn keys_typed_before_a_hold_is_on_the_screen_approve_nothing() {
        let mut model = model();
        assert_eq!(model.press(Key::Char('a')), Some(Action::Read { id: "a".into() }));
        assert_eq!(model.press(Key::Char('y')), None);
        model.read("a", Ok(read("a")));
        assert!(matches!(model.prompt, Some(Prompt::Approve { .. })));
        assert_eq!(press(&mut model, "y"), "approve a with digest of a");
    }

    #[test]
    fn the_choice_stays_on_its_hold() {
        let mut model = model();
        press(&mut model, "j");
        model.polled(Ok(vec![summary("0", 0), summary("a", 1), summary("b", 2)]));
        assert_eq!(press(&mut model.clone(), "a y"), "approve b with digest of b");
        model.polled(Ok(vec![summary("0", 0), summary("c", 3)]));
        assert_eq!(model.row(), 1);
        model.polled(Err("gone".into()));
        assert_eq!((model.holds.len(), model.silence.as_deref()), (2, Some("gone")));
        model.polled(Ok(vec![]));
        assert_eq!((model.row(), model.silence), (0, None));
    }

    #[test]
    fn what_changed_is_not_approved_but_read_again() {
        let mut changed = summary("a", 1);
        changed.drifts = 1;
        // It changes before the question, between question and answer, or on the server alone.
        let mut before = model();
        press(&mut before, "enter");
        before.polled(Ok(vec![changed.clone()]));
        assert_eq!(press(&mut before, "a y"), "");
        let mut between = model();
        press(&mut between, "a");
        between.polled(Ok(vec![changed]));
        assert_eq!(press(&mut between, "y"), "");
        assert!(between.notice.is_some_and(|it| it.contains("Enter reads it again")));

        let mut alone = model();
        press(&mut alone, "a y");
        let action = alone.decided(Err(Failure::Changed("it has changed".into())));
        assert_eq!(action, Some(Action::Read { id: "a".into() }));
        alone.read("a", Ok(read("a")));
        assert!(matches!(alone.page, Page::Hold { .. }));
        assert!(alone.prompt.is_none());
        assert!(alone.notice.is_some_and(|it| it.contains("not approved: it has changed")));
    }

    #[test]
    fn says_what_came_of_it() {
        let table = [
            (Ok("approved; it runs".to_owned()), "a: approved; it runs", None),
            (Err(Failure::Refused("no".into())), "a is not approved: no", None),
            (
                Err(Failure::Silent("no answer".into())),
                "it is not known whether a is approved: no answer; see how it stands now",
                Some(Action::Read { id: "a".into() }),
            ),
        ];
        for (answer, want, action) in table {
            let mut model = model();
            press(&mut model, "a y");
            assert_eq!(model.decided(answer), action);
            assert_eq!(model.notice.as_deref(), Some(want));
        }
        let mut left = model();
        assert!(left.press(Key::Enter).is_some());
        left.press(Key::Escape);
        left.read("a", Ok(read("a")));
        assert!(matches!(left.page, Page::Queue), "nobody waits for it any more");
    }
}
