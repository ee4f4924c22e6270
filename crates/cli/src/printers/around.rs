//! Two long values, around what differs.

/// Shorter values are shown whole.
const WHOLE_CHARS_MAX: usize = 300;
/// What is alike and stands next to what differs is shown so far.
const NEAR_CHARS: usize = 60;

/// Both sides of a difference; of what long ones begin and end with alike, how long it is.
pub(super) fn around(old: Option<&str>, new: Option<&str>) -> (Option<String>, Option<String>) {
    let (Some(old), Some(new)) = (old, new) else {
        return (old.map(str::to_owned), new.map(str::to_owned));
    };
    let [a, b]: [Vec<char>; 2] = [old, new].map(|it| it.chars().collect());
    let shorter = a.len().min(b.len());
    if a.len().max(b.len()) <= WHOLE_CHARS_MAX {
        return (Some(old.to_owned()), Some(new.to_owned()));
    }
    let before = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let after = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
    let after = after.min(shorter.saturating_sub(before));
    let part = |of: &[char]| -> String {
        let (from, behind) = (before.saturating_sub(NEAR_CHARS), after.saturating_sub(NEAR_CHARS));
        let count = of.len().saturating_sub(from).saturating_sub(behind);
        let alike = |count: usize| match count {
            0 => String::new(),
            count => format!("… {count} characters alike …"),
        };
        let differs: String = of.iter().skip(from).take(count).collect();
        format!("{}{differs}{}", alike(from), alike(behind))
    };
    (Some(part(&a)), Some(part(&b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_what_differs_and_not_what_is_alike() {
        let long = |it: &str| format!("{}{it}{}", "a".repeat(1_400), "b".repeat(500));
        let (old, new) = around(Some(&long("sleep 1")), Some(&long("rm -rf /")));
        let near = |it: &str| {
            format!(
                "… 1340 characters alike …{}{it}{}… 440 characters alike …",
                "a".repeat(60),
                "b".repeat(60)
            )
        };
        assert_eq!((old, new), (Some(near("sleep 1")), Some(near("rm -rf /"))));
        // One that only grows.
        let (text, more) = ("a".repeat(400), "a".repeat(401));
        let (old, new) = around(Some(&text), Some(&more));
        let lengths = [old, new].map(|it| it.unwrap_or_default().matches('a').count());
        // `characters alike` has three of that letter.
        assert_eq!(lengths, [60 + 3, 61 + 3]);
        let alone = around(None, Some(&text));
        assert_eq!(alone, (None, Some(text)));
    }
}
