//! What is known of an effect beyond its kind and its object, as values.
//!
//! The JSON of these types is part of the ledger's format and of the review API: a field or a
//! variant may come, but none changes its name (the tests below hold examples).

use serde::{Deserialize, Serialize};

use crate::{Unknown, object::ObjectRef};

/// What is known of an effect.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum About {
    /// Kind and object say everything.
    #[default]
    Nothing,
    /// A size changes.
    Count(Count),
    /// An object goes.
    Deletion(Deletion),
    /// Parts of one object change, or come with it.
    Parts(Parts),
    /// A write to an API that Kubernetes itself does not serve.
    Custom(Custom),
    /// Code runs, or something in the cluster is reached, through the API server.
    Connect(Connect),
    /// A token of a ServiceAccount is minted.
    Token,
    /// A pod is bound to a node, past the scheduler.
    Binding,
    /// Code runs with the rights of the effect's service account.
    RunsAs(RunsAs),
    /// The class of a namespace changes.
    Class(ClassChange),
    /// One more pod of the effect's ReplicaSet goes, after too many others.
    PodsGone(PodsGone),
    /// A lock gets another holder, or another time.
    Lease(LeaseChange),
    /// Why nobody can say what would happen.
    Unknown(UnknownWrite),
    /// A sentence of an earlier version of agent-shield, which no longer decides anything.
    Said(String),
}

/// A size before and after.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Count {
    /// Of what.
    pub counted: Counted,
    /// The size now; missing where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<i64>,
    /// The size after; missing where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<i64>,
    /// What was before.
    #[serde(default, skip_serializing_if = "Before::is_same")]
    pub before: Before,
    /// The agent takes back its own last step: the object becomes what that step found.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undoes: bool,
}

impl Count {
    /// A size before and after, as far as either is known.
    pub fn new(counted: Counted, old: Option<i64>, new: Option<i64>) -> Self {
        Self { counted, old, new, before: Before::Same, undoes: false }
    }

    /// Before and after, where both are known: from where the steps that add up began.
    pub fn sizes(&self) -> Option<(i64, i64)> {
        let (old, new) = (self.old?, self.new?);
        match &self.before {
            Before::Same => Some((old, new)),
            Before::Larger(steps) | Before::Smaller(steps) => Some((steps.baseline, new)),
            Before::Unknown => None,
        }
    }
}

/// What a size counts.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Counted {
    /// The pods of a workload.
    Replicas,
    /// The fewest pods that an autoscaler keeps.
    MinReplicas,
    /// The most pods that an autoscaler makes.
    MaxReplicas,
}

impl Counted {
    /// As the field of the object is called.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Replicas => "replicas",
            Self::MinReplicas => "minReplicas",
            Self::MaxReplicas => "maxReplicas",
        }
    }
}

/// What a size was before, by the ledger.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Before {
    /// Nothing larger than now.
    #[default]
    Same,
    /// Larger: this cut is one of several.
    Larger(Steps),
    /// Smaller: this growth is one of several.
    Smaller(Steps),
    /// The ledger could not be read.
    Unknown,
}

impl Before {
    fn is_same(&self) -> bool {
        *self == Self::Same
    }
}

/// Earlier steps that add up with this one.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Steps {
    /// The size before the first of them.
    pub baseline: i64,
    /// The last of them, oldest first.
    pub steps: Vec<Step>,
    /// How many came before those.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub earlier: usize,
}

/// One earlier change of a size.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// The call that made it.
    #[serde(rename = "auditID")]
    pub audit_id: String,
    /// The size before.
    pub from: i64,
    /// The size after.
    pub to: i64,
}

/// An object that goes, and how.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Deletion {
    /// Which.
    pub what: Deleted,
    /// What becomes of its dependants; missing where nobody has looked at the options yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub propagation: Option<Propagation>,
    /// The time to end that the request asks for, in seconds; missing where it asks for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_seconds: Option<i64>,
    /// Why nobody loses anything by it; missing where somebody may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routine: Option<Routine>,
}

