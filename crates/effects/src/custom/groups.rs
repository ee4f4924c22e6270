//! Resources that Kubernetes itself does not serve: what is known of those whose writes reach
//! further than their own object (DEFAULTS Q16). They run code, delete or restore what others own,
//! stop workloads, move traffic, or make things outside the cluster, in whatever namespace they lie.

/// What is known of an API that is not built in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Custom {
    /// A group that only a part of Kubernetes itself may use: an API that is off by default, or
    /// newer than this table. Not a custom resource.
    OfKubernetes,
    /// Known to act beyond itself, and how.
    Acts(&'static str),
    /// An object of which only its operator knows more.
    Plain,
}

const RUNS: &str = "runs code in the cluster";
const DEPLOYS: &str = "applies, replaces or deletes the objects of whole applications";
const SCALES: &str = "scales or restarts workloads";
const DATA: &str = "decides what becomes of a database or volume";
const BACKUP: &str = "restores or deletes what backups hold";
const NODES: &str = "drains, replaces or stops nodes";
const OUTSIDE: &str = "makes or deletes things outside the cluster";
const TRAFFIC: &str = "changes how traffic is routed or who may talk to whom";
const SECRETS: &str = "writes Secrets or certificates";
const ADMITS: &str = "decides what the API server admits, changes or deletes";
const HARMS: &str = "breaks things on purpose";
const SHIELD: &str = "belongs to agent-shield itself";

