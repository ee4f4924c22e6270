//! Labels and annotations that some controller acts on. A list of what is known, not of all that
//! exists: it makes such a change a hold in production, where an inert label passes.

/// Annotation keys, or prefixes that end in `/` or `-`, and what they do.
const ANNOTATIONS: [(&str, &str); 22] = [
    ("deprecated.deployment.rollback.to", "rolls the deployment back"),
    ("deployment.kubernetes.io/", "belongs to the deployment controller"),
    ("autoscaling.alpha.kubernetes.io/", "rewrites the autoscaler's spec"),
    ("autoscaling.keda.sh/", "pauses or sets an autoscaler"),
    ("downscaler/", "scales the workload down"),
    ("janitor/", "deletes the object later"),
    ("cleanup.kyverno.io/", "deletes the object later"),
    ("cnpg.io/", "hibernates or fences a database"),
    ("argocd.argoproj.io/", "decides what is synced or pruned"),
    ("kustomize.toolkit.fluxcd.io/", "decides what is reconciled or pruned"),
    ("helm.sh/resource-policy", "decides what an uninstall deletes"),
    ("meta.helm.sh/", "decides which release owns the object"),
    ("service.beta.kubernetes.io/", "changes the load balancer"),
    ("service.kubernetes.io/", "changes how traffic is routed"),
    ("endpoints.kubernetes.io/", "changes how traffic is routed"),
    ("nginx.ingress.kubernetes.io/", "changes how traffic is routed"),
    ("traefik.ingress.kubernetes.io/", "changes how traffic is routed"),
    ("volume.beta.kubernetes.io/", "belongs to the volume controller"),
    ("pv.kubernetes.io/", "belongs to the volume controller"),
    ("volume.kubernetes.io/", "belongs to the volume controller"),
    ("kubernetes.io/service-account.", "turns a Secret into a credential"),
    ("cluster-autoscaler.kubernetes.io/", "decides which nodes are drained"),
];

/// Label keys, or prefixes, and what they do.
const LABELS: [(&str, &str); 10] = [
    ("cleanup.kyverno.io/", "deletes the object later"),
    ("service.kubernetes.io/", "changes who routes the service"),
    ("kubernetes.io/service-name", "changes which service the endpoints are of"),
    ("endpointslice.kubernetes.io/", "changes who manages the endpoints"),
    ("node-role.kubernetes.io/", "changes what runs on the node"),
    ("node.kubernetes.io/", "changes what runs on the node"),
    ("pod-security.kubernetes.io/", "changes what pods may do"),
    ("kubernetes.io/metadata.name", "is what selectors know the namespace by"),
    ("app.kubernetes.io/managed-by", "decides which tool owns the object"),
    ("istio-injection", "changes what runs beside the pods"),
];

/// Kinds whose labels something selects by: pods by services and workloads, nodes by pods.
const SELECTED: [(&str, &str); 3] = [
    ("pods", "services and workloads select pods by labels"),
    ("nodes", "pods select nodes by labels"),
    ("endpointslices", "routing selects endpoints by labels"),
];

/// What a change of this annotation sets off.
pub(crate) fn annotation(key: &str) -> Option<&'static str> {
    find(&ANNOTATIONS, key)
}

/// What a change of this label on this kind of object sets off.
pub(crate) fn label(resource: &str, key: &str) -> Option<&'static str> {
    find(&LABELS, key)
        .or_else(|| SELECTED.iter().find(|(it, _)| *it == resource).map(|(_, why)| *why))
}

fn find(table: &[(&'static str, &'static str)], key: &str) -> Option<&'static str> {
    let matches = |known: &str| match known.ends_with(['/', '-', '.']) {
        true => key.starts_with(known),
        false => key == known,
    };
    table.iter().find(|(known, _)| matches(known)).map(|(_, why)| *why)
}
