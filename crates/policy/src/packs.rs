//! The packs that ship in the binary: documents like any other.

use crate::source::Source;

/// What is in force where nobody says otherwise.
pub const DEFAULT: &str = "default";
/// The default pack in shadow mode, but for what guards agent-shield itself.
pub(crate) const OBSERVE: &str = "observe";

/// Every built-in pack, with its documents.
pub const PACKS: [(&str, &[(&str, &str)]); 3] = [
    (DEFAULT, &[("built-in/default.yaml", include_str!("../../../policies/default.yaml"))]),
    (
        "strict",
        &[
            ("built-in/default.yaml", include_str!("../../../policies/default.yaml")),
            ("built-in/strict.yaml", include_str!("../../../policies/strict.yaml")),
        ],
    ),
    (OBSERVE, &[("built-in/default.yaml", include_str!("../../../policies/default.yaml"))]),
];

/// In force beside whatever packs are chosen, also beside none.
const GUARD: (&str, &str) = ("built-in/guard.yaml", include_str!("../../../policies/guard.yaml"));

/// The JSON schema of every document, for editors.
pub const SCHEMA: &str = include_str!("../../../policies/schema.json");

/// The documents of these packs and of the guard, each once.
pub(crate) fn sources(chosen: &[String]) -> Vec<Source> {
    let of_packs = PACKS.iter().filter(|(name, _)| chosen.iter().any(|it| it == name));
    let files = std::iter::once(&GUARD).chain(of_packs.flat_map(|(_, files)| *files));
    let mut sources: Vec<Source> = Vec::new();
    for (name, text) in files {
        let source = Source { name: (*name).to_owned(), text: (*text).to_owned() };
        if !sources.contains(&source) {
            sources.push(source);
        }
    }
    sources
}
