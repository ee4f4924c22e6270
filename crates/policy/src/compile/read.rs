//! The text of a file -> its documents.

use serde::de::DeserializeOwned;
use serde_saphyr::Location;

use super::places::issue_at;
use crate::{
    Issue,
    document::{API_VERSION, Document, Head, KINDS},
    source::Source,
};

/// Largest file, in bytes.
const FILE_BYTES_MAX: usize = 1 << 20;

/// The documents of one file, each read or with what is wrong with it.
///
/// # Errors
/// The file is larger than [`FILE_BYTES_MAX`], and nothing of it was read.
pub(super) fn documents(source: &Source) -> Result<Vec<Result<Document, Issue>>, Issue> {
    if source.text.len() > FILE_BYTES_MAX {
        let message = format!("is larger than {FILE_BYTES_MAX} bytes");
        return Err(Issue::at(&source.name, "", (0, 0), message));
    }
    let says_something = |line: &str| {
        let line = line.trim();
        !line.is_empty() && !line.starts_with('#')
    };
    let parts = split(&source.text).into_iter();
    let parts = parts.filter(|(_, part)| part.lines().any(says_something));
    Ok(parts
        .map(|(before, part)| {
            // Blank lines stand for what came before, so that the parser counts lines of the file.
            document(&format!("{}{part}", "\n".repeat(before)), source)
        })
        .collect())
}

/// The parts of a file between lines of `---`, each with how many lines stand before it. In YAML
/// `---` at the start of a line always ends a document, in a block scalar too.
fn split(text: &str) -> Vec<(usize, String)> {
    let mut parts = vec![(0, String::new())];
    for (number, line) in text.lines().enumerate() {
        if line == "---" || line.starts_with("--- ") {
            parts.push((number + 1, String::new()));
        } else if let Some((_, part)) = parts.last_mut() {
            part.push_str(line);
            part.push('\n');
        }
    }
    parts
}

fn document(text: &str, source: &Source) -> Result<Document, Issue> {
    // Version and kind first: a field that an unknown kind has is not the mistake to tell of.
    let head: Head = parsed(text, source)?;
    let top = text.lines().take_while(|it| it.trim().is_empty()).count() + 1;
    let missing = |what: &str| {
        let message = format!("a document begins with `{what}`");
        Issue::at(&source.name, &source.text, (top, 1), message)
    };
    let version = head.api_version.ok_or_else(|| missing(&format!("apiVersion: {API_VERSION}")))?;
    if version.value != API_VERSION {
        let message = format!("`{}` is not known here", version.value);
        let issue = issue_at(source, version.referenced, message);
        return Err(issue.meant(&version.value, std::iter::once(API_VERSION)));
    }
    let kind = head.kind.ok_or_else(|| missing("kind: Policy"))?;
    match kind.value.as_str() {
        "Policy" => Ok(Document::Policy(Box::new(parsed(text, source)?))),
        "PolicyException" => Ok(Document::Exception(Box::new(parsed(text, source)?))),
        "PolicySettings" => Ok(Document::Settings(Box::new(parsed(text, source)?))),
        other => {
            let message = format!("there is no kind `{other}` here");
            Err(issue_at(source, kind.referenced, message)
                .meant(other, KINDS.into_iter().map(|(kind, _)| kind)))
        }
    }
}

fn parsed<T: DeserializeOwned>(text: &str, source: &Source) -> Result<T, Issue> {
    serde_saphyr::from_str(text).map_err(|error| {
        let place = error.location().unwrap_or(Location::UNKNOWN);
        let message = error.without_snippet().to_string();
        let first = message.lines().next().unwrap_or_default();
        // The place stands before the message already.
        let message = match first.rfind(" at line ") {
            Some(at) => first.get(..at).unwrap_or(first).to_owned(),
            None => first.to_owned(),
        };
        issue_at(source, place, message)
    })
}