impl Deletion {
    /// Of which nobody has looked at the options yet.
    pub fn of(what: Deleted) -> Self {
        Self { what, propagation: None, grace_seconds: None, routine: None }
    }
}

/// Why nobody loses anything by a delete.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Routine {
    /// The agent itself made the object, and it is as the agent left it.
    OwnObject,
    /// A record of helm, of a release of which nothing is left.
    ReleaseGone,
}

/// Which object goes.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Deleted {
    /// The object that the request names.
    Named,
    /// A Secret of this type.
    Secret(String),
    /// A volume that is bound to a claim in this namespace.
    BoundVolume(String),
    /// A workload with so many replicas.
    Workload(i64),
    /// Everything that matches, in the object's namespace.
    Matching,
    /// A namespace, whose contents are left behind.
    Finalized,
    /// The claims of the pods that go from a StatefulSet.
    ClaimsOf(ClaimsOf),
    /// An object of an API that Kubernetes itself does not serve.
    Custom,
    /// A pod, by an eviction.
    Evicted,
    /// A pod that its ReplicaSet replaces.
    Replaced(Replaced),
    /// The object itself, by a field that lets it live no longer.
    Expires(FieldChange),
    /// What is kept of earlier revisions or runs, by a field that keeps none.
    History(HistoryOf),
}

/// Whose history goes, and by which field.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryOf {
    /// The workload.
    pub owner: OwnerRef,
    /// The field.
    pub change: FieldChange,
}

/// Whose claims go, and by which field.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClaimsOf {
    /// The StatefulSet.
    pub owner: OwnerRef,
    /// When it takes its claims with it.
    pub when: ClaimsGo,
}

/// When a StatefulSet takes its claims with it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ClaimsGo {
    /// When it gets fewer replicas.
    WhenScaled,
    /// When it is deleted.
    WhenDeleted,
}

impl ClaimsGo {
    /// As the field of `persistentVolumeClaimRetentionPolicy` is called.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WhenScaled => "whenScaled",
            Self::WhenDeleted => "whenDeleted",
        }
    }
}

/// Who replaces a pod.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Replaced {
    /// The ReplicaSet.
    pub owner: OwnerRef,
    /// How many of its other pods are ready.
    pub ready: usize,
}

/// Another object than the effect's own.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnerRef {
    /// Empty for the core group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub api_group: String,
    /// Plural resource.
    pub resource: String,
    /// Empty for cluster-scoped objects.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Empty where it is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
}

impl From<&ObjectRef> for OwnerRef {
    fn from(object: &ObjectRef) -> Self {
        let ObjectRef { api_group, resource, namespace, name, uid } = object.clone();
        Self { api_group, resource, namespace, name, uid }
    }
}

impl From<&OwnerRef> for ObjectRef {
    fn from(owner: &OwnerRef) -> Self {
        let OwnerRef { api_group, resource, namespace, name, uid } = owner.clone();
        Self { api_group, resource, namespace, name, uid }
    }
}

/// What becomes of what a deleted object owns.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Propagation {
    /// It goes afterwards.
    Background,
    /// It goes first.
    Foreground,
    /// It is left behind.
    Orphan,
    /// The request asks for something that Kubernetes does not know.
    Unknown,
    /// The options cannot be read in exactly one way.
    Unreadable,
}

impl Propagation {
    /// As `propagationPolicy` has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Background => "Background",
            Self::Foreground => "Foreground",
            Self::Orphan => "Orphan",
            Self::Unknown => "Unknown",
            Self::Unreadable => "Unreadable",
        }
    }
}

/// What changes of an object: different parts of one kind, in the order in which they were found.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Parts {
    /// The first of them.
    pub parts: Vec<Part>,
    /// How many more there are.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: usize,
    /// The agent takes back its own last step: the object becomes what that step found.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undoes: bool,
}

/// Parts that one effect names.
const PARTS_MAX: usize = 32;

