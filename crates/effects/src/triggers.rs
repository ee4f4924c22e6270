//! Labels and annotations that some controller is known to act on, and how. What is in no list here
//! acts all the same unless [`crate::keys`] knows that it does not: these tell people why.

/// Keys, or prefixes that end in `/`, `-` or `.`, and what they do, on any kind of object.
const ANNOTATIONS: &[(&str, &str)] = &[
    ("deprecated.deployment.rollback.to", "rolls the deployment back"),
    ("deployment.kubernetes.io/", "belongs to the deployment controller"),
    ("autoscaling.alpha.kubernetes.io/", "rewrites the autoscaler's spec"),
    ("autoscaling.keda.sh/", "pauses or sets an autoscaler"),
    ("scaledobject.keda.sh/", "pauses or sets an autoscaler"),
    ("batch.kubernetes.io/", "belongs to the job controller"),
    ("downscaler/", "scales the workload down"),
    ("kube-downscaler/", "scales the workload down"),
    ("janitor/", "deletes the object later"),
    ("k8s-ttl-controller.twin.sh/", "deletes the object later"),
    ("cleanup.kyverno.io/", "deletes the object later"),
    ("hnc.x-k8s.io/", "copies or deletes objects of other namespaces"),
    ("cnpg.io/", "hibernates or fences a database"),
    ("argocd.argoproj.io/", "decides what is synced or pruned"),
    ("rollout.argoproj.io/", "belongs to the rollout controller"),
    ("kustomize.toolkit.fluxcd.io/", "decides what is reconciled or pruned"),
    ("helm.toolkit.fluxcd.io/", "decides what is reconciled or pruned"),
    ("reconcile.fluxcd.io/", "decides what is reconciled or pruned"),
    ("helm.sh/", "decides what helm runs or an uninstall deletes"),
    ("meta.helm.sh/", "decides which release owns the object"),
    ("objectset.rio.cattle.io/", "decides which release owns the object"),
    ("config.kubernetes.io/", "decides what the next apply removes"),
    ("control-plane.alpha.kubernetes.io/leader", "decides who leads"),
    ("service.beta.kubernetes.io/", "changes the load balancer"),
    ("service.alpha.kubernetes.io/", "changes how traffic is routed"),
    ("service.kubernetes.io/", "changes how traffic is routed"),
    ("cloud.google.com/", "changes the load balancer"),
    ("networking.gke.io/", "changes the load balancer"),
    ("alb.ingress.kubernetes.io/", "changes the load balancer"),
    ("ingress.kubernetes.io/", "changes how traffic is routed"),
    ("nginx.ingress.kubernetes.io/", "changes how traffic is routed"),
    ("traefik.ingress.kubernetes.io/", "changes how traffic is routed"),
    ("haproxy.org/", "changes how traffic is routed"),
    ("kubernetes.io/ingress.class", "changes who routes the traffic"),
    ("ingressclass.kubernetes.io/", "changes who routes the traffic"),
    ("external-dns.alpha.kubernetes.io/", "changes names in DNS"),
    ("cert-manager.io/", "changes certificates"),
    ("acme.cert-manager.io/", "changes certificates"),
    ("endpoints.kubernetes.io/", "changes how traffic is routed"),
    ("storageclass.kubernetes.io/", "changes where new volumes come from"),
    ("storageclass.beta.kubernetes.io/", "changes where new volumes come from"),
    ("snapshot.storage.kubernetes.io/", "belongs to the snapshot controller"),
    ("volume.beta.kubernetes.io/", "belongs to the volume controller"),
    ("pv.kubernetes.io/", "belongs to the volume controller"),
    ("volume.kubernetes.io/", "belongs to the volume controller"),
    ("controller.kubernetes.io/pod-deletion-cost", "decides which pods go first"),
    ("cluster-autoscaler.kubernetes.io/", "decides which nodes are drained"),
    ("karpenter.sh/", "decides which nodes are drained"),
    ("descheduler.alpha.kubernetes.io/", "decides which pods are evicted"),
    ("scheduler.alpha.kubernetes.io/", "changes where pods run"),
    ("kubernetes.io/service-account.", "turns a Secret into a credential"),
    ("reloader.stakater.com/", "restarts workloads"),
    ("secret.reloader.stakater.com/", "restarts workloads"),
    ("configmap.reloader.stakater.com/", "restarts workloads"),
    ("crossplane.io/", "changes what is made outside the cluster"),
    ("cnrm.cloud.google.com/", "changes what is made outside the cluster"),
    ("velero.io/", "changes what a backup runs or keeps"),
    ("backup.velero.io/", "changes what a backup runs or keeps"),
    ("pre.hook.backup.velero.io/", "runs code in pods"),
    ("post.hook.backup.velero.io/", "runs code in pods"),
];

/// Label keys, or prefixes, and what they do.
const LABELS: &[(&str, &str)] = &[
    ("cleanup.kyverno.io/", "deletes the object later"),
    ("service.kubernetes.io/", "changes who routes the service"),
    ("kubernetes.io/service-name", "changes which service the endpoints are of"),
    ("endpointslice.kubernetes.io/", "changes who manages the endpoints"),
    ("endpoints.kubernetes.io/", "changes who manages the endpoints"),
    ("node-role.kubernetes.io/", "changes what runs on the node"),
    ("node.kubernetes.io/", "changes what runs on the node"),
    ("pod-security.kubernetes.io/", "changes what pods may do"),
    ("kubernetes.io/metadata.name", "is what selectors know the namespace by"),
    ("app.kubernetes.io/managed-by", "decides which tool owns the object"),
    ("app.kubernetes.io/instance", "decides which tool owns the object"),
    ("argocd.argoproj.io/", "decides what is synced or pruned"),
    ("kustomize.toolkit.fluxcd.io/", "decides what is reconciled or pruned"),
    ("helm.toolkit.fluxcd.io/", "decides what is reconciled or pruned"),
    ("objectset.rio.cattle.io/", "decides which release owns the object"),
    ("hnc.x-k8s.io/", "copies or deletes objects of other namespaces"),
    ("kueue.x-k8s.io/", "suspends the workload until a queue admits it"),
    ("istio-injection", "changes what runs beside the pods"),
    ("istio.io/", "changes what runs beside the pods"),
    ("topology.istio.io/", "changes how traffic is routed"),
];

