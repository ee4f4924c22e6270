//! The model on a terminal: what stands where. Whatever an agent wrote has gone through [`text`]
//! before it gets here, and the terminal library leaves out whatever else would move the cursor.

use ansi_to_tui::IntoText;
use api::body::{HoldDetail, HoldSummary};
use jiff::Timestamp;
use ratatui::{
    buffer::Buffer,
    layout::{Constraint, Layout, Rect},
    style::{Style, Stylize},
    text::{Line, Span, Text},
    widgets::{Paragraph, Row, StatefulWidget, Table, TableState, Widget, Wrap},
};
use text::Escaped;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::model::{Busy, FRAME_ROWS, Model, Page, Prompt};
use crate::{printers, program, sentences};

/// Age, time left, severity.
const COLUMNS: [u16; 3] = [5, 6, 8];
/// Who asks has so many columns, or fewer where the namespace needs them; what it wants has the rest.
const AGENT_COLUMNS: [u16; 2] = [10, 22];
/// What is wanted is read where it has so many.
const WANTS_COLUMNS: u16 = 24;
const NAMESPACE: &str = "NAMESPACE";
/// In front of each row.
const MARK: &str = "> ";
/// Of a notice or a question.
const QUESTION_ROWS: u16 = 2;
/// Title, state of the connection, a blank; then the page with its header; then these.
const TOP_ROWS: u16 = 3;
const KEYS_ROWS: u16 = 1;
const _: () = assert!(FRAME_ROWS == (TOP_ROWS + 1 + QUESTION_ROWS + KEYS_ROWS) as usize);

/// The screen at one moment.
pub(crate) struct View<'a> {
    /// What is on it.
    pub(crate) model: &'a Model,
    /// For ages.
    pub(crate) now: Timestamp,
}

impl Widget for View<'_> {
    fn render(self, area: Rect, buffer: &mut Buffer) {
        let rows = [
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Fill(1),
            Constraint::Length(QUESTION_ROWS),
            Constraint::Length(KEYS_ROWS),
        ];
        let [title, warning, _, page, question, keys] = Layout::vertical(rows).areas(area);
        let width = usize::from(area.width);
        Line::from(fit(&self.title(), width)).bold().render(title, buffer);
        Line::from(fit(&self.warning(), width)).red().render(warning, buffer);
        match &self.model.page {
            Page::Queue => self.queue(page, buffer),
            Page::Hold { hold, scroll } => self.hold(hold, *scroll, page, buffer),
        }
        self.question(question, buffer);
        Line::from(fit(self.keys(), width)).dim().render(keys, buffer);
    }
}

/// The rows that a hold takes at this width, for scrolling.
pub(crate) fn hold_rows(hold: &HoldDetail, columns: usize) -> usize {
    // Its length depends on the time only by letters of an age.
    let columns = u16::try_from(columns).unwrap_or(u16::MAX);
    hold_text(hold, Timestamp::UNIX_EPOCH, columns).line_count(columns)
}

/// All of a hold, nothing left out: what is approved is read to its end.
fn hold_text(hold: &HoldDetail, now: Timestamp, columns: u16) -> Paragraph<'static> {
    let printed = printers::hold(hold, now, Some(usize::from(columns)));
    let plain = || Text::raw(anstream::adapter::strip_str(&printed).to_string());
    let text = printed.into_text().unwrap_or_else(|_| plain());
    Paragraph::new(text).wrap(Wrap { trim: false })
}

