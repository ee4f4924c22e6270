//! The kinds of effects, and how each is spelled in policies, the ledger and the review API.

use std::{fmt, str::FromStr};

/// What kind of thing would happen. The names are part of the ledger format and of policy.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum EffectKind {
    /// The object goes, now or when its finalizers are done.
    Delete,
    /// Fewer replicas than before.
    ScaleDown,
    /// More replicas than before.
    ScaleUp,
    /// A container image differs.
    ChangeImage,
    /// Container or pod level requests or limits differ.
    ChangeResources,
    /// Another part of a pod template differs than image, resources or the restart annotation.
    ChangeTemplate,
    /// Only the restart annotation differs.
    Restart,
    /// Keys of a Secret or ConfigMap that were not there before.
    AddData,
    /// Keys of a Secret or ConfigMap overwritten or removed, a reclaim or retention policy loosened.
    LoseData,
    /// `metadata.ownerReferences` differ: garbage collection may delete the object.
    ChangeOwners,
    /// `metadata.finalizers` differ.
    ChangeFinalizers,
    /// Labels or annotations with no known side effect differ.
    ChangeLabels,
    /// Labels or annotations that some controller acts on differ.
    ChangeTrigger,
    /// Fields have another owner: what that one does not apply any more, its next apply removes.
    TakeFields,
    /// A Lease gets another holder, or an unusual time: whoever holds it does an operator's work.
    TakeLease,
    /// A namespace gets less protected or less production.
    Unprotect,
    /// A namespace gets more protected or more production.
    Protect,
    /// A pod goes that its ReplicaSet replaces, while others are ready.
    ReplacePod,
    /// A pod is evicted.
    Evict,
    /// A node stops taking pods.
    Cordon,
    /// A node takes pods again.
    Uncordon,
    /// A node's taints differ.
    Taint,
    /// A Deployment stops rolling out what changes of its template: nothing runs otherwise by it.
    Pause,
    /// Code runs in a pod, or a pod or service is reached through the API server's proxy.
    RunCode,
    /// A kubelet is reached through the API server's proxy: code in every pod of a node.
    ProxyToNode,
    /// An API server is reached through the API server's proxy, past its own authorization.
    ProxyToApiServer,
    /// Rights are given: RBAC, CSR approval, bindings of pods to nodes, admission, API services.
    GrantAccess,
    /// A credential is made: token requests, token Secrets.
    MintCredential,
    /// A new object that neither runs nor selects traffic.
    CreateInert,
    /// A new object that runs or selects traffic.
    CreateActive,
    /// A new or changed object takes powers from outside its namespace: its node, another's volume
    /// or host name, a service account's rights, priority over other pods.
    Borrow,
    /// A custom resource is created or changed: what its operator makes of it is not known.
    WriteCustom,
    /// A custom resource is written that is known to act beyond itself: it runs code, cascades,
    /// restores, or moves traffic.
    WriteActing,
    /// Any other difference in a part of the object that controllers act on.
    ChangeSpec,
    /// What would happen could not be worked out; it counts as the worst that a rule asks about.
    Unknown,
}

impl EffectKind {
    /// Every kind.
    pub const ALL: [Self; 35] = [
        Self::Delete,
        Self::ScaleDown,
        Self::ScaleUp,
        Self::ChangeImage,
        Self::ChangeResources,
        Self::ChangeTemplate,
        Self::Restart,
        Self::AddData,
        Self::LoseData,
        Self::ChangeOwners,
        Self::ChangeFinalizers,
        Self::ChangeLabels,
        Self::ChangeTrigger,
        Self::TakeFields,
        Self::TakeLease,
        Self::Unprotect,
        Self::Protect,
        Self::ReplacePod,
        Self::Evict,
        Self::Cordon,
        Self::Uncordon,
        Self::Taint,
        Self::Pause,
        Self::RunCode,
        Self::ProxyToNode,
        Self::ProxyToApiServer,
        Self::GrantAccess,
        Self::MintCredential,
        Self::CreateInert,
        Self::CreateActive,
        Self::Borrow,
        Self::WriteCustom,
        Self::WriteActing,
        Self::ChangeSpec,
        Self::Unknown,
    ];

    /// Its name: a stable spelling, which policies, the ledger and the review API share.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delete => "Delete",
            Self::ScaleDown => "ScaleDown",
            Self::ScaleUp => "ScaleUp",
            Self::ChangeImage => "ChangeImage",
            Self::ChangeResources => "ChangeResources",
            Self::ChangeTemplate => "ChangeTemplate",
            Self::Restart => "Restart",
            Self::AddData => "AddData",
            Self::LoseData => "LoseData",
            Self::ChangeOwners => "ChangeOwners",
            Self::ChangeFinalizers => "ChangeFinalizers",
            Self::ChangeLabels => "ChangeLabels",
            Self::ChangeTrigger => "ChangeTrigger",
            Self::TakeFields => "TakeFields",
            Self::TakeLease => "TakeLease",
            Self::Unprotect => "Unprotect",
            Self::Protect => "Protect",
            Self::ReplacePod => "ReplacePod",
            Self::Evict => "Evict",
            Self::Cordon => "Cordon",
            Self::Uncordon => "Uncordon",
            Self::Taint => "Taint",
            Self::Pause => "Pause",
            Self::RunCode => "RunCode",
            Self::ProxyToNode => "ProxyToNode",
            Self::ProxyToApiServer => "ProxyToApiServer",
            Self::GrantAccess => "GrantAccess",
            Self::MintCredential => "MintCredential",
            Self::CreateInert => "CreateInert",
            Self::CreateActive => "CreateActive",
            Self::Borrow => "Borrow",
            Self::WriteCustom => "WriteCustom",
            Self::WriteActing => "WriteActing",
            Self::ChangeSpec => "ChangeSpec",
            Self::Unknown => "Unknown",
        }
    }
}

impl fmt::Display for EffectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name that no kind of effect has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UnknownKind;

impl FromStr for EffectKind {
    type Err = UnknownKind;

    fn from_str(name: &str) -> Result<Self, UnknownKind> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name).ok_or(UnknownKind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back_as_its_kind() {
        for kind in EffectKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
        assert_eq!("delete".parse::<EffectKind>(), Err(UnknownKind), "names are case-sensitive");
    }
}
