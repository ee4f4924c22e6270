//! The labels and annotations that something is known to act on: one table for both, on objects and in pod
//! templates. What is not in it acts all the same unless [`crate::keys`] knows that it does not; the table
//! tells people why, and has the keys without a domain.

/// A key, or a prefix that ends in `/`, `-`, `_` or `.`; on which kinds it means something; what it does.
/// A key of a pod template is one of the pods that are made by it.
type Row = (&'static str, &'static [&'static str], &'static str);

const ANY: &[&str] = &[];
const DATA: &[&str] = &["configmaps", "secrets"];
const PODS: &[&str] = &["pods"];
const MESH: &[&str] = &["namespaces", "pods"];
const NODES: &[&str] = &["nodes"];
const NAMESPACES: &[&str] = &["namespaces"];
const ACCOUNTS: &[&str] = &["serviceaccounts"];

const GRANTS: &str = "decides which rights outside the cluster come with it";
const COPIED: &str = "copies it to or from other namespaces";
const CONFINES: &str = "decides what its pods may do";
const PROJECT: &str = "decides who may use the namespace";

/// Keys by which whoever may use the object gets rights, or loses them.
const GRANTING: &[Row] = &[
    ("eks.amazonaws.com/audience", ACCOUNTS, GRANTS),
    ("eks.amazonaws.com/role-arn", ACCOUNTS, GRANTS),
    ("iam.gke.io/gcp-service-account", ACCOUNTS, GRANTS),
    ("azure.workload.identity/client-id", ACCOUNTS, GRANTS),
    ("azure.workload.identity/tenant-id", ACCOUNTS, GRANTS),
    ("pod-identity.alibabacloud.com/role-name", ACCOUNTS, GRANTS),
    ("vault.hashicorp.com/alias-metadata-", ACCOUNTS, GRANTS),
    ("field.cattle.io/projectId", NAMESPACES, PROJECT),
    ("iam.amazonaws.com/allowed-roles", NAMESPACES, GRANTS),
    ("iam.amazonaws.com/permitted", NAMESPACES, GRANTS),
    ("aadpodidbinding", PODS, GRANTS),
    ("iam.amazonaws.com/role", PODS, GRANTS),
    ("k8s.aliyun.com/ram-role-name", PODS, GRANTS),
    ("argocd.argoproj.io/secret-type", ANY, "gives Argo CD a cluster or a repository"),
    ("istio/", DATA, "gives Istio a cluster or its keys"),
    ("jenkins.io/", DATA, "gives Jenkins a credential"),
    ("multicluster.linkerd.io/", ANY, "gives Linkerd a cluster, or decides what it mirrors"),
    ("replicator.v1.mittwald.de/", ANY, COPIED),
    ("reflector.v1.k8s.emberstack.com/", ANY, COPIED),
    ("kubed.appscode.com/", ANY, COPIED),
    ("config-syncer.appscode.com/", ANY, COPIED),
    ("hnc.x-k8s.io/", ANY, "copies or deletes objects of other namespaces"),
    ("pod-security.kubernetes.io/", NAMESPACES, CONFINES),
    ("admission.gatekeeper.sh/", NAMESPACES, CONFINES),
    ("config.linkerd.io/admission-webhooks", NAMESPACES, CONFINES),
    ("openshift.io/sa.scc.", NAMESPACES, CONFINES),
    ("security.openshift.io/", NAMESPACES, CONFINES),
    ("scheduler.alpha.kubernetes.io/", NAMESPACES, "decides which nodes its pods may take"),
    ("cdi.k8s.io/", PODS, "gives its containers devices of the node"),
    ("devices.nri.io/", PODS, "gives its containers devices of the node"),
    ("io.kubernetes.cri-o.", PODS, "changes what the containers may do"),
    ("io.katacontainers.", PODS, "changes what the containers run on"),
    ("cni.projectcalico.org/", PODS, "changes the pods' network"),
    ("k8s.ovn.org/", PODS, "changes the pods' network"),
    ("k8s.v1.cni.cncf.io/", PODS, "changes the pods' network"),
    ("v1.multus-cni.io/", PODS, "changes the pods' network"),
];

/// Keys by which a tool deletes the object, once the time that they say is over.
const DELETING: &[Row] = &[
    ("cleanup.kyverno.io/", ANY, "deletes the object later"),
    ("janitor/", ANY, "deletes the object later"),
    ("k8s-ttl-controller.twin.sh/", ANY, "deletes the object later"),
];

const ACTING: &[Row] = &[
    ("deprecated.deployment.rollback.to", ANY, "rolls the deployment back"),
    ("deployment.kubernetes.io/", ANY, "belongs to the deployment controller"),
    ("autoscaling.alpha.kubernetes.io/", ANY, "rewrites the autoscaler's spec"),
    ("autoscaling.keda.sh/", ANY, "pauses or sets an autoscaler"),
    ("scaledobject.keda.sh/", ANY, "pauses or sets an autoscaler"),
    ("batch.kubernetes.io/", ANY, "belongs to the job controller"),
    ("downscaler/", ANY, "scales the workload down"),
    ("kube-downscaler/", ANY, "scales the workload down"),
    ("cnpg.io/", ANY, "hibernates or fences a database"),
    ("argocd.argoproj.io/", ANY, "decides what is synced or pruned"),
    ("rollout.argoproj.io/", ANY, "belongs to the rollout controller"),
    ("kustomize.toolkit.fluxcd.io/", ANY, "decides what is reconciled or pruned"),
    ("helm.toolkit.fluxcd.io/", ANY, "decides what is reconciled or pruned"),
    ("reconcile.fluxcd.io/", ANY, "decides what is reconciled or pruned"),
    ("helm.sh/", ANY, "decides what helm runs or an uninstall deletes"),
    ("meta.helm.sh/", ANY, "decides which release owns the object"),
    ("objectset.rio.cattle.io/", ANY, "decides which release owns the object"),
    ("config.kubernetes.io/", ANY, "decides what the next apply removes"),
    ("control-plane.alpha.kubernetes.io/leader", ANY, "decides who leads"),
    ("service.beta.kubernetes.io/", ANY, "changes the load balancer"),
    ("service.alpha.kubernetes.io/", ANY, "changes how traffic is routed"),
    ("service.kubernetes.io/", ANY, "changes how traffic is routed"),
    ("cloud.google.com/", ANY, "changes the load balancer"),
    ("networking.gke.io/", ANY, "changes the load balancer"),
    ("alb.ingress.kubernetes.io/", ANY, "changes the load balancer"),
    ("ingress.kubernetes.io/", ANY, "changes how traffic is routed"),
    ("nginx.ingress.kubernetes.io/", ANY, "changes how traffic is routed"),
    ("traefik.ingress.kubernetes.io/", ANY, "changes how traffic is routed"),
    ("haproxy.org/", ANY, "changes how traffic is routed"),
    ("kubernetes.io/ingress.class", ANY, "changes who routes the traffic"),
    ("ingressclass.kubernetes.io/", ANY, "changes who routes the traffic"),
    ("external-dns.alpha.kubernetes.io/", ANY, "changes names in DNS"),
    ("cert-manager.io/", ANY, "changes certificates"),
    ("acme.cert-manager.io/", ANY, "changes certificates"),
    ("endpoints.kubernetes.io/", ANY, "changes how traffic is routed"),
    ("storageclass.kubernetes.io/", ANY, "changes where new volumes come from"),
    ("storageclass.beta.kubernetes.io/", ANY, "changes where new volumes come from"),
    ("snapshot.storage.kubernetes.io/", ANY, "belongs to the snapshot controller"),
    ("volume.beta.kubernetes.io/", ANY, "belongs to the volume controller"),
    ("pv.kubernetes.io/", ANY, "belongs to the volume controller"),
    ("volume.kubernetes.io/", ANY, "belongs to the volume controller"),
    ("controller.kubernetes.io/pod-deletion-cost", ANY, "decides which pods go first"),
    ("cluster-autoscaler.kubernetes.io/", ANY, "decides which nodes are drained"),
    ("karpenter.sh/", ANY, "decides which nodes are drained"),
    ("descheduler.alpha.kubernetes.io/", ANY, "decides which pods are evicted"),
    ("scheduler.alpha.kubernetes.io/", ANY, "changes where pods run"),
    ("kubernetes.io/service-account.", ANY, "turns a Secret into a credential"),
    ("reloader.stakater.com/", ANY, "restarts workloads"),
    ("secret.reloader.stakater.com/", ANY, "restarts workloads"),
    ("configmap.reloader.stakater.com/", ANY, "restarts workloads"),
    ("crossplane.io/", ANY, "changes what is made outside the cluster"),
    ("cnrm.cloud.google.com/", ANY, "changes what is made outside the cluster"),
    ("velero.io/", ANY, "changes what a backup runs or keeps"),
    ("backup.velero.io/", ANY, "changes what a backup runs or keeps"),
    ("pre.hook.backup.velero.io/", ANY, "runs code in pods"),
    ("post.hook.backup.velero.io/", ANY, "runs code in pods"),
    ("kubernetes.io/service-name", ANY, "changes which service the endpoints are of"),
    ("endpointslice.kubernetes.io/", ANY, "changes who manages the endpoints"),
    ("node-role.kubernetes.io/", ANY, "changes what runs on the node"),
    ("node.kubernetes.io/", ANY, "changes what runs on the node"),
    ("kubernetes.io/metadata.name", ANY, "is what selectors know the namespace by"),
    ("app.kubernetes.io/managed-by", ANY, "decides which tool owns the object"),
    ("app.kubernetes.io/instance", ANY, "decides which tool owns the object"),
    ("kueue.x-k8s.io/", ANY, "suspends the workload until a queue admits it"),
    ("istio-injection", ANY, "changes what runs beside the pods"),
    ("istio.io/", ANY, "changes what runs beside the pods"),
    ("topology.istio.io/", ANY, "changes how traffic is routed"),
    ("sidecar.istio.io/", MESH, "changes what runs beside the containers"),
    ("proxy.istio.io/", MESH, "changes what runs beside the containers"),
    ("inject.istio.io/", MESH, "changes what runs beside the containers"),
    ("traffic.sidecar.istio.io/", MESH, "changes how traffic is routed"),
    ("linkerd.io/", MESH, "changes what runs beside the containers"),
    ("config.linkerd.io/", MESH, "changes what runs beside the containers"),
    ("dapr.io/", MESH, "changes what runs beside the containers"),
    ("vault.hashicorp.com/", PODS, "changes what runs beside the containers"),
    ("consul.hashicorp.com/", MESH, "changes what runs beside the containers"),
    ("instrumentation.opentelemetry.io/", MESH, "changes what runs beside the containers"),
    ("sidecar.opentelemetry.io/", MESH, "changes what runs beside the containers"),
    ("admission.datadoghq.com/", MESH, "changes what runs beside the containers"),
    ("container.apparmor.security.beta.kubernetes.io/", PODS, "changes what the containers may do"),
    ("seccomp.security.alpha.kubernetes.io/", PODS, "changes what the containers may do"),
    ("container.seccomp.security.alpha.kubernetes.io/", PODS, "changes what the containers may do"),
    ("kubernetes.io/ingress-bandwidth", PODS, "changes the pods' network"),
    ("kubernetes.io/egress-bandwidth", PODS, "changes the pods' network"),
    ("grafana_", DATA, "is loaded by Grafana"),
    ("k8s-sidecar-target-directory", DATA, "decides where a sidecar writes it"),
    ("sealedsecrets.bitnami.com/", DATA, "opens sealed Secrets, or lets them be replaced"),
    ("openpolicyagent.org/", DATA, "is a policy that decides what others may do"),
    ("mirror.linkerd.io/", ANY, "gives Linkerd a cluster, or decides what it mirrors"),
    ("com.openfaas.", ANY, "scales the workload, also to zero"),
    ("flannel.alpha.coreos.com/", NODES, "changes the node's network"),
    ("projectcalico.org/", NODES, "changes the node's network"),
    ("machineconfiguration.openshift.io/", NODES, "drains and restarts the node"),
];

/// Labels by whose value a tool finds its ConfigMaps and Secrets, where others use the key, too.
const VALUES: &[(&str, &str)] = &[
    ("app.kubernetes.io/part-of", "argocd"),
    ("createdBy", "helm"),
    ("owner", "helm"),
    ("OWNER", "TILLER"),
    ("tfstate", "true"),
];

/// Kinds whose labels something selects by, whatever the key.
const SELECTED: &[(&str, &str)] = &[
    ("pods", "services and workloads select pods by labels"),
    ("nodes", "pods select nodes by labels"),
    ("namespaces", "network and admission policies select namespaces by labels"),
    ("replicasets", "deployments select replica sets by labels"),
    ("controllerrevisions", "workloads select their history by labels"),
    ("endpointslices", "routing selects endpoints by labels"),
    ("persistentvolumes", "claims select volumes by labels"),
    ("resourceslices", "devices are selected by labels"),
];

/// What a change of this key on this kind of object is known to set off; of a pod template, on `pods`.
pub(crate) fn known(resource: &str, key: &str) -> Option<&'static str> {
    [GRANTING, DELETING, ACTING].into_iter().find_map(|table| find(table, resource, key))
}

