//! Effects in words: for reviewers, agents, logs and the command line alike.
//!
//! These sentences decide nothing and are never stored, so that they can be made better at any
//! time. With the feature `mute` each of them is `x`, and everything else works as before.
//!
//! INVARIANT: what an agent, or whoever answered, may have chosen is [`plain`] in a sentence: an image that
//! is named `nginx; approved by alice` says nothing.

use std::iter::{self, repeat};

use serde_json::Value;
use text::plain;

use crate::{
    EffectKind,
    about::{
        About, Act, ActsBy, Before, ClaimsGo, ClassChange, ClassMark, Command, Connect, Container,
        ContainerChange, Count, Custom, Deleted, Deletion, Environment, FieldChange, FieldsChange,
        FieldsTaken, Hazard, HistoryOf, LeaseChange, LeaseStep, Part, Parts, PodsGone, Power,
        Propagation, ReachedPlace, Record, ReleaseDoubt, Right, Rights, Routine, RunsAs, Steps,
        Taint, UnknownWrite, VolumeOfClaim, Whose,
    },
    custom,
    effect::Effect,
    object::ObjectRef,
    triggers,
    unknown::{Hidden, HiddenRead, Unknown},
    volumes::NO_CLASS,
};

/// Parts that one sentence names.
const PARTS_SHOWN_MAX: usize = 6;

/// What is said of a key that no list knows.
const NOT_INERT: &str = "nobody has said that nothing acts on it";

/// What an effect does to what, in a sentence: `scales deployment prod/web down: replicas 10 -> 4`.
pub fn describe(effect: &Effect) -> String {
    use EffectKind as E;
    let detail = || what_happens(effect);
    say(|| {
        let object = named(&effect.object);
        match effect.kind {
            // These say the object themselves.
            E::Delete
            | E::Evict
            | E::RunCode
            | E::ProxyToNode
            | E::ProxyToApiServer
            | E::GrantAccess
            | E::Unprotect
            | E::Protect
            | E::CreateActive
            | E::CreateInert
            | E::WriteCustom
            | E::WriteActing
            | E::Unknown => detail(),
            E::Cordon | E::Uncordon | E::Pause => format!("{object} {}", detail()),
            E::ScaleDown => match effect.count() {
                Some((_, 0)) => format!("scales {object} to nothing: {}", detail()),
                _ => format!("scales {object} down: {}", detail()),
            },
            E::ScaleUp => format!("scales {object} up: {}", detail()),
            _ => format!("{object}: {}", detail()),
        }
    })
}

/// What an effect does, next to the names of its kind and object: `replicas 10 -> 4`.
pub fn detail(effect: &Effect) -> String {
    say(|| what_happens(effect))
}

/// What an effect says beyond what was asked; nothing where the request says it all. `is_asked`:
/// the request names this object itself.
pub fn beyond(effect: &Effect, is_asked: bool) -> Option<String> {
    let verb = match effect.kind {
        EffectKind::Delete => "deletes",
        EffectKind::Evict => "evicts",
        EffectKind::CreateActive | EffectKind::CreateInert => "creates",
        _ => return Some(detail(effect)),
    };
    let whole = what_happens(effect);
    let more = whole.strip_prefix(&format!("{verb} {}", named(&effect.object)));
    match more {
        Some(more) if is_asked => {
            let more = more.trim_start_matches([',', ';', ' ']);
            (!more.is_empty()).then(|| say(|| more.to_owned()))
        }
        _ => Some(detail(effect)),
    }
}

/// An object: `deployment prod/web`, `namespace payments`, `deployments in prod`.
pub fn object(object: &ObjectRef) -> String {
    say(|| named(object))
}

/// The singular of a plural resource.
pub fn singular(resource: &str) -> String {
    match (resource.strip_suffix("ies"), resource.strip_suffix("sses")) {
        _ if resource == "endpoints" => resource.to_owned(),
        (Some(stem), _) => format!("{stem}y"),
        (_, Some(stem)) => format!("{stem}ss"),
        _ => resource.strip_suffix('s').unwrap_or(resource).to_owned(),
    }
}

/// Why it is not known what a write would do.
pub fn reason(why: &Unknown) -> String {
    say(|| unknown(why))
}

/// A right: `delete secrets in payments`.
pub fn right(right: &Right) -> String {
    say(|| permitted(right))
}

