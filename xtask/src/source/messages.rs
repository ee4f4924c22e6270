//! Every text in a file that a person may get to read: errors, hints, log lines, warnings, and the
//! words that they are put together from.
//!
//! Nobody marks a text as a message, so none can be forgotten: whatever reads as words counts,
//! wherever it stands, and a single word counts where it can only be one. Queries of the store are
//! left out; so are documentation and help, which are read where they are printed.

use proc_macro2::{TokenStream, TokenTree};
use syn::{
    Attribute, ImplItem, Item, Lit, LitStr, Macro, Meta,
    visit::{self, Visit},
};

use super::files::{SourceFile, TestCode};

/// One text, and how it reaches a person as far as the place where it stands tells.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Message {
    /// By what.
    pub(crate) by: Way,
    /// As it is written, with placeholders in braces.
    pub(crate) text: String,
}

/// How a text reaches a person.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Way {
    /// An error's own words.
    Error,
    /// The log of `serve`.
    Log,
    /// Standard error.
    Stderr,
    /// Something else puts it into a message, or prints it.
    Words,
}

impl Way {
    /// The mark in front of a message in the list.
    pub(crate) fn mark(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Log => "log",
            Self::Stderr => "stderr",
            Self::Words => "words",
        }
    }

    fn of_macro(name: &str) -> Option<Self> {
        match name {
            "anyhow" | "bail" | "ensure" => Some(Self::Error),
            "warn" | "error" | "info" => Some(Self::Log),
            "eprintln" | "eprint" => Some(Self::Stderr),
            _ => None,
        }
    }
}

/// The messages of a file, in its order.
pub(crate) fn messages(source: &SourceFile) -> Vec<Message> {
    let is_of_store = source.path.starts_with("crates/store/src/sqlite");
    let mut reader = Reader { by: Way::Words, is_of_store, found: Vec::new() };
    reader.visit_file(&source.syntax);
    reader.found
}

struct Reader {
    by: Way,
    /// Only there may a text be a query: elsewhere all that looks like one is taken for words.
    is_of_store: bool,
    found: Vec<Message>,
}

impl Reader {
    fn within(&mut self, by: Way, read: impl FnOnce(&mut Self)) {
        let outer = std::mem::replace(&mut self.by, by);
        read(self);
        self.by = outer;
    }

    fn take(&mut self, text: &str) {
        let counts = match self.by {
            Way::Words => words(text) > 1 && !(self.is_of_store && is_query(text)),
            _ => words(text) > 0,
        };
        if counts {
            self.found.push(Message { by: self.by, text: text.to_owned() });
        }
    }

    /// Texts in tokens that are not parsed: what stands in macros and attributes.
    fn tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        for (at, token) in tokens.iter().enumerate() {
            match token {
                TokenTree::Group(group) => {
                    let by = called(&tokens[..at]).and_then(|name| Way::of_macro(&name));
                    self.within(by.unwrap_or(self.by), |it| it.tokens(group.stream()));
                }
                TokenTree::Literal(literal) => {
                    if let Lit::Str(text) = Lit::new(literal.clone()) {
                        self.take(&text.value());
                    }
                }
                TokenTree::Ident(_) | TokenTree::Punct(_) => {}
            }
        }
    }
}

/// The macro whose arguments come after these tokens, if one's do.
fn called(before: &[TokenTree]) -> Option<String> {
    match before {
        [.., TokenTree::Ident(name), TokenTree::Punct(mark)] if mark.as_char() == '!' => {
            Some(name.to_string())
        }
        _ => None,
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        if !item.is_test_code() {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let is_test = matches!(item, ImplItem::Fn(function) if function.attrs.is_test_code());
        if !is_test {
            visit::visit_impl_item(self, item);
        }
    }

    /// Only an error's own words: documentation and help stand in attributes too.
    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let Meta::List(list) = &attribute.meta
            && list.path.is_ident("error")
        {
            self.within(Way::Error, |it| it.tokens(list.tokens.clone()));
        }
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        let name = call.path.segments.last().map(|it| it.ident.to_string()).unwrap_or_default();
        self.within(Way::of_macro(&name).unwrap_or(self.by), |it| it.tokens(call.tokens.clone()));
    }

    fn visit_lit_str(&mut self, text: &'ast LitStr) {
        self.take(&text.value());
    }
}

/// Whether it is SQL, or a part of it.
fn is_query(text: &str) -> bool {
    const KEYWORDS: [&str; 14] = [
        "ALTER", "CREATE", "DELETE", "DROP", "IN", "INSERT", "JOIN", "NULL", "PRAGMA", "SELECT",
        "UPDATE", "WHERE", "=", "<",
    ];
    let is_keyword = |word: &str| KEYWORDS.contains(&word);
    text.split(|letter: char| letter.is_whitespace() || ",()".contains(letter)).any(is_keyword)
}

/// How many words stand outside placeholders.
fn words(text: &str) -> usize {
    let mut depth = 0_usize;
    let outside: String = text
        .chars()
        .map(|letter| {
            match letter {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth > 0 { '\u{1}' } else { letter }
        })
        .collect();
    outside.split_whitespace().filter(|it| it.chars().any(char::is_alphabetic)).count()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// The messages of a text, each with its mark.
    fn told(path: &str, text: &str) -> Vec<String> {
        let source = SourceFile {
            path: PathBuf::from(path),
            module: Vec::new(),
            text: text.to_owned(),
            syntax: syn::parse_file(text).expect("a file that parses"),
        };
        let told = messages(&source);
        told.iter().map(|it| format!("{} {}", it.by.mark(), it.text)).collect()
    }

    #[test]
    fn no_way_to_say_something_is_missed() {
        let table = [
            ("error", "enum E { #[error(\"gone\")] A }", "error gone"),
            ("argument of an error", "enum E { #[error(\"{}\", word(\"a\"))] A }", "error a"),
            ("bail", "fn f() { bail!(\"gone\") }", "error gone"),
            ("bail of a crate", "fn f() { anyhow::bail!(\"gone\") }", "error gone"),
            ("log", "fn f() { tracing::warn!(x, \"gone\") }", "log gone"),
            ("stderr", "fn f() { anstream::eprintln!(\"gone {x}\") }", "stderr gone {x}"),
            ("nested", "fn f() { vec![bail!(\"gone\")] }", "error gone"),
            ("words", "fn f() -> &str { \"it is gone\" }", "words it is gone"),
            ("words of a macro", "fn f() { format!(\"it is {}\", x) }", "words it is {}"),
            ("constant", "const A: &str = \"it is gone\";", "words it is gone"),
            ("pattern", "fn f() { match x { \"it is\" => () } }", "words it is"),
            ("query elsewhere", "const A: &str = \"SELECT id\";", "words SELECT id"),
            ("lines", "const A: &str = \"it is \\\n   gone\";", "words it is gone"),
        ];
        for (what, text, want) in table {
            assert_eq!(told("crates/a/src/lib.rs", text), [want], "{what}");
        }
    }

    #[test]
    fn names_and_tests_are_no_messages() {
        let table = [
            ("name", "const A: &str = \"pods\";"),
            ("placeholders", "fn f() { format!(\"{a b} {}\", x) }"),
            ("documentation", "/// It is gone.\nfn f() {}"),
            ("help", "#[command(about = \"it is gone\")] struct A;"),
            ("test", "#[cfg(test)] mod tests { const A: &str = \"it is gone\"; }"),
            ("query", "const A: &str = \"seq IN (?)\";"),
        ];
        for (what, text) in table {
            assert!(told("crates/store/src/sqlite/a.rs", text).is_empty(), "{what}");
        }
    }
}
