//! How each namespace was classed when it was last seen.

use std::collections::{BTreeMap, VecDeque};

use effects::NamespaceClass;

/// Names that are remembered: beyond them, those that were seen first are forgotten.
const NAMES_MAX: usize = 20_000;

#[derive(Debug, Default)]
pub(crate) struct Namespaces {
    classes: BTreeMap<String, NamespaceClass>,
    /// In the order in which they were first seen.
    order: VecDeque<String>,
}

impl Namespaces {
    pub(crate) fn saw(&mut self, name: &str, class: NamespaceClass) {
        if self.classes.insert(name.to_owned(), class).is_some() {
            return;
        }
        self.order.push_back(name.to_owned());
        if self.order.len() > NAMES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.classes.remove(&oldest);
        }
    }

    pub(crate) fn last(&self, name: &str) -> Option<NamespaceClass> {
        self.classes.get(name).cloned()
    }
}