/// Whether this key is known to give rights on an object of this kind.
pub(crate) fn gives_rights(resource: &str, key: &str) -> bool {
    find(GRANTING, resource, key).is_some()
}

/// Whether a tool deletes an object of any kind by this key.
pub(crate) fn deletes(key: &str) -> bool {
    DELETING.iter().any(|(known, ..)| fits(known, key))
}

/// Whether this key is known to give rights on an object of any kind.
pub(crate) fn gives_rights_somewhere(key: &str) -> bool {
    GRANTING.iter().any(|(known, ..)| fits(known, key))
}

/// By what objects of this kind are selected by labels, whatever the key; `None` where by nothing.
pub(crate) fn selected(resource: &str) -> Option<&'static str> {
    SELECTED.iter().find(|(it, _)| *it == resource).map(|(_, why)| *why)
}

/// Whether a tool finds what it reads by this value of a label.
pub(crate) fn is_looked_for(label: &str, value: &str) -> bool {
    VALUES.contains(&(label, value))
}

fn find(table: &[Row], resource: &str, key: &str) -> Option<&'static str> {
    let is_on = |on: &[&str]| on.is_empty() || on.contains(&resource);
    table.iter().find(|(known, on, _)| fits(known, key) && is_on(on)).map(|(.., does)| *does)
}

