//! The named formats of Kubernetes: names, labels, dates.

use std::sync::LazyLock;

use jiff::civil::Date;
use regex::Regex;

use super::url::Url;

/// A format.
#[derive(Debug)]
pub struct Format {
    pub(crate) name: &'static str,
    longest: usize,
    pattern: &'static str,
}

macro_rules! formats {
    ($($name:ident $longest:literal $pattern:literal),* $(,)?) => {
        static ALL: &[Format] = &[
            $(Format { name: stringify!($name), longest: $longest, pattern: $pattern }),*
        ];
    };
}

// Of `k8s.io/apimachinery/pkg/util/validation`, with the bounds of `k8s.io/apiserver/pkg/cel`.
formats! {
    dns1123Label 63 r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
    dns1123Subdomain 253 r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
    dns1035Label 63 r"^[a-z]([-a-z0-9]*[a-z0-9])?$",
    qualifiedName 317 r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]$",
    dns1123LabelPrefix 63 r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
    dns1123SubdomainPrefix 253 r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
    dns1035LabelPrefix 63 r"^[a-z]([-a-z0-9]*[a-z0-9])?$",
    labelValue 63 r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$",
    uri 1048576 "",
    uuid 36 r"^[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}$",
    byte 1048576 r"^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",
    date 10 r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$",
    datetime 64 r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])[Tt]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$",
}

static PATTERNS: LazyLock<Vec<Option<Regex>>> =
    LazyLock::new(|| ALL.iter().map(|it| Regex::new(it.pattern).ok()).collect());

impl Format {
    /// The format of a name.
    pub(crate) fn find(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|it| it.name == name)
    }

    /// What is wrong with a text, if anything is.
    pub(crate) fn wrong(&self, text: &str) -> Option<String> {
        if text.len() > self.longest {
            return Some(format!("must be no more than {} bytes", self.longest));
        }
        let index = ALL.iter().position(|it| it.name == self.name)?;
        let matches =
            |it: &str| PATTERNS.get(index).and_then(Option::as_ref).is_some_and(|p| p.is_match(it));
        let fits = match self.name {
            "uri" => Url::parse(text).is_some(),
            // The pattern takes the 31st of any month.
            "date" | "datetime" => {
                let day = text.get(..10).and_then(|it| it.parse::<Date>().ok());
                day.is_some() && matches(text)
            }
            name if name.ends_with("Prefix") => matches(&without_trailing_dash(text)),
            _ => matches(text),
        };
        (!fits).then(|| format!("is not a {}", self.name))
    }
}

/// As `maskTrailingDash` of `k8s.io/apimachinery`: the letter before a last dash is not looked at.
fn without_trailing_dash(text: &str) -> String {
    let kept = text.strip_suffix('-').and_then(|it| {
        let mut letters = it.chars();
        letters.next_back().map(|_| letters.as_str())
    });
    kept.map_or_else(|| text.to_owned(), |it| format!("{it}a"))
}
