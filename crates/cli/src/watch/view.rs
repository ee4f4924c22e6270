//! The model as rows of text, exactly as many as the terminal has. Whatever an agent wrote has gone
//! through [`text`] before it is measured, so nothing in it moves the cursor.

use anstyle::{AnsiColor, Style};
use api::body::HoldSummary;
use jiff::Timestamp;
use text::Escaped;
use unicode_width::UnicodeWidthChar;

use super::model::{Busy, Model, Page, Prompt};
use crate::{printers, program, sentences};

const RED: Style = AnsiColor::Red.on_default();
const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const CHOSEN: Style = Style::new().invert();

const AGE_COLUMNS: usize = 5;
const LEFT_COLUMNS: usize = 6;
const SEVERITY_COLUMNS: usize = 8;
const AGENT_COLUMNS: usize = 22;

/// Title, state of the connection, a blank, the table's header; a blank, notice, keys.
const FRAME_ROWS: usize = 7;

impl Model {
    /// Rows between the frame's.
    pub(crate) fn page_rows(&self) -> usize {
        self.size.rows.saturating_sub(FRAME_ROWS).max(1)
    }

    /// So far can the hold be scrolled.
    pub(crate) fn scroll_max(&self) -> usize {
        // Its length depends on the time only by letters of an age.
        self.hold_lines(Timestamp::UNIX_EPOCH).len().saturating_sub(self.page_rows())
    }

    /// The screen.
    pub(crate) fn view(&self, now: Timestamp) -> Vec<String> {
        let (title, header, body) = match &self.page {
            Page::Queue => self.queue(now),
            Page::Hold { scroll, .. } => self.hold(now, *scroll),
        };
        let width = self.size.columns;
        let mut rows = vec![
            styled(BOLD, &fit(&title, width)),
            styled(RED, &fit(&self.warning(), width)),
            String::new(),
            styled(DIM, &fit(&header, width)),
        ];
        rows.extend(body.into_iter().take(self.page_rows()));
        rows.resize(self.page_rows() + 4, String::new());
        rows.extend(self.question(width).map(|it| styled(BOLD, &it)));
        rows.push(styled(DIM, &fit(self.keys(), width)));
        rows.truncate(self.size.rows);
        rows
    }

    fn queue(&self, now: Timestamp) -> (String, String, Vec<String>) {
        let title = match self.holds.len() {
            0 => format!("{}  no holds", program::name()),
            1 => format!("{}  1 hold waits for a decision", program::name()),
            n => format!("{}  {n} holds wait for a decision", program::name()),
        };
        if self.holds.is_empty() {
            let nothing = fit("  Nothing waits for a decision.", self.size.columns);
            return (title, String::new(), vec![nothing]);
        }
        let header = columns(["AGE", "LEFT", "SEVERITY", "AGENT", "WANTS TO"]);
        let (chosen, page) = (self.row(), self.page_rows());
        let top = chosen / page * page;
        let rows = self.holds.iter().enumerate().skip(top).take(page).map(|(row, hold)| {
            let text = self.row_of(hold, now);
            match row == chosen {
                true => styled(CHOSEN, &padded(&format!("> {text}"), self.size.columns)),
                false => fit(&format!("  {text}"), self.size.columns),
            }
        });
        (title, format!("  {header}"), rows.collect())
    }

    fn row_of(&self, hold: &HoldSummary, now: Timestamp) -> String {
        let line = |text: &str| Escaped::line(text).to_string();
        let what = sentences::describe_request(hold);
        // So many have approved it of so many that must: `[1/2]`.
        let what = match printers::state(hold).strip_prefix("pending ") {
            Some(share) => format!("[{share}] {what}"),
            None => what,
        };
        columns([
            &printers::age(hold.created_at, now),
            &printers::age(now, hold.deadline),
            &line(&hold.severity),
            &line(printers::short_user(&hold.user.username)),
            &what,
        ])
    }

    fn hold(&self, now: Timestamp, scroll: usize) -> (String, String, Vec<String>) {
        let Page::Hold { hold, .. } = &self.page else { return Default::default() };
        let lines = self.hold_lines(now);
        let (all, page) = (lines.len(), self.page_rows());
        let scroll = scroll.min(all.saturating_sub(page));
        let below = all.saturating_sub(scroll + page);
        let title = format!("{}  hold {}", program::name(), Escaped::line(&hold.summary.id));
        let header = match (scroll, below) {
            (0, 0) => String::new(),
            (_, 0) => format!("end of {all} lines"),
            _ => format!("{below} of {all} lines are below: j or space"),
        };
        (title, header, lines.into_iter().skip(scroll).collect())
    }