fn fits(known: &str, key: &str) -> bool {
    match known.ends_with(['/', '-', '_', '.']) {
        true => key.starts_with(known),
        false => key == known,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_orders_from_notes() {
        let table = [
            (known("deployments", "note"), false),
            (known("deployments", "kubernetes.io/change-cause"), false),
            (known("deployments", "deprecated.deployment.rollback.to"), true),
            (known("deployments", "downscaler/force-downtime"), true),
            (known("deployments", "team"), false),
            (known("deployments", "cleanup.kyverno.io/ttl"), true),
            (known("deployments", "velero.io/exclude-from-backup"), true),
            (known("nodes", "note"), false),
            (known("nodes", "flannel.alpha.coreos.com/public-ip"), true),
            (known("pods", "kubectl.kubernetes.io/restartedAt"), false),
            (known("pods", "sidecar.istio.io/inject"), true),
            (known("namespaces", "linkerd.io/inject"), true),
            (known("pods", "linkerd.io/inject"), true),
            (known("pods", "vault.hashicorp.com/agent-inject"), true),
            (known("serviceaccounts", "vault.hashicorp.com/agent-inject"), false),
            (known("configmaps", "grafana_dashboard"), true),
            (known("deployments", "grafana_dashboard"), false),
            (known("secrets", "argocd.argoproj.io/secret-type"), true),
            (selected("pods"), true),
            (selected("deployments"), false),
        ];
        for (index, (found, want)) in table.into_iter().enumerate() {
            assert_eq!(found.is_some(), want, "row {index}");
        }
    }

    #[test]
    fn every_row_is_the_first_that_fits_it() {
        for table in [GRANTING, DELETING, ACTING] {
            for (key, on, does) in table {
                let on = on.first().copied().unwrap_or("deployments");
                assert_eq!(find(table, on, key), Some(*does), "{key}");
            }
        }
    }
}