impl View<'_> {
    fn title(&self) -> String {
        let name = program::name();
        match (&self.model.page, self.model.holds.len()) {
            (Page::Hold { hold, .. }, _) => {
                format!("{name}  hold {}", Escaped::line(&hold.summary.id))
            }
            (Page::Queue, 0) => format!("{name}  no holds"),
            (Page::Queue, 1) => format!("{name}  1 hold waits for a decision{}", self.counts()),
            (Page::Queue, n) => format!("{name}  {n} holds wait for a decision{}", self.counts()),
        }
    }

    /// How many of each severity, the worst first, and how many of them a filter leaves.
    fn counts(&self) -> String {
        let mut counts: Vec<(&str, usize)> = Vec::new();
        for hold in &self.model.holds {
            match counts.iter_mut().find(|it| it.0 == hold.severity) {
                Some((_, count)) => *count += 1,
                None => counts.push((&hold.severity, 1)),
            }
        }
        let counts: Vec<String> =
            counts.iter().map(|(it, count)| format!("{count} {}", Escaped::line(it))).collect();
        let filter = match self.model.filter.trim() {
            "" => String::new(),
            filter => {
                let listed = self.model.listed().count();
                format!("; {listed} shown, with `{}`", Escaped::line(filter))
            }
        };
        let marked = match self.model.marked.len() {
            0 => String::new(),
            n => format!("; {n} marked"),
        };
        format!(": {}{marked}{filter}", counts.join(", "))
    }

    fn queue(&self, area: Rect, buffer: &mut Buffer) {
        let holds: Vec<&HoldSummary> = self.model.listed().collect();
        if holds.is_empty() {
            let [_, area] = header_and_body(area);
            let why = match self.model.holds.is_empty() {
                true => "  Nothing waits for a decision.",
                false => "  Nothing that waits has this in it: Esc shows all.",
            };
            Line::from(why).render(area, buffer);
            return;
        }
        let widths = widths(&holds, area.width);
        let [.., agent, _, rest] = widths.map(usize::from);
        let rows = holds.iter().map(|hold| Row::new(self.cells(hold, agent, rest)));
        let table = Table::new(rows, widths.map(Constraint::Length))
            .header(Row::new(["AGE", "LEFT", "SEVERITY", "AGENT", NAMESPACE, "WANTS TO"]).dim())
            .highlight_symbol(MARK)
            .row_highlight_style(Style::new().reversed());
        let (chosen, page) = (self.model.row(), self.model.page_rows());
        let mut state =
            TableState::new().with_offset(chosen / page * page).with_selected(Some(chosen));
        StatefulWidget::render(table, area, buffer, &mut state);
    }

    fn cells(&self, hold: &HoldSummary, agent_columns: usize, rest: usize) -> [Text<'static>; 6] {
        let mark = if self.model.marked.contains(&hold.id) { "*" } else { "" };
        let what = sentences::describe_request(hold);
        // So many have approved it of so many that must: `[1/2]`.
        let what = match printers::state(hold).strip_prefix("pending ") {
            Some(share) => format!("[{share}] {what}"),
            None => what,
        };
        let agent = Escaped::line(&printers::short_user(&hold.user.username));
        [
            format!("{mark}{}", printers::age(hold.created_at, self.now)).into(),
            printers::age(self.now, hold.deadline).into(),
            severity(&hold.severity).into(),
            fit(agent.as_str(), agent_columns).into(),
            namespace(hold).into(),
            fit(&what, rest).into(),
        ]
    }

    fn hold(&self, hold: &HoldDetail, scroll: usize, area: Rect, buffer: &mut Buffer) {
        let [header, body] = header_and_body(area);
        let text = hold_text(hold, self.now, area.width);
        let (all, page) = (text.line_count(area.width), usize::from(body.height));
        let scroll = scroll.min(all.saturating_sub(page));
        let below = all.saturating_sub(scroll + page);
        let place = match (scroll, below) {
            (0, 0) => String::new(),
            (_, 0) => format!("end of {all} lines"),
            _ => format!("{below} of {all} lines are below: j or space"),
        };
        Line::from(fit(&place, usize::from(area.width))).dim().render(header, buffer);
        let scroll = u16::try_from(scroll).unwrap_or(u16::MAX);
        text.scroll((scroll, 0)).render(body, buffer);
    }

    /// What makes the screen old.
    fn warning(&self) -> String {
        match (&self.model.silence, self.model.outdated()) {
            (Some(why), _) => format!("No answer, this may be old: {}", Escaped::line(why)),
            (None, Some(why)) => format!("Since it was read {why}: Enter reads it again."),
            (None, None) => String::new(),
        }
    }

    /// What is asked or told. What is one row long stands in the second of the two.
    fn question(&self, area: Rect, buffer: &mut Buffer) {
        let width = usize::from(area.width);
        let Model { prompt, busy, notice, .. } = self.model;
        let mut asked = match (prompt, busy, notice) {
            (Some(Prompt::Approve { id, .. }), ..) => {
                fit(&format!("Approve {} as it is shown here? y or n", Escaped::line(id)), width)
            }
            (Some(Prompt::ApproveWithReason { id, reason, .. }), ..) => {
                let asked = format!("Approve {} as it is shown here. Reason: ", Escaped::line(id));
                with_reason(&asked, reason, width)
            }
            (Some(Prompt::Deny { id, others, reason }), ..) => {
                let more = match others.len() {
                    0 => String::new(),
                    n => format!(" and {n} more that are marked"),
                };
                let asked = format!("Deny {}{more}. Reason: ", Escaped::line(id));
                with_reason(&asked, reason, width)
            }
            (Some(Prompt::Filter), ..) => {
                with_reason("Only holds with: ", &self.model.filter, width)
            }
            (None, Some(busy), _) => fit(&doing(busy), width),
            (None, None, Some(notice)) => Escaped::line(notice).to_string(),
            (None, None, None) => return,
        };
        let paragraph =
            |text: &str| Paragraph::new(text.to_owned()).wrap(Wrap { trim: true }).bold();
        while paragraph(&asked).line_count(area.width) > usize::from(QUESTION_ROWS) {
            asked = fit(&asked, asked.width().saturating_sub(1));
        }
        let is_one_row = paragraph(&asked).line_count(area.width) < usize::from(QUESTION_ROWS);
        let [_, last] = Layout::vertical([Constraint::Fill(1), Constraint::Length(1)]).areas(area);
        paragraph(&asked).render(if is_one_row { last } else { area }, buffer);
    }

    fn keys(&self) -> &'static str {
        match (&self.model.prompt, &self.model.page) {
            (Some(Prompt::Approve { .. }), _) => "y approve  n or Esc leave it  j k scroll",
            (Some(Prompt::ApproveWithReason { .. }), _) => "Enter approve  Esc leave it",
            (Some(Prompt::Deny { .. }), _) => "Enter deny  Esc leave it",
            (Some(Prompt::Filter), _) => "Enter keep  Esc show all",
            (None, Page::Queue) => {
                "j k move  Enter show  a approve  d deny  q quit  space mark  / filter"
            }
            (None, Page::Hold { .. }) => {
                "j k scroll  a approve  d deny  Enter read again  Esc back  q quit"
            }
        }
    }
}