/// `production`, `non-production, protected`, …
pub fn class(mark: ClassMark) -> String {
    say(|| classed(mark))
}

/// The one place that every sentence leaves by.
fn say(sentence: impl FnOnce() -> String) -> String {
    if cfg!(feature = "mute") { "x".to_owned() } else { sentence() }
}

pub(crate) fn named(object: &ObjectRef) -> String {
    let resource = if_any(&object.resource);
    let singular = singular(&resource);
    match (object.namespace.as_str(), object.name.as_str()) {
        ("", "") => resource,
        ("", name) => format!("{singular} {}", plain(name)),
        (namespace, "") => format!("{resource} in {}", plain(namespace)),
        _ => format!("{singular} {}", place(object)),
    }
}

/// `prod/web`, `prod`, `web`.
fn place(object: &ObjectRef) -> String {
    match (object.namespace.as_str(), object.name.as_str()) {
        ("", name) => if_any(name),
        (namespace, "") => plain(namespace),
        (namespace, name) => format!("{}/{}", plain(namespace), plain(name)),
    }
}

/// [`plain`], where there is anything.
fn if_any(text: &str) -> String {
    if text.is_empty() { String::new() } else { plain(text) }
}

/// `Deployment web`, `nfs server`: two words, each [`plain`].
fn pair(text: &str) -> String {
    match text.split_once(' ') {
        Some((kind, name)) => format!("{} {}", plain(kind), plain(name)),
        None => plain(text),
    }
}

/// [`plain`], but for JSON: in that, all that anybody chose is in quotes already.
fn plain_or_json(text: &str) -> String {
    match serde_json::from_str(text) {
        Ok(it @ (Value::Array(_) | Value::Object(_))) => it.to_string(),
        _ => plain(text),
    }
}

/// [`plain`], but for what is ours to say.
fn plain_or(ours: &str, text: &str) -> String {
    if text == ours { text.to_owned() } else { plain(text) }
}

/// An object, or a subresource of it.
fn target(object: &ObjectRef, subresource: &str) -> String {
    match subresource {
        "" => named(object),
        subresource => {
            format!("{}/{} {}", if_any(&object.resource), plain(subresource), place(object))
        }
    }
}

pub(crate) fn what_happens(effect: &Effect) -> String {
    let object = &effect.object;
    match &effect.about {
        About::Nothing => match effect.kind {
            EffectKind::Cordon => "takes no more pods".to_owned(),
            EffectKind::Uncordon => "takes pods again".to_owned(),
            EffectKind::Pause => "rolls out no change until it is resumed".to_owned(),
            kind => format!("{kind} of {}", named(object)),
        },
        About::Count(it) => count(it),
        About::Deletion(it) => deletion(it, object),
        About::Parts(it) => parts(it, effect),
        About::Custom(it) => custom_write(it, object),
        About::Connect(it) => connect(it, object),
        About::Token => format!("mints a token of ServiceAccount {}", place(object)),
        About::Binding => format!("binds pod {} to a node, past the scheduler", place(object)),
        About::RunsAs(it) => runs_as(it),
        About::Class(it) => class_change(*it, object),
        About::PodsGone(it) => pods_gone(it, object),
        About::Lease(it) => lease(it),
        About::Unknown(it) => unknown_write(it, object),
        About::Said(sentence) => sentence.clone(),
    }
}

fn count(count: &Count) -> String {
    let what = count.counted.as_str();
    let (Some(old), Some(new)) = (count.old, count.new) else {
        return format!("{what} -> a count that is not known");
    };
    match &count.before {
        Before::Same => format!("{what} {old} -> {new}"),
        Before::Unknown => format!("{what} {old} -> {new}; what was before is not known"),
        Before::Larger(steps) | Before::Smaller(steps) => {
            format!(
                "{what} {old} -> {new}, {} -> {new} in all: {}",
                steps.baseline,
                added_up(steps)
            )
        }
    }
}

fn added_up(steps: &Steps) -> String {
    let earlier = (steps.earlier > 0).then(|| format!("{} earlier steps", steps.earlier));
    let named = steps.steps.iter();
    let named = named.map(|it| format!("{} -> {} (call {})", it.from, it.to, it.audit_id));
    earlier.into_iter().chain(named).collect::<Vec<_>>().join(", ")
}