impl Parts {
    /// These, and no more.
    pub fn of(parts: Vec<Part>) -> Self {
        Self { parts, ..Self::default() }
    }

    /// The first of them, and how many more: an agent decides how many there are, and each is stored.
    pub(crate) fn bounded(mut parts: Vec<Part>) -> Self {
        let more = parts.len().saturating_sub(PARTS_MAX);
        parts.truncate(PARTS_MAX);
        Self { parts, more, undoes: false }
    }
}

/// One part of an object that comes, goes or differs.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Part {
    /// The object is new; its name begins with this where the server makes it up.
    Created(String),
    /// The object is new and decides what others may do; as [`Part::Created`].
    AccessCreated(String),
    /// The object decides what others may do, and differs in these fields (the first of them).
    AccessChanged(Vec<String>),
    /// A field differs: its path.
    Field(String),
    /// A label: its key.
    Label(String),
    /// An annotation: its key.
    Annotation(String),
    /// A label or annotation that makes a new object act: its key.
    Mark(String),
    /// The object is a tool's record, which the tool acts on: by what it shows.
    Record(Record),
    /// A record of helm is more than its bookkeeping: why.
    Release(ReleaseDoubt),
    /// A label or annotation that gives rights to whoever may use the object: its key.
    Grants(String),
    /// The record of `kubectl apply` says what changes in the object itself.
    AppliedRecord,
    /// The record of `kubectl apply` says something else, which the next apply acts on.
    ForeignAppliedRecord,
    /// A volume that a claim is bound to.
    VolumeOfClaim(VolumeOfClaim),
    /// A Secret that is a credential of the cluster: its type.
    Credential(String),
    /// `metadata.ownerReferences`, as `Kind name`.
    Owners(OldNew<Vec<String>>),
    /// `metadata.finalizers`.
    Finalizers(OldNew<Vec<String>>),
    /// The taints of a node.
    Taints(OldNew<Vec<Taint>>),
    /// A key of a Secret or ConfigMap that was not there before.
    DataAdded(String),
    /// What comes to a Secret or ConfigMap is read by whoever takes it whole.
    Environment(Environment),
    /// A key of a Secret or ConfigMap with another value.
    DataOverwritten(String),
    /// A key of a Secret or ConfigMap that goes.
    DataRemoved(String),
    /// A Secret or ConfigMap can never be changed again, or could not before.
    Immutable,
    /// Fields have another owner.
    Fields(FieldsTaken),
    /// Claims of the pods that go may be deleted with them.
    ClaimsMayGo,
    /// Something is taken from outside the namespace.
    Power(Power),
    /// The image of a container.
    Image(ContainerChange),
    /// The image of a volume: the volume's name.
    VolumeImage(String),
    /// Requests or limits of a container.
    Resources(ContainerChange),
    /// Requests or limits of the pod as a whole.
    PodResources(FieldChange),
    /// A new container.
    ContainerAdded(ContainerAdded),
    /// A container that goes.
    ContainerRemoved(Container),
    /// Its pods are replaced one after another.
    Rolls,
    /// Its pods are replaced, and not safely so.
    RestartsUnsafely(Hazard),
}

/// Something before and after.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OldNew<T> {
    /// Before.
    pub old: T,
    /// After.
    pub new: T,
}

/// What becomes of a Lease.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LeaseChange {
    /// Who holds it; empty where nobody does.
    pub old: String,
    /// Who would.
    pub new: String,
    /// For how long, after each renewal.
    pub seconds: i64,
    /// How.
    pub step: LeaseStep,
}

/// How a Lease gets another holder or time.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum LeaseStep {
    /// It was nobody's, or its time had run out.
    Taken,
    /// It is another's, and its time has not run out.
    TakenFromHolder,
    /// Another's is given up.
    Released,
    /// Whoever took it gives it back.
    GivenBack,
    /// Nobody else could take it for very long.
    TooLong,
    /// Its time is set back.
    Ended,
}