/// The namespace is never cut: a name that ends early is another's.
fn widths(holds: &[&HoldSummary], columns: u16) -> [u16; 6] {
    let [agent_min, agent_max] = AGENT_COLUMNS;
    let longest = holds.iter().map(|it| namespace(it).width()).max().unwrap_or(0);
    let longest = u16::try_from(longest.max(NAMESPACE.len())).unwrap_or(u16::MAX);
    let mark = u16::try_from(MARK.len()).unwrap_or(0);
    let [age, left, severity] = COLUMNS;
    // A blank between two.
    let fixed = [age, left, severity, longest, mark, 5];
    let free = fixed.iter().fold(columns, |free, width| free.saturating_sub(*width));
    let agent = free.saturating_sub(WANTS_COLUMNS).clamp(agent_min, agent_max).min(free);
    [age, left, severity, agent, longest, free.saturating_sub(agent)]
}

/// Where it is to happen; a namespace is in itself.
fn namespace(hold: &HoldSummary) -> String {
    Escaped::line(&hold.request.namespace).to_string()
}

fn severity(severity: &str) -> Span<'static> {
    let text = Span::raw(Escaped::line(severity).to_string());
    match severity {
        "low" => text,
        "medium" => text.yellow(),
        "high" => text.red(),
        _ => text.red().bold(),
    }
}

fn header_and_body(area: Rect) -> [Rect; 2] {
    Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area)
}

fn doing(busy: &Busy) -> String {
    let (what, id) = match busy {
        Busy::Read { id, .. } => ("reading", id),
        Busy::Approve { id } => ("approving", id),
        Busy::Deny { id } => ("denying", id),
    };
    format!("{what} {} …", Escaped::line(id))
}

/// A question with the end of what is typed after it: there the cursor is.
fn with_reason(asked: &str, reason: &str, width: usize) -> String {
    let room = width.saturating_sub(asked.width() + 1);
    let reason = Escaped::line(reason).to_string();
    let mut used = 0;
    let end = reason.char_indices().rev().take_while(|(_, char)| {
        used += char.width().unwrap_or(0);
        used <= room
    });
    let from = end.last().map_or(reason.len(), |(index, _)| index);
    fit(&format!("{asked}{}_", reason.get(from..).unwrap_or_default()), width)
}