fn deletion(deletion: &Deletion, object: &ObjectRef) -> String {
    let which = named(object);
    let mut sentence = match &deletion.what {
        Deleted::Named => format!("deletes {which}"),
        Deleted::Secret(kind) => format!("deletes {which} of type {}", plain(kind)),
        Deleted::BoundVolume(claim) => {
            format!("deletes {which}, bound to a claim in {}", plain(claim))
        }
        Deleted::Workload(replicas) => format!("deletes {which} with {replicas} replicas"),
        Deleted::Matching => match object.namespace.as_str() {
            "" => format!("deletes all {} that match in the cluster", if_any(&object.resource)),
            it => {
                let (what, namespace) = (if_any(&object.resource), plain(it));
                format!("deletes all {what} that match in namespace {namespace}")
            }
        },
        Deleted::Finalized => {
            format!("finalizes namespace {}: what is in it is left behind", plain(&object.name))
        }
        Deleted::ClaimsOf(it) => {
            let (of, when) = (named(&(&it.owner).into()), ClaimsGo::as_str(it.when));
            format!("deletes the claims of the pods that go from {of} ({when}: Delete)")
        }
        Deleted::Custom => format!("deletes {which}{}", of_its_kind(object)),
        Deleted::Evicted => format!("evicts pod {}", place(object)),
        Deleted::Expires(change) => {
            format!("deletes {which}, or what it runs: {} {}", plain(&change.field), was_is(change))
        }
        Deleted::History(HistoryOf { owner, change }) => {
            let (of, field) = (named(&owner.into()), plain(&change.field));
            format!("deletes {which} that are kept of {of}: {field} {}", was_is(change))
        }
        Deleted::Replaced(it) => format!(
            "deletes {which}, which {} (uid {}) replaces; {} others are ready",
            named(&(&it.owner).into()),
            plain(&it.owner.uid),
            it.ready
        ),
    };
    sentence.push_str(propagation(deletion.propagation));
    match deletion.grace_seconds {
        None => {}
        Some(0) => sentence.push_str("; at once, with no time to end"),
        Some(seconds) => sentence.push_str(&format!("; with {seconds} s to end")),
    }
    sentence.push_str(match deletion.routine {
        None => "",
        Some(Routine::OwnObject) => "; this agent made it, and nobody has changed it",
        Some(Routine::ReleaseGone) => "; nothing is left of its release",
    });
    sentence
}

/// Nothing for what kubectl asks for: dependants go after it.
pub(crate) fn propagation(propagation: Option<Propagation>) -> &'static str {
    match propagation {
        None | Some(Propagation::Background) => "",
        Some(Propagation::Foreground) => "; what it owns goes first",
        Some(Propagation::Orphan) => "; what it owns is left behind",
        Some(Propagation::Unknown) => "; what becomes of what it owns is not known",
        Some(Propagation::Unreadable) => "; with options that cannot be read",
    }
}

fn of_its_kind(object: &ObjectRef) -> String {
    match custom::of(&object.api_group, &object.resource) {
        custom::Custom::Acts(act) => format!(", which {}", act_words(act)),
        custom::Custom::Plain => ": what goes with it is not known".to_owned(),
        custom::Custom::OfKubernetes => ": an API that agent-shield does not know".to_owned(),
    }
}

fn act_words(act: Act) -> &'static str {
    match act {
        Act::Shield => "belongs to agent-shield itself",
        Act::Runs => "runs code in the cluster",
        Act::Deploys => "applies, replaces or deletes other objects",
        Act::Scales => "scales or restarts workloads",
        Act::Data => "decides what becomes of a database or volume",
        Act::Backups => "makes, restores or deletes backups",
        Act::Nodes => "drains, replaces or stops nodes",
        Act::Outside => "makes or deletes things outside the cluster",
        Act::Traffic => "changes how traffic is routed or who may talk to whom",
        Act::Secrets => "writes Secrets or certificates",
        Act::Admits => "decides what the API server admits, changes or deletes",
        Act::Harms => "breaks things on purpose",
        Act::Rights => "gives rights",
        Act::Elsewhere => "reaches another namespace or cluster, or an API server",
        Act::Credentials => "takes a credential",
        Act::Restores => "puts back what was there before, or lets another take over",
        Act::Stops => "stops what runs",
        Act::Deletes => "deletes something, or decides what is deleted",
    }
}