impl LeaseStep {
    /// Whether no holder loses anything by it.
    pub fn is_due(self) -> bool {
        matches!(self, Self::Taken | Self::GivenBack)
    }
}

/// Who reads the keys that come to a Secret or ConfigMap.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Environment {
    /// The first of them, as `deployment web`.
    pub users: Vec<String>,
    /// How many more there are.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: usize,
    /// Not all of them could be seen.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unknown: bool,
}

/// By what an object shows that it is a tool's record.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Record {
    /// The type of the Secret.
    Type(String),
    /// Its name.
    Name(String),
    /// A label or annotation: its key.
    Key(String),
    /// The custom resource that controls it, as `Kind name`.
    Owner(String),
}

/// Why a record of helm is more than bookkeeping of what is decided elsewhere.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ReleaseDoubt {
    /// It has what helm does not write, or can be read in two ways.
    Unreadable,
    /// Something else that tells could not be seen.
    Unseen,
    /// No revision of its release is deployed.
    NothingDeployed,
    /// It does not follow the last revision, or that one is under way.
    OutOfTurn,
    /// So many revisions after the one that is deployed have come to nothing.
    Failed(u32),
    /// It names these objects and the deployed revision does not, or the other way round.
    Objects(Vec<String>),
    /// It has other hooks that are run out of it later.
    Hooks,
    /// These of its values differ and do not show in its objects.
    Values(Vec<String>),
    /// More of it changes than how far it is.
    Content,
    /// It is another's, or another has changed it.
    Others,
    /// It takes this step, which is not one of a command that goes on.
    Step(OldNew<String>),
    /// It would say that all is there, and this object is not as it says.
    NotLive(String),
}

/// Fields of an object that somebody owns who did not, or does not who did (`metadata.managedFields`).
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldsTaken {
    /// The manager whose entry differs.
    pub manager: String,
    /// How.
    pub change: FieldsChange,
    /// Who uses that manager.
    pub whose: Whose,
    /// The first of the fields, as paths without a slash before.
    pub fields: Vec<String>,
    /// How many more there are.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: usize,
}

/// How the owner of fields differs.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum FieldsChange {
    /// The manager has applied for the first time.
    Created,
    /// It has applied more.
    Grown,
    /// It has applied less.
    Dropped,
    /// Another's apply has taken them by force.
    Forced,
    /// The record itself was edited.
    Edited,
}

impl FieldsChange {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Grown => "grown",
            Self::Dropped => "dropped",
            Self::Forced => "forced",
            Self::Edited => "edited",
        }
    }
}

/// Who uses a manager.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Whose {
    /// Whoever sends this write, and nobody else.
    Own,
    /// Somebody has used it on this object before.
    Others,
    /// A deploy tool or an operator.
    Tools,
}

/// The claim of a volume, and the fields of the volume that differ.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeOfClaim {
    /// Where the claim is.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The first of the fields.
    pub fields: Vec<String>,
}

/// A taint of a node.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Taint {
    /// Its key.
    pub key: String,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: String,
}

/// A container of a pod template.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    /// `containers`, `initContainers` or `ephemeralContainers`.
    pub list: String,
    /// Its name.
    pub name: String,
}

/// A container that comes.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerAdded {
    /// Which.
    #[serde(flatten)]
    pub container: Container,
    /// What runs in it.
    pub image: String,
}

/// One field of a container before and after.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerChange {
    /// Which container.
    #[serde(flatten)]
    pub container: Container,
    /// What differs of it.
    #[serde(flatten)]
    pub change: FieldChange,
}

/// One field before and after, as text; JSON where it is no string.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldChange {
    /// The path from its container or pod, with `/` between.
    pub field: String,
    /// Missing where it comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    /// Missing where it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<String>,
}

