//! The effects that a list shows of a hold: a few, whatever an agent's request would do. All of them are
//! in its preview.

use std::collections::{BTreeMap, BTreeSet};

use ledger::EffectRecord;

/// Effects in a summary, and their bytes as JSON.
const EFFECTS_MAX: usize = 20;
const BYTES_MAX: usize = 8 << 10;

/// The effects of a summary, and how many of each kind it leaves out. The first of each kind stands in
/// front: many harmless ones do not push another out.
pub(crate) fn shortened(
    effects: Vec<EffectRecord>,
) -> (Vec<EffectRecord>, BTreeMap<String, usize>) {
    let mut kinds = BTreeSet::new();
    let (firsts, rest): (Vec<_>, Vec<_>) =
        effects.into_iter().partition(|effect| kinds.insert(effect.kind.clone()));
    let (mut shown, mut left_out) = (Vec::new(), BTreeMap::new());
    let mut bytes = 0_usize;
    for effect in firsts.into_iter().chain(rest) {
        let size = serde_json::to_vec(&effect).map_or(BYTES_MAX, |json| json.len());
        if shown.len() < EFFECTS_MAX && bytes.saturating_add(size) <= BYTES_MAX {
            bytes = bytes.saturating_add(size);
            shown.push(effect);
        } else {
            let count: &mut usize = left_out.entry(effect.kind).or_default();
            *count = count.saturating_add(1);
        }
    }
    (shown, left_out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effects(kind: &str, count: usize, name: &str) -> Vec<EffectRecord> {
        let effect = |n| EffectRecord {
            kind: kind.into(),
            name: format!("{name}{n}"),
            ..EffectRecord::default()
        };
        (0..count).map(effect).collect()
    }

    #[test]
    fn shows_a_few_of_many_and_one_of_each_kind() {
        let few = effects("Delete", 3, "pod");
        assert_eq!(shortened(few.clone()), (few, BTreeMap::new()));
        let many = [effects("Delete", 3_000, "pod"), effects("GrantAccess", 1, "role")].concat();
        let (shown, left_out) = shortened(many);
        assert_eq!(shown.len(), EFFECTS_MAX);
        assert_eq!(shown[1].kind, "GrantAccess");
        assert_eq!(left_out, BTreeMap::from([("Delete".to_owned(), 2_981)]));
        let (shown, left_out) = shortened(effects("ChangeImage", 4, &"x".repeat(BYTES_MAX / 3)));
        assert_eq!((shown.len(), left_out["ChangeImage"]), (2, 2));
    }
}
