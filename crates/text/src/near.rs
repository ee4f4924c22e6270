//! What a word was probably meant to be.

/// So many are named.
const NAMED_MAX: usize = 3;

/// The words of `known` that are nearest to what was typed, by the number of letters that differ; where none is
/// near, those that it begins.
pub fn near<'k>(typed: &str, known: impl IntoIterator<Item = &'k str>) -> Vec<&'k str> {
    let typed = typed.to_lowercase();
    let far = typed.chars().count() / 3 + 1;
    let distance = |name: &str| {
        let by = strsim::damerau_levenshtein(&typed, &name.to_lowercase());
        let begins = typed.len() > 1 && name.starts_with(&typed);
        (by <= far).then_some(by).or(begins.then_some(usize::MAX))
    };
    let mut found: Vec<(usize, &str)> =
        known.into_iter().filter_map(|name| Some((distance(name)?, name))).collect();
    found.sort_unstable();
    found.dedup();
    let best = found.first().map(|(by, _)| *by);
    let nearest = found.into_iter().filter(|(by, _)| Some(*by) == best);
    nearest.take(NAMED_MAX).map(|(_, name)| name).collect()
}

/// `: did you mean `a` or `b`?` of what is near, and nothing where that is nothing.
pub fn did_you_mean(near: &[&str]) -> String {
    match near {
        [] => String::new(),
        near => {
            let near: Vec<String> = near.iter().map(|it| format!("`{it}`")).collect();
            format!(": did you mean {}?", near.join(" or "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let verbs = ["get", "list", "watch", "create", "delete", "deletecollection", "patch"];
        let table = [
            ("delet", "delete"),
            ("dele", "delete"),
            ("DELETED", "delete"),
            ("ptach", "patch"),
            ("destroy", ""),
            ("", ""),
        ];
        for (typed, want) in table {
            assert_eq!(near(typed, verbs).join(" "), want, "{typed}");
        }
        assert_eq!(did_you_mean(&["a", "b"]), ": did you mean `a` or `b`?");
        assert_eq!(did_you_mean(&[]), "");
    }
}
