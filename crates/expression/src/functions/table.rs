//! Every function by its name.

use std::{collections::BTreeMap, sync::LazyLock};

use super::{
    formats, ip, lists, overload::Function, quantity, regexes, standard, strings, time, url,
    version,
};

type Table = BTreeMap<(&'static str, bool), Vec<&'static Function>>;

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let mut table = Table::new();
    let all: [&'static [Function]; 10] = [
        standard::FUNCTIONS,
        strings::FUNCTIONS,
        lists::FUNCTIONS,
        regexes::FUNCTIONS,
        time::FUNCTIONS,
        quantity::FUNCTIONS,
        ip::FUNCTIONS,
        url::FUNCTIONS,
        version::FUNCTIONS,
        formats::FUNCTIONS,
    ];
    for function in all.into_iter().flatten() {
        table.entry((function.name, function.member)).or_default().push(function);
    }
    table
});

/// The overloads of a name, and the name itself.
pub(crate) fn overloads(
    name: &str,
    member: bool,
) -> Option<(&'static str, Vec<&'static Function>)> {
    TABLE
        .iter()
        .find(|((it, is_member), _)| *it == name && *is_member == member)
        .map(|((name, _), overloads)| (*name, overloads.clone()))
}

pub(crate) fn exists(name: &str, member: bool) -> bool {
    overloads(name, member).is_some()
}

/// Every name, macros too.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    const MACROS: [&str; 11] = [
        "has",
        "all",
        "exists",
        "exists_one",
        "existsOne",
        "map",
        "filter",
        "transformList",
        "transformMap",
        "optMap",
        "optFlatMap",
    ];
    TABLE.keys().map(|(name, _)| *name).chain(MACROS)
}