fn custom_write(write: &Custom, object: &ObjectRef) -> String {
    let does = match write.verb.as_str() {
        "delete" | "deletecollection" => "deletes",
        "create" => "creates",
        "update" | "patch" => "changes",
        verb => &plain(verb),
    };
    let mut sentence = format!("{does} {}", target(object, &write.subresource));
    if write.acts.iter().all(|it| it.fields.is_empty()) {
        sentence.push_str(&of_its_kind(object));
    }
    let by_fields = write.acts.iter().filter(|it| !it.fields.is_empty());
    for (ActsBy { act, fields, more }, mark) in by_fields.zip(iter::once(": ").chain(repeat("; ")))
    {
        let shown = fields.iter().take(PARTS_SHOWN_MAX).map(|it| plain(it));
        let shown = shown.collect::<Vec<_>>().join(", ");
        let hidden = more.saturating_add(fields.len().saturating_sub(PARTS_SHOWN_MAX));
        let hidden = if hidden > 0 { format!(" and {hidden} more") } else { String::new() };
        sentence.push_str(&format!("{mark}by {shown}{hidden} it {}", act_words(*act)));
    }
    sentence
}

fn connect(connect: &Connect, object: &ObjectRef) -> String {
    match connect {
        Connect::Kubelet => {
            let node = plain(&object.name);
            format!("reaches the kubelet of node {node} through the API server: every pod on it")
        }
        Connect::ApiServer => {
            format!("reaches an API server through {} {}", if_any(&object.resource), place(object))
        }
        Connect::Proxied(it) => {
            let to = target(object, "proxy");
            let (method, path) = (plain(&it.method), plain(&it.path));
            format!("sends {method} {path} to {to} through the API server")
        }
        Connect::Address(it) => {
            let by = target(object, "proxy");
            format!("reaches {} through {by}: {}", plain(&it.address), reached(it.place))
        }
        Connect::PortForward => format!("opens ports of pod {}", place(object)),
        Connect::Command(Command { subresource, words }) => {
            let subresource = plain(subresource);
            format!("{subresource} in pod {} ({words} words of command)", place(object))
        }
        Connect::EphemeralContainer => {
            format!("runs a container of the agent's choice in pod {}", place(object))
        }
    }
}

fn reached(place: ReachedPlace) -> &'static str {
    match place {
        ReachedPlace::Pods => "a pod",
        ReachedPlace::Loopback => "the API server's own host",
        ReachedPlace::LinkLocal => "the link of the API server's host, where cloud metadata is",
        ReachedPlace::Node => "a node",
        ReachedPlace::ApiServer => "an API server, which would not see who asks",
        ReachedPlace::Elsewhere => "in no known network of pods",
    }
}

fn runs_as(runs_as: &RunsAs) -> String {
    let of = named(&(&runs_as.of).into());
    match &runs_as.rights {
        Rights::Untold => format!("{of} runs with its rights"),
        Rights::Unknown => {
            format!("{of} runs with its rights; its rights could not be looked up")
        }
        Rights::May(path) => {
            let mut sentence = format!("{of} runs with its rights, which may ");
            for hop in &path.through {
                let (right, account) = (permitted(&hop.right), plain(&hop.account));
                sentence.push_str(&format!("{right}, and so act as {account}, which may "));
            }
            sentence.push_str(&permitted(&path.right));
            sentence
        }
    }
}

fn permitted(right: &Right) -> String {
    let verb = match right.verb.as_str() {
        "*" => "do anything with".to_owned(),
        verb => plain(verb),
    };
    let place = match right.namespace.as_str() {
        "" => "everywhere".to_owned(),
        namespace => format!("in {}", plain(namespace)),
    };
    let resource = match right.resource.as_str() {
        "" => return format!("{} any URL {place}", plain(&right.verb)),
        "*" => "all resources".to_owned(),
        resource => plain(resource),
    };
    match right.api_group.as_str() {
        "" => format!("{verb} {resource} {place}"),
        "*" => format!("{verb} {resource} of all groups {place}"),
        group => format!("{verb} {resource} of {} {place}", plain(group)),
    }
}

fn class_change(change: ClassChange, object: &ObjectRef) -> String {
    let (name, old, new) = (plain(&object.name), classed(change.old), classed(change.new));
    match change.recreated {
        false => format!("namespace {name}: {old} -> {new}"),
        true => format!("namespace {name} anew, with other labels than it had: {old} -> {new}"),
    }
}

