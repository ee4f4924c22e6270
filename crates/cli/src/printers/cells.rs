//! What all tables and pages are made of: colours, cells, ages, names.

use std::borrow::Cow;

use anstyle::{AnsiColor, Style};
use comfy_table::{Table, presets};
use jiff::Timestamp;
use text::Escaped;

pub(super) use crate::moment::{head, shown as when};

pub(super) const RED: Style = AnsiColor::Red.on_default();
pub(super) const GREEN: Style = AnsiColor::Green.on_default();
pub(super) const BOLD: Style = Style::new().bold();
pub(super) const DIMMED: Style = Style::new().dimmed();

/// So many blanks in a row can be meant.
const BLANKS_MAX: usize = 3;
/// So many blanks can say how deep a line stands.
const DEPTH_MAX: usize = 40;

/// One line of text that somebody else wrote. Many blanks in it could push what follows to where a
/// terminal begins its next line, and so forge a line of ours: they are told and not printed.
pub(super) fn e(text: &str) -> String {
    collapsed(Escaped::line(text).as_str())
}

/// As [`e`], with the blanks that say how deep a line stands.
pub(super) fn indented(line: &str) -> String {
    let bare = line.trim_start_matches(' ');
    match line.len().saturating_sub(bare.len()) {
        depth @ 0..=DEPTH_MAX => format!("{}{}", " ".repeat(depth), e(bare)),
        _ => e(line),
    }
}

fn collapsed(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut blanks = 0_usize;
    let end = |text: &mut String, blanks: usize| match blanks {
        0..=BLANKS_MAX => text.push_str(&" ".repeat(blanks)),
        _ => text.push_str(&format!(" [{blanks} blanks] ")),
    };
    for char in line.chars() {
        if char == ' ' {
            blanks = blanks.saturating_add(1);
            continue;
        }
        end(&mut text, std::mem::take(&mut blanks));
        text.push(char);
    }
    end(&mut text, blanks);
    text
}

/// A table without lines, for a terminal of any width.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(header);
    table
}

/// The colour of a severity; what is not known is as bad as the worst.
pub(super) fn of_severity(severity: &str) -> Style {
    match severity {
        "low" => Style::new(),
        "medium" => AnsiColor::Yellow.on_default(),
        "high" => RED,
        _ => RED.bold(),
    }
}

/// Gives the words of one column of a table their colour. Afterwards, as letters of colours would count
/// as letters where the columns are laid out.
pub(super) fn coloured<'a>(
    table: &str,
    header: &str,
    cells: impl Iterator<Item = (&'a str, Style)>,
) -> String {
    let mut lines = table.lines();
    let Some(first) = lines.next() else { return String::new() };
    let column = first.find(header).unwrap_or(usize::MAX);
    let mut text = first.to_owned();
    for (line, (word, style)) in lines.by_ref().zip(cells) {
        text.push('\n');
        let parts = line.get(..column).zip(line.get(column..));
        let parts = parts.and_then(|(before, rest)| Some((before, rest.strip_prefix(word)?)));
        match parts {
            Some((before, after)) => {
                text.push_str(&format!("{before}{style}{word}{style:#}{after}"));
            }
            None => text.push_str(line),
        }
    }
    text
}

pub(super) fn section(text: &mut String, name: &str) {
    text.push_str(&format!("\n\n{BOLD}{name}{BOLD:#}"));
}

/// `delete namespaces payments`, `patch deployments/scale prod/web`, `exec prod/web`.
pub(crate) fn describe_request(request: &ledger::RequestRecord) -> String {
    if request.resource.is_empty() {
        return format!("{} {}", request.verb, request.request_uri);
    }
    let is_pod = request.resource == "pods" && request.api_group.is_empty();
    let in_pod = if is_pod { request.subresource.as_str() } else { "" };
    let mut text = match (in_pod, request.subresource.as_str()) {
        // By a GET or a POST, as its client likes: that says nothing of what it does.
        ("exec" | "attach", _) => in_pod.to_owned(),
        ("portforward", _) => "port-forward".to_owned(),
        (_, "") => format!("{} {}", request.verb, request.resource),
        (_, subresource) => format!("{} {}/{subresource}", request.verb, request.resource),
    };
    let in_itself = request.resource == "namespaces" && request.api_group.is_empty();
    match (request.namespace.as_str(), request.name.as_str()) {
        ("", "") => {}
        ("", name) => text.push_str(&format!(" {name}")),
        (_, name) if in_itself => text.push_str(&format!(" {name}")),
        (namespace, "") => text.push_str(&format!(" in {namespace}")),
        (namespace, name) => text.push_str(&format!(" {namespace}/{name}")),
    }
    text
}

/// ServiceAccounts as `agents/triage`, others as they are.
pub(crate) fn short_user(username: &str) -> Cow<'_, str> {
    match username.strip_prefix("system:serviceaccount:") {
        Some(account) => Cow::Owned(account.replacen(':', "/", 1)),
        None => Cow::Borrowed(username),
    }
}

/// `42s`, `29m`, `3h`, `2d`.
pub(crate) fn age(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(then).as_secs().max(0);
    match seconds {
        0..=119 => format!("{seconds}s"),
        120..=7_199 => format!("{}m", seconds / 60),
        7_200..=172_799 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}