/// Groups, or suffixes of groups that begin with a dot, and what their objects do.
const ACTS: &[(&str, &str)] = &[
    ("agent-shield.io", SHIELD),
    ("argoproj.io", DEPLOYS),
    ("tekton.dev", RUNS),
    (".tekton.dev", RUNS),
    ("knative.dev", RUNS),
    (".knative.dev", RUNS),
    ("kubevirt.io", RUNS),
    (".kubevirt.io", RUNS),
    ("batch.volcano.sh", RUNS),
    ("sparkoperator.k8s.io", RUNS),
    ("ray.io", RUNS),
    ("kubeflow.org", RUNS),
    ("actions.github.com", RUNS),
    ("actions.summerwind.dev", RUNS),
    ("ci.openshift.io", RUNS),
    ("build.openshift.io", RUNS),
    ("fluxcd.io", DEPLOYS),
    (".fluxcd.io", DEPLOYS),
    ("helm.cattle.io", DEPLOYS),
    ("fleet.cattle.io", DEPLOYS),
    ("k3s.cattle.io", DEPLOYS),
    (".cattle.io", DEPLOYS),
    ("operators.coreos.com", DEPLOYS),
    ("operator.openshift.io", DEPLOYS),
    ("config.openshift.io", DEPLOYS),
    ("apps.openshift.io", SCALES),
    ("project.openshift.io", DEPLOYS),
    ("security.openshift.io", ADMITS),
    ("route.openshift.io", TRAFFIC),
    ("machine.openshift.io", NODES),
    ("machineconfiguration.openshift.io", NODES),
    ("core.oam.dev", DEPLOYS),
    ("app.k8s.io", DEPLOYS),
    ("apps.kruise.io", SCALES),
    ("policy.kruise.io", SCALES),
    ("flagger.app", SCALES),
    ("keda.sh", SCALES),
    (".keda.sh", SCALES),
    ("autoscaling.k8s.io", SCALES),
    ("autoscaling.x-k8s.io", NODES),
    ("kueue.x-k8s.io", SCALES),
    ("jobset.x-k8s.io", RUNS),
    ("leaderworkerset.x-k8s.io", RUNS),
    ("hnc.x-k8s.io", DEPLOYS),
    ("cluster.x-k8s.io", NODES),
    (".cluster.x-k8s.io", NODES),
    ("karpenter.sh", NODES),
    ("karpenter.k8s.aws", NODES),
    ("karpenter.azure.com", NODES),
    ("medik8s.io", NODES),
    (".medik8s.io", NODES),
    ("kured.dev", NODES),
    ("upgrade.cattle.io", NODES),
    ("crossplane.io", OUTSIDE),
    (".crossplane.io", OUTSIDE),
    ("upbound.io", OUTSIDE),
    (".upbound.io", OUTSIDE),
    (".cnrm.cloud.google.com", OUTSIDE),
    (".services.k8s.aws", OUTSIDE),
    (".azure.com", OUTSIDE),
    ("infra.contrib.fluxcd.io", OUTSIDE),
    ("app.terraform.io", OUTSIDE),
    ("externaldns.k8s.io", OUTSIDE),
    ("snapshot.storage.k8s.io", DATA),
    ("groupsnapshot.storage.k8s.io", DATA),
    ("cnpg.io", DATA),
    (".cnpg.io", DATA),
    ("acid.zalan.do", DATA),
    ("postgres-operator.crunchydata.com", DATA),
    ("mysql.oracle.com", DATA),
    (".percona.com", DATA),
    ("mongodbcommunity.mongodb.com", DATA),
    ("mongodb.com", DATA),
    ("kafka.strimzi.io", DATA),
    ("k8ssandra.io", DATA),
    (".k8ssandra.io", DATA),
    ("cassandra.datastax.com", DATA),
    ("elasticsearch.k8s.elastic.co", DATA),
    ("redis.redis.opstreelabs.in", DATA),
    ("rabbitmq.com", DATA),
    ("minio.min.io", DATA),
    ("ceph.rook.io", DATA),
    ("rook.io", DATA),
    ("longhorn.io", DATA),
    ("velero.io", BACKUP),
    ("k8up.io", BACKUP),
    ("stash.appscode.com", BACKUP),
    (".kanister.io", BACKUP),
    ("gateway.networking.k8s.io", TRAFFIC),
    ("istio.io", TRAFFIC),
    (".istio.io", TRAFFIC),
    ("cilium.io", TRAFFIC),
    ("crd.projectcalico.org", TRAFFIC),
    ("projectcalico.org", TRAFFIC),
    ("policy.networking.k8s.io", TRAFFIC),
    ("linkerd.io", TRAFFIC),
    (".linkerd.io", TRAFFIC),
    ("traefik.io", TRAFFIC),
    ("traefik.containo.us", TRAFFIC),
    ("projectcontour.io", TRAFFIC),
    ("configuration.konghq.com", TRAFFIC),
    ("getambassador.io", TRAFFIC),
    ("metallb.io", TRAFFIC),
    ("k8s.cni.cncf.io", TRAFFIC),
    ("external-secrets.io", SECRETS),
    (".external-secrets.io", SECRETS),
    ("bitnami.com", SECRETS),
    ("secrets.hashicorp.com", SECRETS),
    ("secrets-store.csi.x-k8s.io", SECRETS),
    ("cert-manager.io", SECRETS),
    (".cert-manager.io", SECRETS),
    ("trust.cert-manager.io", SECRETS),
    ("kyverno.io", ADMITS),
    (".kyverno.io", ADMITS),
    ("gatekeeper.sh", ADMITS),
    (".gatekeeper.sh", ADMITS),
    ("policies.kubewarden.io", ADMITS),
    ("chaos-mesh.org", HARMS),
    ("litmuschaos.io", HARMS),
];

/// Looks a group up that is not built in.
pub(crate) fn of(group: &str) -> Custom {
    let known = ACTS.iter().find(|(it, _)| match it.starts_with('.') {
        true => group.ends_with(it),
        false => group == *it,
    });
    match known {
        Some((_, what)) => Custom::Acts(what),
        // Groups below `k8s.io` are Kubernetes' own; projects beside it live below `x-k8s.io`.
        None if !group.contains('.') || group == "k8s.io" || group.ends_with(".k8s.io") => {
            Custom::OfKubernetes
        }
        None => Custom::Plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_reaches_further() {
        let table = [
            ("ex.io", Custom::Plain),
            ("myargoproj.io", Custom::Plain),
            ("argoproj.io", Custom::Acts(DEPLOYS)),
            ("helm.toolkit.fluxcd.io", Custom::Acts(DEPLOYS)),
            ("infrastructure.cluster.x-k8s.io", Custom::Acts(NODES)),
            ("something.x-k8s.io", Custom::Plain),
            ("lifecycle.k8s.io", Custom::OfKubernetes),
            ("apps", Custom::OfKubernetes),
            ("", Custom::OfKubernetes),
        ];
        for (group, want) in table {
            assert_eq!(of(group), want, "{group}");
        }
    }
}