fn classed(mark: ClassMark) -> String {
    let production = if mark.production { "production" } else { "non-production" };
    if mark.protected { format!("{production}, protected") } else { production.to_owned() }
}

fn pods_gone(gone: &PodsGone, owner: &ObjectRef) -> String {
    format!(
        "pod number {} of {} that goes in {} minutes, after the calls {}",
        gone.calls.len() + 1,
        named(owner),
        gone.minutes,
        gone.calls.join(", ")
    )
}

fn lease(change: &LeaseChange) -> String {
    let LeaseChange { old, new, seconds, step } = change;
    let (old, new) = (plain(old), plain(new));
    match step {
        LeaseStep::Taken => format!("{new} takes it, for {seconds} s"),
        LeaseStep::TakenFromHolder => {
            format!("{new} takes it from {old}, who holds it: whoever works by it stops")
        }
        LeaseStep::Released => format!("{old}, who holds it, does no more: its work stops"),
        LeaseStep::GivenBack => format!("{old} gives it back"),
        LeaseStep::TooLong => {
            format!("nobody but {new} can take it for very long ({seconds} s): their work stops")
        }
        LeaseStep::Ended => format!("the time of {new} is set back, so that others take it"),
    }
}

fn unknown_write(write: &UnknownWrite, object: &ObjectRef) -> String {
    let why = unknown(&write.why);
    match &write.why {
        Unknown::NoResource(_) | Unknown::NotThere | Unknown::AnotherObject => why,
        _ => format!("{} {}: {why}", plain(&write.verb), target(object, &write.subresource)),
    }
}

fn unknown(why: &Unknown) -> String {
    let plain = match why {
        Unknown::NoResource(path) => {
            return format!("writes to {}, which is not an API resource", plain(path));
        }
        Unknown::DryRunRefused(said) => return format!("no dry run: {}", plain(said)),
        Unknown::DryRunFailed(code, said) => {
            return format!("the dry run was answered {code}: {}", plain(said));
        }
        Unknown::WouldFail(code) => return format!("the API server would answer {code} now"),
        Unknown::Unanswered(error) => return error.clone(),
        Unknown::Hidden(it) => return hidden(it),
        Unknown::OptionsUnreadable(error) => {
            let error = plain(error);
            return format!("the delete options cannot be read in exactly one way: {error}");
        }
        Unknown::NoSuchVerb => "a verb that this resource does not have",
        Unknown::NoPreview => "this kind of request has no preview",
        Unknown::NoDryRun => "this request has no dry run",
        Unknown::SaidScale => {
            "what is said of the count is read from the request, not from a dry run"
        }
        Unknown::NotTheObject => "the API server's dry run did not answer with the object",
        Unknown::KeepsChanging => "the object kept changing while it was looked at",
        Unknown::TooManyDifferences => "it differs in more than 10,000 places, and is not compared",
        Unknown::NotThere => "scales what is not there",
        Unknown::AnotherObject => "the object is another one meanwhile",
        Unknown::BodyUnreadable => "what is sent cannot be read in exactly one way",
        Unknown::RelativePatch => {
            "a JSON patch that copies or moves within the object can mean something else by the time \
             it is sent"
        }
        Unknown::NotListed => "what matches could not be listed",
        Unknown::UnsafeDelete => {
            "it deletes also what cannot be read, past finalizers and admission"
        }
        Unknown::NamespaceStillThere => "there is such a namespace still",
        Unknown::Upgrade => "opens a connection, and what is said on it is not known",
    };
    plain.to_owned()
}

fn hidden(hidden: &Hidden) -> String {
    let why = match &hidden.read {
        HiddenRead::Refused(code) => {
            format!("the agent cannot see the live object (its read was answered {code})")
        }
        HiddenRead::Unreadable => "the live object could not be read".to_owned(),
        HiddenRead::Unanswered(error) => error.clone(),
    };
    match hidden.is_secret {
        true => format!(
            "{why}, and agent-shield never reads Secrets: the right to `get` it, granted to the agent, shows it"
        ),
        false => format!(
            "{why}, nor can agent-shield: the right to `get` it, granted to either, shows it"
        ),
    }
}

