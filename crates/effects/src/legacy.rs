//! What a sentence of an earlier version said, as values: entries of the ledger and expressions of
//! policies held sentences before effects were data.
//!
//! Only what decides is read: counts, which object goes and how, who replaces a pod. Everything else
//! stays the sentence that it was ([`About::Said`]), which decides nothing.

use crate::{
    EffectKind,
    about::{
        About, Before, ClaimsGo, ClaimsOf, Count, Counted, Deleted, Deletion, OwnerRef, Part,
        Parts, Propagation, Replaced,
    },
    describe::named,
    object::ObjectRef,
};

/// Reads what an earlier version said of an effect; `count` is what it counted.
pub fn about_of_sentence(
    kind: EffectKind,
    object: &ObjectRef,
    sentence: &str,
    count: Option<(i64, i64)>,
) -> About {
    let read = match kind {
        EffectKind::ScaleDown | EffectKind::ScaleUp => counted(sentence, count),
        EffectKind::Delete | EffectKind::Evict | EffectKind::ReplacePod => {
            deletion(object, sentence).map(About::Deletion)
        }
        EffectKind::Restart => (sentence == "rolls its pods, one after another")
            .then(|| About::Parts(Parts::of(vec![Part::Rolls]))),
        EffectKind::Cordon => (sentence == "takes no more pods").then_some(About::Nothing),
        EffectKind::Uncordon => (sentence == "takes pods again").then_some(About::Nothing),
        _ => None,
    };
    read.unwrap_or_else(|| About::Said(sentence.to_owned()))
}

fn counted(sentence: &str, count: Option<(i64, i64)>) -> Option<About> {
    let (what, rest) = sentence.split_once(' ')?;
    let counted = match what {
        "replicas" => Counted::Replicas,
        "minReplicas" => Counted::MinReplicas,
        "maxReplicas" => Counted::MaxReplicas,
        _ => return None,
    };
    let about = |old, new, before| About::Count(Count { before, ..Count::new(counted, old, new) });
    match count {
        // The size before the first of several steps already.
        Some((old, new)) => Some(about(Some(old), Some(new), Before::Same)),
        None if rest == "-> a count that is not known" => Some(about(None, None, Before::Same)),
        None => {
            let sizes = rest.strip_suffix("; what was before is not known")?;
            let (old, new) = sizes.split_once(" -> ")?;
            Some(about(Some(old.parse().ok()?), Some(new.parse().ok()?), Before::Unknown))
        }
    }
}

fn deletion(object: &ObjectRef, sentence: &str) -> Option<Deletion> {
    let (sentence, propagation, grace_seconds) = options(sentence);
    let what = deleted(object, sentence)?;
    Some(Deletion { propagation: Some(propagation), grace_seconds, ..Deletion::of(what) })
}

/// How it goes, from the end of the sentence.
fn options(sentence: &str) -> (&str, Propagation, Option<i64>) {
    if let Some(rest) = sentence.strip_suffix("; with options that cannot be read") {
        return (rest, Propagation::Unreadable, None);
    }
    let (sentence, grace) = match sentence.strip_suffix("; at once, with no time to end") {
        Some(rest) => (rest, Some(0)),
        None => sentence
            .strip_suffix(" s to end")
            .and_then(|it| it.rsplit_once("; with "))
            .and_then(|(rest, seconds)| Some((rest, Some(seconds.parse().ok()?))))
            .unwrap_or((sentence, None)),
    };
    let said = [
        ("; what it owns goes first", Propagation::Foreground),
        ("; what it owns is left behind", Propagation::Orphan),
        ("; what becomes of what it owns is not known", Propagation::Unknown),
    ];
    let found = said.into_iter().find_map(|(end, it)| Some((sentence.strip_suffix(end)?, it)));
    let (sentence, propagation) = found.unwrap_or((sentence, Propagation::Background));
    (sentence, propagation, grace)
}

fn deleted(object: &ObjectRef, sentence: &str) -> Option<Deleted> {
    if let Some(rest) = sentence.strip_prefix("deletes the claims of the pods that go from ") {
        return claims(object, rest);
    }
    let rest = match sentence.strip_prefix("evicts pod ") {
        Some(_) => return Some(Deleted::Evicted),
        None => sentence.strip_prefix("deletes ")?,
    };
    let more = rest.strip_prefix(&named(object))?;
    // The type of a Secret is an agent's own word, and must not pass for options of the delete.
    let is_word = |it: &&str| !it.is_empty() && !it.contains([' ', ';']);
    if more.is_empty() {
        return Some(Deleted::Named);
    }
    if let Some(kind) = more.strip_prefix(" of type ").filter(is_word) {
        return Some(Deleted::Secret(kind.to_owned()));
    }
    if let Some(claim) = more.strip_prefix(", bound to a claim in ").filter(is_word) {
        return Some(Deleted::BoundVolume(claim.to_owned()));
    }
    if let Some(count) = more.strip_prefix(" with ").and_then(|it| it.strip_suffix(" replicas")) {
        return count.parse().ok().map(Deleted::Workload);
    }
    replaced(object, more).map(Deleted::Replaced)
}

