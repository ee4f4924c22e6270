//! Who is frozen.

use api::body::FreezeBody;

use super::cells::{e, head, table, when};

/// Agents whose writes are refused.
pub(crate) fn freezes(freezes: &[FreezeBody]) -> String {
    if freezes.is_empty() {
        return "Nobody is frozen.".to_owned();
    }
    let mut table = table(&["AGENT", &head("SINCE"), "BY", "REASON"]);
    for freeze in freezes {
        table.add_row([
            e(&freeze.user),
            when(freeze.at),
            e(&freeze.reviewer.username),
            e(&freeze.reason),
        ]);
    }
    table.trim_fmt()
}