/// As much as fits; what is cut ends in `…`, as a sentence that ends early says something else.
fn fit(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut used = 1; // The `…`.
    let fits = text.chars().take_while(|char| {
        used += char.width().unwrap_or(0);
        used <= width
    });
    let shown: String = fits.collect();
    if width == 0 { shown } else { format!("{shown}…") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        printers::tests::{at, detail, plain},
        watch::model::{Action, Key, Size},
    };

    fn model(columns: usize, rows: usize) -> Model {
        let hostile = "\u{1b}[2J\u{202e}web\r\n\u{9b}1A";
        let mut second = detail().summary;
        second.id = "zzzz9999".into();
        second.user.username = format!("eve {hostile}");
        second.request.verb = "patch".into();
        second.request.resource = "deployments".into();
        second.request.api_group = "apps".into();
        second.request.namespace = "prod".into();
        second.request.name = hostile.into();
        second.effects[0].kind = "ScaleDown".into();
        second.effects[0].detail = format!("replicas 10 -> 0 {hostile}");
        second.deadline = at(2400);
        Model::new(vec![second, detail().summary], Size { columns, rows }, hold_rows)
    }

    fn screen(model: &Model) -> String {
        let Size { columns, rows } = model.size;
        let [columns, rows] = [columns, rows].map(|it| u16::try_from(it).expect("a terminal"));
        let area = Rect::new(0, 0, columns, rows);
        let mut buffer = Buffer::empty(area);
        View { model, now: at(300) }.render(area, &mut buffer);
        let lines = (0..area.height).map(|row| {
            let mut line = String::new();
            let mut column = 0;
            while column < area.width {
                let symbol = buffer[(column, row)].symbol();
                assert!(!symbol.chars().any(char::is_control), "{symbol:?}");
                line.push_str(symbol);
                column += u16::try_from(symbol.width().max(1)).expect("a cell");
            }
            line.trim_end().to_owned()
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    fn open(model: &mut Model, key: Key) {
        if let Some(Action::Read { id }) = model.press(key) {
            let mut hold = detail();
            hold.summary.id.clone_from(&id);
            model.read(&id, Ok(hold));
        }
    }

    #[test]
    fn the_queue_shows_rows() {
        let mut model = model(120, 12);
        model.press(Key::Down);
        insta::assert_snapshot!(screen(&model));
    }

    #[test]
    fn a_namespace_is_never_cut() {
        let long = "n".repeat(40);
        let mut model = model(80, 12);
        model.holds[0].request.namespace.clone_from(&long);
        let shown = screen(&model);
        assert!(shown.contains(&format!(" {long} ")), "{shown}");
        model.filter = "patch".into();
        let filtered = screen(&model);
        assert!(
            filtered.contains("2 holds wait") && filtered.contains("shown, with `patch`"),
            "{filtered}"
        );
    }

    #[test]
    fn an_empty_queue_says_so() {
        let mut model = Model::new(vec![], Size { columns: 60, rows: 9 }, hold_rows);
        model.polled(Err("cannot reach https://shield:\u{1b}[2J refused".into()));
        insta::assert_snapshot!(screen(&model));
    }

    #[test]
    fn a_hold_is_shown_whole_before_it_is_approved() {
        let mut model = model(60, 20);
        open(&mut model, Key::Char('a'));
        insta::assert_snapshot!(screen(&model));
        let mut seen = String::new();
        for _ in 0..90 {
            seen.push_str(&screen(&model));
            model.press(Key::Down);
        }
        let page = printers::hold(&detail(), at(300), Some(60));
        for line in plain(&page).lines().filter(|it| it.len() <= 60) {
            assert!(seen.contains(line.trim_end()), "{line}");
        }
    }

    #[test]
    fn a_denial_asks_for_a_reason() {
        let mut model = model(50, 9);
        model.press(Key::Char('d'));
        model.press(Key::Paste("wrong\u{202e} namespace, and far too long to be shown".into()));
        insta::assert_snapshot!(screen(&model));
    }

    #[test]
    fn an_approval_that_takes_a_reason_asks_for_it() {
        let mut model = model(70, 9);
        let hold = &mut model.holds[0];
        hold.reason_required = true;
        hold.reviewers[0].missing = 2;
        assert!(screen(&model).contains(" [0/2] delete namespace"), "{}", screen(&model));
        let mut whole = detail();
        whole.summary = model.holds[0].clone();
        if let Some(Action::Read { id }) = model.press(Key::Char('a')) {
            model.read(&id, Ok(whole));
        }
        model.press(Key::Paste("ok\u{202e}".into()));
        let screen = screen(&model);
        let asked = "Approve k3mq7xzw as it is shown here. Reason: ok\\u{202e}";
        assert!(screen.contains(asked) && screen.contains("Enter approve"), "{screen}");
    }

    #[test]
    fn a_long_notice_has_two_rows() {
        let mut model = model(60, 9);
        model.notice = Some("k3mq7xzw is not approved: what the request would do has changed since it was shown; this is how it stands now".into());
        let screen = screen(&model);
        assert!(screen.contains("\nk3mq7xzw is not approved"), "{screen}");
        assert!(screen.contains("how it stands now\nj k move"), "{screen}");
    }

    #[test]
    fn any_size_will_do() {
        for (columns, rows) in [(0, 0), (1, 1), (2, 3), (10, 6), (300, 100)] {
            let mut model = model(columns, rows);
            screen(&model);
            open(&mut model, Key::Enter);
            screen(&model);
        }
    }

    #[test]
    fn a_long_line_is_wrapped_and_nothing_of_it_lost() {
        let mut hold = detail();
        hold.payload = "日本語".repeat(20) + &"ł".repeat(100);
        let mut model = model(30, 200);
        if let Some(Action::Read { id }) = model.press(Key::Enter) {
            hold.summary.id.clone_from(&id);
            model.read(&id, Ok(hold));
        }
        let shown = screen(&model);
        assert_eq!(shown.matches('ł').count(), 100);
        assert_eq!(shown.matches("語").count(), 20);
    }

    #[test]
    fn what_is_cut_says_so() {
        assert_eq!(fit("日本語", 5), "日本…");
        assert_eq!(with_reason("Why? ", "abcdef", 9), "Why? def_");
    }
}