fn parts(parts: &Parts, effect: &Effect) -> String {
    let mut said: Vec<String> = Vec::new();
    for sentence in parts.parts.iter().map(|it| part(it, effect)) {
        // Name and value of one variable are two fields, and one thing.
        if said.last() != Some(&sentence) {
            said.push(sentence);
        }
    }
    let more = said.len().saturating_sub(PARTS_SHOWN_MAX) + parts.more;
    said.truncate(PARTS_SHOWN_MAX);
    let mut sentence = said.join(", ");
    if more > 0 {
        sentence.push_str(&format!(" and {more} more"));
    }
    sentence
}

fn part(part: &Part, effect: &Effect) -> String {
    let object = &effect.object;
    match part {
        Part::Created(prefix) => created(prefix, object),
        Part::AccessCreated(prefix) => {
            format!("{}, which decides what others may do", created(prefix, object))
        }
        Part::AccessChanged(fields) => {
            let (object, fields) = (named(object), listed(fields));
            format!("changes {object}, which decides what others may do: {fields}")
        }
        Part::Field(path) => format!("{} differs", plain(variable(path).unwrap_or(path))),
        Part::Label(key) => marked("label", key, effect),
        Part::Annotation(key) => marked("annotation", key, effect),
        Part::Mark(key) => {
            let acts = triggers::known(&object.resource, key).unwrap_or(NOT_INERT);
            format!("{}: {acts}", plain(key))
        }
        Part::Record(it) => format!("a tool acts on what is in it: {}", record(it)),
        Part::Release(it) => release(it),
        Part::Grants(key) => {
            let (key, of) = (plain(key), named(object));
            format!("{key} on {of}: gives rights to whoever may use it, or takes them")
        }
        Part::AppliedRecord => {
            "kubectl's copy of what was applied, which says the same as the rest".to_owned()
        }
        Part::ForeignAppliedRecord => {
            "kubectl's copy of what was applied says something else than the rest: the next `kubectl apply` \
             removes what only the copy has"
                .to_owned()
        }
        Part::VolumeOfClaim(VolumeOfClaim { namespace, name, fields }) => {
            let (fields, namespace, name) = (listed(fields), plain(namespace), plain(name));
            format!("{fields} on the volume of claim {namespace}/{name}")
        }
        Part::Credential(kind) => format!("writes a Secret of type {}", plain(kind)),
        Part::Owners(it) => format!("owners: {} -> {}", pairs(&it.old), pairs(&it.new)),
        Part::Finalizers(it) => format!("finalizers: {} -> {}", listed(&it.old), listed(&it.new)),
        Part::Taints(it) => format!("taints: {} -> {}", taints(&it.old), taints(&it.new)),
        Part::Environment(it) => environment(it),
        Part::DataAdded(key) => format!("adds {}", plain(key)),
        Part::DataOverwritten(key) => format!("overwrites {}", plain(key)),
        Part::DataRemoved(key) => format!("removes {}", plain(key)),
        Part::Immutable => "can never be changed again".to_owned(),
        Part::Fields(it) => fields_taken(it),
        Part::ClaimsMayGo => "claims of the pods that go may be deleted with them".to_owned(),
        Part::Power(it) => format!("takes {}", power(it)),
        Part::Image(it) => {
            format!("{}: {}", container(&it.container), was_is(&it.change))
        }
        Part::VolumeImage(volume) => format!("image of volume {}", plain(volume)),
        Part::Resources(ContainerChange { container: of, change }) => {
            format!("{} {}: {}", container(of), plain(&change.field), was_is(change))
        }
        Part::PodResources(change) => {
            format!("pod {}: {}", plain(&change.field), was_is(change))
        }
        Part::ContainerAdded(it) => {
            format!("adds {} with image {}", container(&it.container), plain(&it.image))
        }
        Part::ContainerRemoved(it) => format!("removes {}", container(it)),
        Part::Rolls => "rolls its pods, one after another".to_owned(),
        Part::RestartsUnsafely(why) => format!("restarts its pods: {}", hazard(why)),
    }
}

fn environment(environment: &Environment) -> String {
    let Environment { users, more, unknown } = environment;
    match (unknown, more) {
        (true, _) => "who reads what comes could not be seen".to_owned(),
        (false, 0) => format!("read by {}", pairs(users)),
        (false, more) => format!("read by {} and {more} more", pairs(users)),
    }
}

fn record(record: &Record) -> String {
    match record {
        Record::Type(kind) => format!("its type is {}", plain(kind)),
        Record::Name(name) => format!("its name is {}", plain(name)),
        Record::Key(key) => format!("it has the mark {}", plain(key)),
        Record::Owner(owner) => format!("it belongs to {}", pair(owner)),
    }
}