/// Why rolling the pods of a workload is not a safe restart.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Hazard {
    /// An annotation of the template does more than restart: its key.
    Annotation(String),
    /// It is not a workload that rolls.
    DoesNotRoll,
    /// Its strategy is not `RollingUpdate`; missing where it names none.
    Strategy(Option<String>),
    /// It has so few replicas that it is down meanwhile.
    FewReplicas(i64),
    /// All of them may be unavailable at once.
    AllAtOnce,
}

/// Something that an object takes from outside its namespace.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Power {
    /// A namespace of its node: `hostNetwork`, `hostPID` or `hostIPC`.
    HostNamespace(String),
    /// A token of this service account, by a volume of its own.
    Token(String),
    /// A path of its node.
    HostPath(String),
    /// Its node, as a privileged container.
    Privileged,
    /// A Linux capability.
    Capability(String),
    /// Its node's `/proc`.
    ProcMount,
    /// A part of its confinement that it goes without: `seccomp`, `AppArmor`, `SELinux`.
    Unconfined(String),
    /// A kernel parameter that is not only its own.
    Sysctl(String),
    /// A port of its node.
    HostPort(i64),
    /// A node, past the scheduler.
    Node(String),
    /// Nodes by a label: `key=value`.
    NodeLabel(String),
    /// Chosen nodes, by affinity.
    NodeAffinity,
    /// A place near or away from pods of other namespaces: which ones.
    PodAffinity(String),
    /// Priority over other pods: the class.
    Priority(String),
    /// Traffic to an address.
    Address(String),
    /// A host name.
    HostName(String),
    /// Every host name that nobody else has.
    AnyHostName,
    /// Whatever a controller that routes makes of this annotation.
    Routing(String),
    /// Nodes that take nobody else, by a taint that is tolerated.
    Toleration(String),
    /// What a network policy of others lets pass: its namespace and name.
    PolicyOf(String),
    /// The address of the API server.
    ApiServerAddress,
    /// Another's volume.
    Volume(String),
    /// Volumes that are there already: how they are chosen.
    VolumesBy(String),
    /// A volume by a source that is not in the namespace: its kind, and which one it is.
    VolumeSource(String),
    /// Data of another namespace.
    DataOf(String),
    /// A connection to an address that is in no known network of pods.
    Connection(String),
    /// A host to which the kubelet of its node connects for it.
    KubeletConnection(String),
    /// An address of a pod, to which others connect: the field and what it becomes.
    PodAddress(String),
    /// Whatever the other end of a connection may do, which is not known.
    OtherEnd,
}

impl Power {
    /// Its name, and whose or which it is; empty where the name says all.
    pub fn parts(&self) -> (&'static str, String) {
        match self {
            Self::HostNamespace(it) => ("hostNamespace", it.clone()),
            Self::Token(it) => ("token", it.clone()),
            Self::HostPath(it) => ("hostPath", it.clone()),
            Self::Privileged => ("privileged", String::new()),
            Self::Capability(it) => ("capability", it.clone()),
            Self::ProcMount => ("procMount", String::new()),
            Self::Unconfined(it) => ("unconfined", it.clone()),
            Self::Sysctl(it) => ("sysctl", it.clone()),
            Self::HostPort(it) => ("hostPort", it.to_string()),
            Self::Node(it) => ("node", it.clone()),
            Self::NodeLabel(it) => ("nodeLabel", it.clone()),
            Self::NodeAffinity => ("nodeAffinity", String::new()),
            Self::PodAffinity(it) => ("podAffinity", it.clone()),
            Self::Priority(it) => ("priority", it.clone()),
            Self::Address(it) => ("address", it.clone()),
            Self::HostName(it) => ("hostName", it.clone()),
            Self::AnyHostName => ("anyHostName", String::new()),
            Self::Routing(it) => ("routing", it.clone()),
            Self::Toleration(it) => ("toleration", it.clone()),
            Self::PolicyOf(it) => ("policyOf", it.clone()),
            Self::ApiServerAddress => ("apiServerAddress", String::new()),
            Self::Volume(it) => ("volume", it.clone()),
            Self::VolumesBy(it) => ("volumesBy", it.clone()),
            Self::VolumeSource(it) => ("volumeSource", it.clone()),
            Self::DataOf(it) => ("dataOf", it.clone()),
            Self::Connection(it) => ("connection", it.clone()),
            Self::KubeletConnection(it) => ("kubeletConnection", it.clone()),
            Self::PodAddress(it) => ("podAddress", it.clone()),
            Self::OtherEnd => ("otherEnd", String::new()),
        }
    }
}