    fn hold_lines(&self, now: Timestamp) -> Vec<String> {
        match &self.page {
            Page::Queue => Vec::new(),
            Page::Hold { hold, .. } => wrap(&printers::hold(hold, now), self.size.columns),
        }
    }

    /// What makes the screen old.
    fn warning(&self) -> String {
        match (&self.silence, self.outdated()) {
            (Some(why), _) => format!("No answer, this may be old: {}", Escaped::line(why)),
            (None, Some(why)) => format!("Since it was read {why}: Enter reads it again."),
            (None, None) => String::new(),
        }
    }

    /// Two rows; what is one row long stands in the second.
    fn question(&self, width: usize) -> [String; 2] {
        let one = match (&self.prompt, &self.busy, &self.notice) {
            (Some(Prompt::Approve { id, .. }), ..) => {
                fit(&format!("Approve {} as it is shown here? y or n", Escaped::line(id)), width)
            }
            (Some(Prompt::ApproveWithReason { id, reason, .. }), ..) => {
                let asked = format!("Approve {} as it is shown here. Reason: ", Escaped::line(id));
                with_reason(&asked, reason, width)
            }
            (Some(Prompt::Deny { id, reason }), ..) => {
                with_reason(&format!("Deny {}. Reason: ", Escaped::line(id)), reason, width)
            }
            (None, Some(busy), _) => fit(&doing(busy), width),
            (None, None, Some(notice)) => {
                let mut lines = wrap(Escaped::line(notice).as_str(), width).into_iter();
                let first = fit(&lines.next().unwrap_or_default(), width);
                match lines.collect::<String>() {
                    rest if rest.is_empty() => first,
                    rest => return [first, fit(&rest, width)],
                }
            }
            (None, None, None) => String::new(),
        };
        [String::new(), one]
    }

    fn keys(&self) -> &'static str {
        match (&self.prompt, &self.page) {
            (Some(Prompt::Approve { .. }), _) => "y approve  n or Esc leave it  j k scroll",
            (Some(Prompt::ApproveWithReason { .. }), _) => "Enter approve  Esc leave it",
            (Some(Prompt::Deny { .. }), _) => "Enter deny  Esc leave it",
            (None, Page::Queue) => "j k move  Enter show  a approve  d deny  q quit",
            (None, Page::Hold { .. }) => {
                "j k scroll  a approve  d deny  Enter read again  Esc back  q quit"
            }
        }
    }
}

fn doing(busy: &Busy) -> String {
    let (what, id) = match busy {
        Busy::Read { id, .. } => ("reading", id),
        Busy::Approve { id } => ("approving", id),
        Busy::Deny { id } => ("denying", id),
    };
    format!("{what} {} …", Escaped::line(id))
}

fn columns([age, left, severity, agent, what]: [&str; 5]) -> String {
    let age = padded(age, AGE_COLUMNS);
    let left = padded(left, LEFT_COLUMNS);
    let severity = padded(severity, SEVERITY_COLUMNS);
    format!("{age} {left} {severity} {} {what}", padded(agent, AGENT_COLUMNS))
}

/// A question with what is typed after it.
fn with_reason(asked: &str, reason: &str, width: usize) -> String {
    let room = width.saturating_sub(columns_of(asked) + 1);
    fit(&format!("{asked}{}_", end_of(Escaped::line(reason).as_str(), room)), width)
}