fn release(doubt: &ReleaseDoubt) -> String {
    match doubt {
        ReleaseDoubt::Unreadable => "helm would not write it so".to_owned(),
        ReleaseDoubt::Unseen => "what its release is now could not be seen".to_owned(),
        ReleaseDoubt::NothingDeployed => "no revision of its release is deployed".to_owned(),
        ReleaseDoubt::OutOfTurn => "it is not the next revision of its release".to_owned(),
        ReleaseDoubt::Failed(count) => {
            format!("{count} revisions after the deployed one have come to nothing")
        }
        ReleaseDoubt::Objects(names) => {
            format!("only one of it and the deployed revision names {}", pairs(names))
        }
        ReleaseDoubt::Hooks => "it has other hooks, which are run out of it later".to_owned(),
        ReleaseDoubt::Values(names) => {
            format!("values that its objects do not show: {}", listed(names))
        }
        ReleaseDoubt::Content => "it is changed, and not only how far it is".to_owned(),
        ReleaseDoubt::Others => "this agent did not write it last".to_owned(),
        ReleaseDoubt::Step(it) => {
            format!("its release would be {}, not {}", plain(&it.new), plain(&it.old))
        }
        ReleaseDoubt::NotLive(name) => format!("{} is not as it says", pair(name)),
    }
}

fn fields_taken(taken: &FieldsTaken) -> String {
    let (manager, mut fields) = (plain(&taken.manager), listed(&taken.fields));
    if taken.more > 0 {
        fields.push_str(&format!(" and {} more", taken.more));
    }
    let whose = match taken.whose {
        Whose::Own => "",
        Whose::Others => {
            ", as which others apply: what is not in their files goes with their next apply"
        }
        Whose::Tools => ", a tool: what is not in its files goes with its next apply",
    };
    match taken.change {
        FieldsChange::Created => format!("applies fields as {manager}{whose}"),
        FieldsChange::Grown => format!("applies more as {manager} ({fields}){whose}"),
        FieldsChange::Dropped => format!("applies less as {manager} ({fields}){whose}"),
        FieldsChange::Forced => format!("takes fields of {manager} by force ({fields})"),
        FieldsChange::Edited => format!("edits by hand what {manager} owns ({fields})"),
    }
}

fn created(prefix: &str, object: &ObjectRef) -> String {
    match prefix {
        "" => format!("creates {}", named(object)),
        prefix => format!("creates {} named {}…", named(object), plain(prefix)),
    }
}

/// A label or annotation, and what some controller makes of it where the kind of effect says so.
fn marked(what: &str, key: &str, effect: &Effect) -> String {
    let resource = effect.object.resource.as_str();
    let acts = match (effect.kind, what) {
        (EffectKind::ChangeTrigger, "label") => {
            triggers::known(resource, key).or_else(|| triggers::selected(resource))
        }
        (EffectKind::ChangeTrigger, _) => triggers::known(resource, key),
        _ => None,
    };
    let key = plain(key);
    match (acts, effect.kind) {
        (Some(why), _) => format!("{what} {key}: {why}"),
        (None, EffectKind::ChangeTrigger) => format!("{what} {key}: {NOT_INERT}"),
        (None, _) => format!("{what} {key}"),
    }
}

fn listed(names: &[String]) -> String {
    joined(names, plain)
}

/// As [`listed`], of kinds with names.
fn pairs(names: &[String]) -> String {
    joined(names, pair)
}

fn joined(names: &[String], write: impl Fn(&str) -> String) -> String {
    let written: Vec<String> = names.iter().map(|it| write(it)).collect();
    if written.is_empty() { "none".to_owned() } else { written.join(", ") }
}

/// The path of the environment variable that a field is a part of.
fn variable(path: &str) -> Option<&str> {
    let (before, after) = path.split_once("/env/")?;
    let mut before = before.rsplit('/');
    let is_of_container = before.nth(1).is_some_and(|it| it.ends_with("ontainers"));
    let (name, _) = after.split_once('/')?;
    let length = path.len().checked_sub(after.len())?.checked_add(name.len())?;
    path.get(..length).filter(|_| is_of_container)
}