/// Of `, which replicaset shop/web (uid U) replaces; 3 others are ready`.
fn replaced(pod: &ObjectRef, more: &str) -> Option<Replaced> {
    let place = format!(", which replicaset {}/", pod.namespace);
    let (name, rest) = more.strip_prefix(&place)?.split_once(" (uid ")?;
    let (uid, rest) = rest.split_once(") replaces; ")?;
    let ready = rest.strip_suffix(" others are ready")?.parse().ok()?;
    let owner = OwnerRef {
        api_group: "apps".to_owned(),
        resource: "replicasets".to_owned(),
        namespace: pod.namespace.clone(),
        name: name.to_owned(),
        uid: uid.to_owned(),
    };
    Some(Replaced { owner, ready })
}

/// Of `statefulset shop/db (whenScaled: Delete)`.
fn claims(claims: &ObjectRef, rest: &str) -> Option<Deleted> {
    let place = format!("statefulset {}/", claims.namespace);
    let (name, when) = rest.strip_prefix(&place)?.split_once(" (")?;
    let when = match when {
        "whenScaled: Delete)" => ClaimsGo::WhenScaled,
        "whenDeleted: Delete)" => ClaimsGo::WhenDeleted,
        _ => return None,
    };
    let owner = OwnerRef {
        api_group: "apps".to_owned(),
        resource: "statefulsets".to_owned(),
        namespace: claims.namespace.clone(),
        name: name.to_owned(),
        uid: String::new(),
    };
    Some(Deleted::ClaimsOf(ClaimsOf { owner, when }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(resource: &str, name: &str) -> ObjectRef {
        ObjectRef {
            resource: resource.into(),
            namespace: "shop".into(),
            name: name.into(),
            ..ObjectRef::default()
        }
    }

    fn read(kind: EffectKind, object: &ObjectRef, sentence: &str) -> About {
        about_of_sentence(kind, object, sentence, None)
    }

    #[test]
    fn reads_what_a_delete_decided_by() {
        let secret = object("secrets", "s");
        let deletion = |what, propagation, grace_seconds| {
            About::Deletion(Deletion {
                propagation: Some(propagation),
                grace_seconds,
                ..Deletion::of(what)
            })
        };
        let helm = Deleted::Secret("helm.sh/release.v1".into());
        let table = [
            (
                "deletes secret shop/s of type helm.sh/release.v1",
                helm,
                Propagation::Background,
                None,
            ),
            (
                "deletes secret shop/s; what it owns is left behind; with 1 s to end",
                Deleted::Named,
                Propagation::Orphan,
                Some(1),
            ),
            (
                "deletes secret shop/s; at once, with no time to end",
                Deleted::Named,
                Propagation::Background,
                Some(0),
            ),
        ];
        for (sentence, what, propagation, grace) in table {
            let want = deletion(what, propagation, grace);
            assert_eq!(read(EffectKind::Delete, &secret, sentence), want, "{sentence}");
        }
        // Of another object, or with words that no version has written.
        for sentence in [
            "deletes secret shop/other of type Opaque",
            "deletes secret shop/s of type a b",
            "deletes secret shop/s, and more",
        ] {
            let said = About::Said(sentence.to_owned());
            assert_eq!(read(EffectKind::Delete, &secret, sentence), said);
        }
    }

    #[test]
    fn reads_who_replaces_a_pod_and_what_is_counted() {
        let pod = object("pods", "web-1");
        let sentence = "deletes pod shop/web-1, which replicaset shop/web (uid u-1) replaces; 3 others are ready";
        let About::Deletion(Deletion { what: Deleted::Replaced(it), .. }) =
            read(EffectKind::ReplacePod, &pod, sentence)
        else {
            unreachable!("{sentence}");
        };
        assert_eq!((it.owner.name.as_str(), it.owner.uid.as_str(), it.ready), ("web", "u-1", 3));

        let web = object("deployments", "web");
        let sizes =
            |sentence, count| match about_of_sentence(EffectKind::ScaleDown, &web, sentence, count)
            {
                About::Count(it) => Some((it.counted, it.sizes())),
                _ => None,
            };
        let long = "minReplicas 8 -> 6, 10 -> 6 in all: 10 -> 8 (call a)";
        assert_eq!(sizes(long, Some((10, 6))), Some((Counted::MinReplicas, Some((10, 6)))));
        let unknown = "replicas 8 -> 6; what was before is not known";
        assert_eq!(sizes(unknown, None), Some((Counted::Replicas, None)));
        assert_eq!(sizes("pod number 5 of replicaset shop/web", None), None);
    }
}
