//! How agent-shield stands.

use api::body::{ExpiryBody, PolicyBody, StatusBody};
use jiff::Timestamp;
use text::Escaped;

use super::cells::{BOLD, GREEN, RED, age, e, when};

/// So many files, issues and names.
const NAMED_MAX: usize = 5;

/// A line for each question, then what needs somebody.
pub(crate) fn status(of: &StatusBody, url: &str) -> String {
    let colour = if of.mode == "enforcing" { GREEN } else { RED };
    let mut lines = vec![
        format!(
            "{BOLD}agent-shield {}{BOLD:#} at {} runs since {} ({})",
            e(&of.version),
            e(url),
            when(of.started_at),
            age(of.started_at, of.now)
        ),
        format!("{colour}{}{colour:#}: {}", e(&of.mode), rules(&of.policy)),
    ];
    lines.extend(from(&of.policy));
    lines.push(format!("shadow verdicts in 24 hours: {}", shadow(&of.policy)));
    lines.push(format!("own rights: {}", rights(of)));
    lines.push(format!("certificate: {}", expiry(of.certificate.as_ref(), of.now)));
    lines.push(format!("own credential: {}", expiry(of.credential.as_ref(), of.now)));
    lines.push(format!("holds: {}", holds(of)));
    let frozen = if of.frozen.is_empty() { "nobody".to_owned() } else { some(&of.frozen) };
    lines.push(format!("frozen: {frozen}"));
    if of.attention.is_empty() {
        lines.push(format!("{GREEN}nothing needs attention{GREEN:#}"));
    } else {
        lines.push(format!("{RED}needs attention:{RED:#}"));
        lines.extend(of.attention.iter().map(|it| format!("  {}", e(it))));
    }
    lines.join("\n")
}

fn rules(of: &PolicyBody) -> String {
    let since = of.since.map(|it| format!(", in force since {}", when(it))).unwrap_or_default();
    let shadow = match of.shadow_rules {
        0 => String::new(),
        count => format!(", {count} of them in shadow mode"),
    };
    let disabled = match of.disabled.len() {
        0 => String::new(),
        count => format!(", {count} disabled"),
    };
    format!("{} rules{shadow}{disabled}{since} ({})", of.rules, e(&of.digest))
}

/// Where the rules are from, and which are not in force.
fn from(of: &PolicyBody) -> Vec<String> {
    let mut lines = Vec::new();
    if !of.files.is_empty() {
        lines.push(format!("  from {}", some(&of.files)));
    }
    if let Some(refused) = &of.refused {
        lines.push(format!("  {RED}refused at {}, and so not in force:{RED:#}", when(refused.at)));
        let issues = refused.issues.iter().take(NAMED_MAX);
        // An issue has an excerpt under its first line.
        let issues = issues.map(|it| Escaped::lines(it).to_string());
        lines.extend(
            issues.flat_map(|it| it.lines().map(|it| format!("    {it}")).collect::<Vec<_>>()),
        );
    }
    lines
}

fn shadow(of: &PolicyBody) -> String {
    let more = if of.more_shadow_verdicts { " and more" } else { "" };
    format!("{}{more}", of.shadow_verdicts)
}

fn rights(of: &StatusBody) -> String {
    match &of.rights {
        None => format!("{RED}not known{RED:#}"),
        Some(rights) => match (rights.missing.len(), rights.excess.len()) {
            (0, 0) => "all that it needs".to_owned(),
            (0, more) => format!("{RED}{more} too many{RED:#}"),
            (missing, 0) => format!("{RED}{missing} missing{RED:#}"),
            (missing, more) => format!("{RED}{missing} missing, {more} too many{RED:#}"),
        },
    }
}

fn expiry(of: Option<&ExpiryBody>, now: Timestamp) -> String {
    match of {
        None => "when it ends is not known here".to_owned(),
        Some(it) if it.at <= now => format!("{RED}{} ended {}{RED:#}", e(&it.of), when(it.at)),
        Some(it) => format!("{} until {} (for {})", e(&it.of), when(it.at), age(now, it.at)),
    }
}

fn holds(of: &StatusBody) -> String {
    let next = of.holds.next_deadline;
    let next = next.map(|it| format!(", the next is denied in {}", age(of.now, it)));
    match of.holds.open {
        0 => "none open".to_owned(),
        open => format!(
            "{open} open: {} for people to decide, {} approved and not run yet{}",
            of.holds.pending,
            open.saturating_sub(of.holds.pending),
            next.unwrap_or_default()
        ),
    }
}

/// A few of many.
fn some(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(NAMED_MAX).map(|it| e(it)).collect();
    match names.len().saturating_sub(NAMED_MAX) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