fn taints(taints: &[Taint]) -> String {
    let taint = |it: &Taint| {
        let drains = if it.effect == "NoExecute" { " (drains the node)" } else { "" };
        format!("{}:{}{drains}", plain(&it.key), plain(&it.effect))
    };
    joined(&taints.iter().map(taint).collect::<Vec<_>>(), str::to_owned)
}

fn container(container: &Container) -> String {
    let kind = match container.list.as_str() {
        "initContainers" => "init container",
        "ephemeralContainers" => "ephemeral container",
        _ => "container",
    };
    format!("{kind} {}", plain(&container.name))
}

fn was_is(change: &FieldChange) -> String {
    let side = |it: &Option<String>| it.as_deref().map_or_else(|| "none".to_owned(), plain_or_json);
    format!("{} -> {}", side(&change.old), side(&change.new))
}

fn hazard(hazard: &Hazard) -> String {
    match hazard {
        Hazard::Annotation(key) => {
            let why =
                triggers::known("pods", key).unwrap_or("is not known to do no more than a restart");
            format!("template annotation {} {why}", plain(key))
        }
        Hazard::DoesNotRoll => "it is not a workload that rolls".to_owned(),
        Hazard::Strategy(kind) => {
            format!("its strategy is {}", kind.as_deref().map_or("unknown".to_owned(), plain))
        }
        Hazard::FewReplicas(pods) => {
            let s = if *pods == 1 { "" } else { "s" };
            format!("it has {pods} replica{s}, so it is down meanwhile")
        }
        Hazard::AllAtOnce => "all of them may be unavailable at once".to_owned(),
    }
}

pub(crate) fn power(power: &Power) -> String {
    match power {
        Power::HostNamespace(field) => format!("{} of its node", plain(field)),
        Power::Token(account) => format!("a token of service account {}", plain(account)),
        Power::HostPath(path) => format!("the path {} of its node", plain(path)),
        Power::Privileged => "its node, as a privileged container".to_owned(),
        Power::Capability(name) => format!("the capability {}", plain_or("named in a text", name)),
        Power::ProcMount => "its node's /proc".to_owned(),
        Power::Unconfined(what) => format!("away its confinement by {}", plain(what)),
        Power::Sysctl(name) => format!("the kernel parameter {}", plain(name)),
        Power::HostPort(port) => format!("port {port} of its node"),
        Power::Node(node) => format!("node {}, past the scheduler", plain(node)),
        Power::NodeLabel(label) => format!("nodes with {}", plain(label)),
        Power::NodeAffinity => "chosen nodes, by affinity".to_owned(),
        Power::PodAffinity(of) => {
            let of = plain_or("chosen namespaces", of);
            format!("a place by where pods of {of} are, or where they then cannot be")
        }
        Power::Priority(class) => format!("priority {}, before other pods", plain(class)),
        Power::Address(address) => format!("traffic to the address {}", plain(address)),
        Power::AnyHostName => "every host name that nobody else has".to_owned(),
        Power::Routing(key) => {
            format!("what is routed elsewhere, or a name, by the annotation {}", plain(key))
        }
        Power::Toleration(taint) => {
            let taint = plain_or("any taint", taint);
            format!("nodes that are kept for others, by tolerating {taint}")
        }
        Power::PolicyOf(policy) => format!("what network policy {} lets pass", plain(policy)),
        Power::HostName(host) => format!("the host name {}", plain(host)),
        Power::ApiServerAddress => "the address of the API server".to_owned(),
        Power::Volume(volume) => format!("the volume {}", plain(volume)),
        Power::Connection(address) => {
            let address = plain(address);
            format!("a connection to {address}, which is in no known network of pods")
        }
        Power::KubeletConnection(host) => {
            format!("connections of its node's kubelet to {}", plain(host))
        }
        Power::PodAddress(field) => {
            format!("the address by which others reach the pod: {}", pair(field))
        }
        Power::VolumesBy(selector) => {
            let selector = match selector.as_str() {
                NO_CLASS => NO_CLASS.to_owned(),
                selector => plain_or_json(selector),
            };
            format!("volumes that are there already, by {selector}")
        }
        Power::VolumeSource(source) => {
            let source = pair(source);
            format!("the volume {source}, which is not the namespace's own")
        }
        Power::DataOf(namespace) => format!("data of namespace {}", plain(namespace)),
        Power::OtherEnd => "whatever the other end may do, which is not known".to_owned(),
    }
}