/// A write to an API that Kubernetes itself does not serve.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Custom {
    /// `create`, `delete`, …
    pub verb: String,
    /// Empty for the object itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subresource: String,
    /// How it is known to reach further than its own object.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub acts: Vec<ActsBy>,
}

/// How a custom resource reaches further than its own object, and by which of its fields.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ActsBy {
    /// How.
    pub act: Act,
    /// The first of the fields that say so, as paths; none where every object of its kind does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
    /// How many more there are.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: usize,
}

impl ActsBy {
    /// By these fields, the first of which are kept.
    pub(crate) fn fields(act: Act, mut fields: Vec<String>) -> Self {
        let more = fields.len().saturating_sub(PARTS_MAX);
        fields.truncate(PARTS_MAX);
        Self { act, fields, more }
    }
}

/// How a custom resource reaches further than its own object.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Act {
    /// It belongs to agent-shield itself.
    Shield,
    /// It runs code.
    Runs,
    /// It applies, replaces or deletes other objects.
    Deploys,
    /// It scales or restarts workloads.
    Scales,
    /// It decides what becomes of a database or volume.
    Data,
    /// It restores or deletes what backups hold.
    Backups,
    /// It drains, replaces or stops nodes.
    Nodes,
    /// It makes or deletes things outside the cluster.
    Outside,
    /// It routes traffic, or decides who may talk to whom.
    Traffic,
    /// It writes Secrets or certificates.
    Secrets,
    /// It decides what the API server admits, changes or deletes.
    Admits,
    /// It breaks things on purpose.
    Harms,
    /// It gives rights.
    Rights,
    /// It reaches another namespace or cluster, or an API server.
    Elsewhere,
    /// It takes a credential.
    Credentials,
    /// It puts back what was there before, or lets another take over.
    Restores,
    /// It stops what runs.
    Stops,
    /// It deletes something, or decides what is deleted.
    Deletes,
}

impl Act {
    /// Every one of them.
    pub const ALL: [Self; 18] = [
        Self::Shield,
        Self::Runs,
        Self::Deploys,
        Self::Scales,
        Self::Data,
        Self::Backups,
        Self::Nodes,
        Self::Outside,
        Self::Traffic,
        Self::Secrets,
        Self::Admits,
        Self::Harms,
        Self::Rights,
        Self::Elsewhere,
        Self::Credentials,
        Self::Restores,
        Self::Stops,
        Self::Deletes,
    ];

    /// Its name, as it is stored and as rules read it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shield => "shield",
            Self::Runs => "runs",
            Self::Deploys => "deploys",
            Self::Scales => "scales",
            Self::Data => "data",
            Self::Backups => "backups",
            Self::Nodes => "nodes",
            Self::Outside => "outside",
            Self::Traffic => "traffic",
            Self::Secrets => "secrets",
            Self::Admits => "admits",
            Self::Harms => "harms",
            Self::Rights => "rights",
            Self::Elsewhere => "elsewhere",
            Self::Credentials => "credentials",
            Self::Restores => "restores",
            Self::Stops => "stops",
            Self::Deletes => "deletes",
        }
    }
}

/// A way into the cluster through the API server.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Connect {
    /// To the kubelet of a node: to every pod on it.
    Kubelet,
    /// To an API server, which would not see who asks.
    ApiServer,
    /// To a pod or service.
    Proxied(Proxied),
    /// By a pod or service, to an address that is not a pod's.
    Address(ReachedAddress),
    /// To ports of a pod.
    PortForward,
    /// A command in a pod, or its input and output.
    Command(Command),
    /// A container of the agent's choice in a pod.
    EphemeralContainer,
}

