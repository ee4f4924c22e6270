//! Words of a command as one command line.

/// The words as a POSIX shell would have to be given them: what means something to a shell is quoted, so
/// that words cannot be read in two ways.
pub fn command_line<T: AsRef<str>>(words: &[T]) -> String {
    words.iter().map(|it| quoted(it.as_ref())).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let is_plain = |it: char| it.is_ascii_alphanumeric() || "@%+=:,./_-".contains(it);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_words() {
        let table: [(&[&str], &str); 5] = [
            (&["ls", "-l", "/data"], "ls -l /data"),
            (&["sh", "-c", "rm -rf /data; ls"], "sh -c 'rm -rf /data; ls'"),
            (&["echo", "it's", ""], r"echo 'it'\''s' ''"),
            (&["a b", "c"], "'a b' c"),
            (&["x$(y)", "é"], "'x$(y)' 'é'"),
        ];
        for (words, want) in table {
            assert_eq!(command_line(words), want);
        }
    }
}