fn styled(style: Style, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{style}{text}{style:#}") }
}

fn columns_of(text: &str) -> usize {
    text.chars().map(width_of).sum()
}

fn width_of(char: char) -> usize {
    char.width().unwrap_or(0)
}

/// As much as fits; what is cut ends in `…`. Only for text without colours.
fn fit(text: &str, width: usize) -> String {
    if columns_of(text) <= width {
        return text.to_owned();
    }
    let mut used = 1; // The `…`.
    let fits = text.chars().take_while(|char| {
        used += width_of(*char);
        used <= width
    });
    let shown: String = fits.collect();
    if width == 0 { shown } else { format!("{shown}…") }
}

fn padded(text: &str, width: usize) -> String {
    let mut text = fit(text, width);
    text.extend(std::iter::repeat_n(' ', width.saturating_sub(columns_of(&text))));
    text
}

/// The end of what is typed: there the cursor is.
fn end_of(text: &str, width: usize) -> String {
    let mut used = 0;
    let fits = text.chars().rev().take_while(|char| {
        used += width_of(*char);
        used <= width
    });
    let shown: Vec<char> = fits.collect();
    shown.into_iter().rev().collect()
}

/// Lines no wider than `width`, nothing left out: what is approved is read to its end. Our own
/// colours (`ESC [ … m`, the only escapes in escaped text) take no room and go on in the next line.
fn wrap(text: &str, width: usize) -> Vec<String> {
    text.lines().flat_map(|line| wrap_line(line, width.max(2))).collect()
}

fn wrap_line(line: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let (mut current, mut used, mut colour) = (String::new(), 0, String::new());
    let mut chars = line.chars();
    while let Some(char) = chars.next() {
        if char == '\u{1b}' {
            let mut escape = String::from(char);
            escape.extend(chars.by_ref().take_while(|it| *it != 'm'));
            escape.push('m');
            colour = if escape == "\u{1b}[0m" { String::new() } else { colour + &escape };
            current.push_str(&escape);
            continue;
        }
        if used + width_of(char) > width {
            let word = split_word(&mut current, width);
            let reset = if colour.is_empty() { "" } else { "\u{1b}[0m" };
            lines.push(format!("{current}{reset}"));
            (current, used) = (format!("{colour}{word}"), columns_of(&word));
        }
        used += width_of(char);
        current.push(char);
    }
    lines.push(current);
    lines
}

/// Takes a word that was begun off the end of a line, unless it is long or its colour changes.
fn split_word(line: &mut String, width: usize) -> String {
    match line.rfind(' ').map(|blank| line.split_off(blank + 1)) {
        Some(word) if columns_of(&word) <= width / 2 && !word.contains('\u{1b}') => word,
        Some(word) => {
            line.push_str(&word);
            String::new()
        }
        None => String::new(),
    }
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
        Model::new(vec![second, detail().summary], Size { columns, rows })
    }

    fn screen(model: &Model) -> String {
        let rows = model.view(at(300));
        assert_eq!(rows.len(), model.size.rows);
        for row in &rows {
            // Our own colours are the only escapes: looked at before anything is taken out.
            for escape in row.split('\u{1b}').skip(1) {
                let code = escape.strip_prefix('[').and_then(|it| it.split_once('m'));
                assert!(
                    code.is_some_and(|it| it.0.bytes().all(|it| it.is_ascii_digit())),
                    "{row:?}"
                );
            }
            let row = plain(row);
            assert!(columns_of(&row) <= model.size.columns, "{row}");
            assert!(!row.chars().any(char::is_control), "{row:?}");
        }
        plain(&rows.join("\n"))
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
    fn an_empty_queue_says_so() {
        let mut model = Model::new(vec![], Size { columns: 60, rows: 9 });
        model.polled(Err("cannot reach https://shield:\u{1b}[2J refused".into()));
        insta::assert_snapshot!(screen(&model));
    }

    #[test]
    fn a_hold_is_shown_whole_before_it_is_approved() {
        let mut model = model(60, 20);
        open(&mut model, Key::Char('a'));
        insta::assert_snapshot!(screen(&model));
        let mut seen = String::new();
        for _ in 0..60 {
            seen.push_str(&screen(&model));
            model.press(Key::Down);
        }
        for line in plain(&printers::hold(&detail(), at(300))).lines().filter(|it| it.len() <= 60) {
            assert!(seen.contains(line), "{line}");
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
            model.view(at(0));
        }
    }

    #[test]
    fn lines_are_wrapped_by_width_with_their_colour() {
        let table = [
            ("abcdef", vec!["abc", "def"]),
            ("ab", vec!["ab"]),
            ("", vec![""]),
            ("a bcd", vec!["a ", "bcd"]),
            ("日本語", vec!["日", "本", "語"]),
            ("\u{1b}[31mabcd\u{1b}[0me", vec!["\u{1b}[31mabc\u{1b}[0m", "\u{1b}[31md\u{1b}[0me"]),
        ];
        for (line, want) in table {
            assert_eq!(wrap_line(line, 3), want, "{line}");
        }
        assert_eq!(fit("日本語", 5), "日本…");
        assert_eq!(end_of("abcdef", 3), "def");
    }
}