/// A request through the API server's proxy.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Proxied {
    /// HTTP method.
    pub method: String,
    /// Path at the other end, without the query.
    pub path: String,
}

/// Where a request through the API server's proxy ends.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReachedAddress {
    /// The IP address.
    pub address: String,
    /// Whose it is.
    pub place: ReachedPlace,
}

/// Whose an address is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ReachedPlace {
    /// A pod's.
    Pods,
    /// The API server's own host.
    Loopback,
    /// Of the link that the API server's host is on, as cloud metadata is.
    LinkLocal,
    /// A node's.
    Node,
    /// An API server's.
    ApiServer,
    /// In no known network of pods.
    Elsewhere,
}

/// A command in a pod. Its words are left out: they may hold a secret.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Command {
    /// `exec` or `attach`.
    pub subresource: String,
    /// How many words it has.
    pub words: usize,
}

/// Who runs as a service account, and what that one may do.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunsAs {
    /// The object whose code it is.
    pub of: OwnerRef,
    /// What the account may do; for reviewers alone.
    #[serde(default, skip_serializing_if = "Rights::is_untold")]
    pub rights: Rights,
}

/// What a service account may do.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Rights {
    /// Not told.
    #[default]
    Untold,
    /// They could not be looked up.
    Unknown,
    /// One right for which an agent would be held.
    May(RightsPath),
}

impl Rights {
    fn is_untold(&self) -> bool {
        *self == Self::Untold
    }
}

/// A right, and how the account comes to it.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RightsPath {
    /// Rights by which it acts as another account, one after the other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub through: Vec<Hop>,
    /// The right.
    pub right: Right,
}

/// A right by which an account acts as another one.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Hop {
    /// The right.
    pub right: Right,
    /// As whom, `namespace/name`.
    pub account: String,
}

/// One right.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Right {
    /// `*` for any.
    pub verb: String,
    /// Empty for the core group, `*` for all.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub api_group: String,
    /// Plural resource, with `/` before a subresource; `*` for all. Empty: URLs that are no resources.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub resource: String,
    /// Empty: everywhere.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
}

/// The class of a namespace before and after.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClassChange {
    /// Before.
    pub old: ClassMark,
    /// After.
    pub new: ClassMark,
    /// Whether the namespace is made anew, under the name of one that is gone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recreated: bool,
}

/// How a namespace is classed.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClassMark {
    /// Whether any write in it is held.
    pub protected: bool,
    /// Whether it is not declared non-production.
    pub production: bool,
}

impl ClassMark {
    /// Whether a namespace that is classed so is guarded less than one that is classed as `before`.
    pub fn is_weaker_than(self, before: Self) -> bool {
        (before.protected && !self.protected) || (before.production && !self.production)
    }
}

/// Pods of one ReplicaSet that go in a short time.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodsGone {
    /// In so many minutes.
    pub minutes: u64,
    /// The calls that let the others go.
    pub calls: Vec<String>,
}

