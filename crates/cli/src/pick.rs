//! Which hold was meant by what was typed: its id, the beginning of one id, or nothing, with the
//! ids that are near.

use api::body::HoldSummary;

/// Two letters name one of 784: enough to read, or to say no.
pub(crate) const LETTERS_TO_READ: usize = 2;
/// An approval runs something, and between looking and typing another hold may have come: four
/// letters are one of some 600 000.
pub(crate) const LETTERS_TO_APPROVE: usize = 4;

const NEAR_MAX: usize = 5;
const DISTANCE_MAX: usize = 2;

/// Nothing, or more than one hold, was meant.
#[derive(Debug)]
pub(crate) struct Unclear<'a> {
    /// Nearest first.
    pub(crate) near: Vec<&'a HoldSummary>,
    /// More than one id begins so.
    pub(crate) ambiguous: bool,
}

/// The one hold whose id is `typed`, or begins with it where that is long enough.
///
/// # Errors
/// [`Unclear`] with the holds that may have been meant.
pub(crate) fn pick<'a>(
    typed: &str,
    holds: &'a [HoldSummary],
    letters_min: usize,
) -> Result<&'a HoldSummary, Unclear<'a>> {
    let typed = typed.trim().to_ascii_lowercase();
    let begun: Vec<&HoldSummary> = holds.iter().filter(|it| begins(&it.id, &typed)).collect();
    match begun.as_slice() {
        [one] if one.id == typed || typed.len() >= letters_min => Ok(one),
        [_, _, ..] if typed.len() >= LETTERS_TO_READ => {
            let near = begun.into_iter().take(NEAR_MAX).collect();
            Err(Unclear { near, ambiguous: true })
        }
        _ => Err(Unclear { near: near(&typed, holds), ambiguous: false }),
    }
}

/// Whether an id begins as typed; ids are in lower case.
pub(crate) fn begins(id: &str, typed: &str) -> bool {
    id.starts_with(&typed.trim().to_ascii_lowercase())
}

fn near<'a>(typed: &str, holds: &'a [HoldSummary]) -> Vec<&'a HoldSummary> {
    let mut near: Vec<(usize, &HoldSummary)> = holds
        .iter()
        .map(|hold| (distance(&hold.id, typed), hold))
        .filter(|(distance, _)| *distance <= DISTANCE_MAX && *distance < typed.len())
        .collect();
    near.sort_by_key(|(distance, _)| *distance);
    near.into_iter().take(NEAR_MAX).map(|(_, hold)| hold).collect()
}

/// Letters to change, add, leave out or swap, from the id or from as much of it as was typed.
fn distance(id: &str, typed: &str) -> usize {
    let begin: String = id.chars().take(typed.chars().count()).collect();
    strsim::osa_distance(id, typed).min(strsim::osa_distance(&begin, typed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let holds = ["k3mq7xzw", "k3pp2222", "zzzz9999"].map(|id| {
            let mut hold = crate::printers::tests::detail().summary;
            hold.id = id.to_owned();
            hold
        });
        let table = [
            ("k3mq7xzw", 4, "k3mq7xzw"),
            (" K3MQ ", 4, "k3mq7xzw"),
            ("k3m", 2, "k3mq7xzw"),
            ("k3m", 4, "near k3mq7xzw k3pp2222"),
            ("k3", 2, "ambiguous k3mq7xzw k3pp2222"),
            ("k3mq7xwz", 2, "near k3mq7xzw"),
            ("k2mq", 2, "near k3mq7xzw"),
            ("zz99", 2, "near zzzz9999"),
            ("bbbbbbbb", 2, "near"),
            ("z", 2, "near zzzz9999"),
            ("", 2, "near"),
        ];
        for (typed, letters_min, want) in table {
            let got = match pick(typed, &holds, letters_min) {
                Ok(hold) => hold.id.clone(),
                Err(unclear) => {
                    let mut words = vec![if unclear.ambiguous { "ambiguous" } else { "near" }];
                    words.extend(unclear.near.iter().map(|it| it.id.as_str()));
                    words.join(" ")
                }
            };
            assert_eq!(got, want, "{typed}");
        }
    }
}