/// Annotations of a pod template that change what runs in its pods, beside those above.
const TEMPLATE: &[(&str, &str)] = &[
    ("sidecar.istio.io/", "changes what runs beside the containers"),
    ("proxy.istio.io/", "changes what runs beside the containers"),
    ("inject.istio.io/", "changes what runs beside the containers"),
    ("traffic.sidecar.istio.io/", "changes how traffic is routed"),
    ("linkerd.io/", "changes what runs beside the containers"),
    ("config.linkerd.io/", "changes what runs beside the containers"),
    ("dapr.io/", "changes what runs beside the containers"),
    ("vault.hashicorp.com/", "changes what runs beside the containers"),
    ("consul.hashicorp.com/", "changes what runs beside the containers"),
    ("instrumentation.opentelemetry.io/", "changes what runs beside the containers"),
    ("sidecar.opentelemetry.io/", "changes what runs beside the containers"),
    ("admission.datadoghq.com/", "changes what runs beside the containers"),
    ("container.apparmor.security.beta.kubernetes.io/", "changes what the containers may do"),
    ("seccomp.security.alpha.kubernetes.io/", "changes what the containers may do"),
    ("container.seccomp.security.alpha.kubernetes.io/", "changes what the containers may do"),
    ("io.kubernetes.cri-o.", "changes what the containers may do"),
    ("k8s.v1.cni.cncf.io/", "changes the pods' network"),
    ("cni.projectcalico.org/", "changes the pods' network"),
    ("kubernetes.io/ingress-bandwidth", "changes the pods' network"),
    ("kubernetes.io/egress-bandwidth", "changes the pods' network"),
];

/// What makes even a new object of a harmless kind act: credentials that are taken up, copies that
/// are made elsewhere. Owner tools' own marks are left out, as most new objects carry them.
const ON_CREATE: &[(&str, &str)] = &[
    ("argocd.argoproj.io/secret-type", "gives Argo CD a cluster or a repository"),
    ("replicator.v1.mittwald.de/", "is copied to other namespaces"),
    ("reflector.v1.k8s.emberstack.com/", "is copied to other namespaces"),
    ("hnc.x-k8s.io/", "copies or deletes objects of other namespaces"),
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

/// What a change of this annotation on this kind of object is known to set off.
pub(crate) fn annotation(resource: &str, key: &str) -> Option<&'static str> {
    find(ANNOTATIONS, key).or_else(|| find(ON_CREATE, key)).or_else(|| match resource {
        // The annotations of a node in some tool's name are orders to its agent on the node.
        "nodes" if key.contains('/') => Some("is read by what runs on the node"),
        _ => None,
    })
}

/// Whether something selects objects of this kind by labels, whatever the key.
pub(crate) fn is_selected(resource: &str) -> bool {
    SELECTED.iter().any(|(it, _)| *it == resource)
}

/// What a change of this annotation of a pod template is known to set off, beside a restart.
pub(crate) fn template_annotation(key: &str) -> Option<&'static str> {
    find(TEMPLATE, key).or_else(|| annotation("pods", key))
}

/// What a change of this label on this kind of object is known to set off.
pub(crate) fn label(resource: &str, key: &str) -> Option<&'static str> {
    find(LABELS, key)
        .or_else(|| find(ON_CREATE, key))
        .or_else(|| SELECTED.iter().find(|(it, _)| *it == resource).map(|(_, why)| *why))
}

/// What this label or annotation is known to make of a new object that would be inert without it.
pub(crate) fn on_create(key: &str) -> Option<&'static str> {
    find(ON_CREATE, key)
}

fn find(table: &[(&'static str, &'static str)], key: &str) -> Option<&'static str> {
    let matches = |known: &str| match known.ends_with(['/', '-', '.']) {
        true => key.starts_with(known),
        false => key == known,
    };
    table.iter().find(|(known, _)| matches(known)).map(|(_, why)| *why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_orders_from_notes() {
        let table = [
            (annotation("deployments", "note"), false),
            (annotation("deployments", "kubernetes.io/change-cause"), false),
            (annotation("deployments", "deprecated.deployment.rollback.to"), true),
            (annotation("deployments", "downscaler/force-downtime"), true),
            (annotation("nodes", "note"), false),
            (annotation("nodes", "flannel.alpha.coreos.com/public-ip"), true),
            (template_annotation("kubectl.kubernetes.io/restartedAt"), false),
            (template_annotation("sidecar.istio.io/inject"), true),
            (label("deployments", "team"), false),
            (label("pods", "team"), true),
            (label("deployments", "cleanup.kyverno.io/ttl"), true),
            (on_create("app.kubernetes.io/managed-by"), false),
            (on_create("argocd.argoproj.io/secret-type"), true),
        ];
        for (index, (found, want)) in table.into_iter().enumerate() {
            assert_eq!(found.is_some(), want, "row {index}");
        }
    }
}