/// A write of which nobody can say what it would do.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UnknownWrite {
    /// `create`, `patch`, …
    pub verb: String,
    /// Empty for the object itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subresource: String,
    /// Why.
    pub why: Unknown,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn an_act_is_stored_by_its_name() {
        for act in Act::ALL {
            assert_eq!(serde_json::to_value(act).ok(), Some(json!(act.as_str())));
        }
    }

    /// Rows of the ledger and scripts know these spellings.
    #[test]
    fn what_is_stored_keeps_its_names() {
        let owner = || OwnerRef {
            api_group: "apps".into(),
            resource: "replicasets".into(),
            namespace: "shop".into(),
            name: "web".into(),
            uid: "u".into(),
        };
        let owner_json = json!({"apiGroup": "apps", "resource": "replicasets", "namespace": "shop",
            "name": "web", "uid": "u"});
        let step = Step { audit_id: "a".into(), from: 10, to: 8 };
        let steps = Steps { baseline: 10, steps: vec![step], earlier: 0 };
        let right =
            || Right { verb: "delete".into(), resource: "secrets".into(), ..Right::default() };
        let parts = |part| About::Parts(Parts::of(vec![part]));
        let image = ContainerChange {
            container: Container { list: "containers".into(), name: "c".into() },
            change: FieldChange { field: "image".into(), old: Some("a".into()), new: None },
        };
        let table = [
            (About::Nothing, json!("nothing")),
            (
                About::Count(Count {
                    before: Before::Larger(steps),
                    undoes: true,
                    ..Count::new(Counted::MinReplicas, Some(8), Some(4))
                }),
                json!({"count": {"counted": "minReplicas", "old": 8, "new": 4, "before": {"larger":
                    {"baseline": 10, "steps": [{"auditID": "a", "from": 10, "to": 8}]}}, "undoes": true}}),
            ),
            (
                About::Deletion(Deletion {
                    what: Deleted::Replaced(Replaced { owner: owner(), ready: 3 }),
                    propagation: Some(Propagation::Background),
                    grace_seconds: Some(1),
                    routine: Some(Routine::OwnObject),
                }),
                json!({"deletion": {"what": {"replaced": {"owner": owner_json, "ready": 3}},
                    "propagation": "Background", "graceSeconds": 1, "routine": "ownObject"}}),
            ),
            (
                About::Deletion(Deletion::of(Deleted::Secret("Opaque".into()))),
                json!({"deletion": {"what": {"secret": "Opaque"}}}),
            ),
            (
                About::Deletion(Deletion::of(Deleted::History(HistoryOf {
                    owner: owner(),
                    change: FieldChange { field: "f".into(), old: None, new: Some("0".into()) },
                }))),
                json!({"deletion": {"what": {"history":
                    {"owner": owner_json, "change": {"field": "f", "new": "0"}}}}}),
            ),
            (
                About::Connect(Connect::Address(ReachedAddress {
                    address: "10.9.0.1".into(),
                    place: ReachedPlace::ApiServer,
                })),
                json!({"connect": {"address": {"address": "10.9.0.1", "place": "apiServer"}}}),
            ),
            (
                About::Custom(Custom {
                    verb: "create".into(),
                    subresource: String::new(),
                    acts: vec![ActsBy::fields(Act::Restores, vec!["/spec/restore".into()])],
                }),
                json!({"custom": {"verb": "create",
                    "acts": [{"act": "restores", "fields": ["/spec/restore"]}]}}),
            ),
            (
                parts(Part::Power(Power::AnyHostName)),
                json!({"parts": {"parts": [{"power": "anyHostName"}]}}),
            ),
            (
                parts(Part::Power(Power::HostPath("/".into()))),
                json!({"parts": {"parts": [{"power": {"hostPath": "/"}}]}}),
            ),
            (
                parts(Part::Image(image)),
                json!({"parts": {"parts": [{"image":
                    {"list": "containers", "name": "c", "field": "image", "old": "a"}}]}}),
            ),
            (
                About::RunsAs(RunsAs {
                    of: owner(),
                    rights: Rights::May(RightsPath { through: Vec::new(), right: right() }),
                }),
                json!({"runsAs": {"of": owner_json,
                    "rights": {"may": {"right": {"verb": "delete", "resource": "secrets"}}}}}),
            ),
            (
                About::Unknown(UnknownWrite {
                    verb: "patch".into(),
                    subresource: String::new(),
                    why: Unknown::DryRunFailed(500, "no".into()),
                }),
                json!({"unknown": {"verb": "patch", "why": {"dryRunFailed": [500, "no"]}}}),
            ),
        ];
        for (about, want) in table {
            let stored = serde_json::to_value(&about).unwrap_or(Value::Null);
            assert_eq!(stored, want);
            assert_eq!(serde_json::from_value::<About>(stored).ok(), Some(about));
        }
    }
}
