"""Lists, watches, patches and runs a command with the official Python client; see Stage::check_program."""

import os

from kubernetes import client, config, watch
from kubernetes.stream import stream

config.load_kube_config(os.environ["KUBECONFIG"])
namespace = os.environ["NAMESPACE"]
core, apps = client.CoreV1Api(), client.AppsV1Api()

pods = core.list_namespaced_pod(namespace, label_selector="app=bare")
print("list:", " ".join(sorted(pod.metadata.name for pod in pods.items)))

try:
    core.read_namespaced_pod("nope", namespace)
except client.ApiException as error:
    print("missing:", error.status, error.reason.replace(" ", ""))

since = core.list_namespaced_config_map(namespace).metadata.resource_version
core.create_namespaced_config_map(namespace, {"metadata": {"name": "note"}})
events = watch.Watch().stream(
    core.list_namespaced_config_map,
    namespace,
    field_selector="metadata.name=note",
    resource_version=since,
    timeout_seconds=60,
)


def show_event():
    event = next(events)
    print("watch:", event["type"], event["object"].metadata.name)


show_event()
labels = {"metadata": {"labels": {"state": "new"}}}
note = core.patch_namespaced_config_map("note", namespace, labels)
print("patch: note is", note.metadata.labels["state"])
show_event()

scale = apps.patch_namespaced_deployment_scale("web", namespace, {"spec": {"replicas": 1}})
print("scale:", scale.spec.replicas)

command = ["sh", "-c", "echo to stdout; echo to stderr >&2"]
run = stream(
    core.connect_get_namespaced_pod_exec,
    "web",
    namespace,
    command=command,
    stdout=True,
    stderr=True,
    stdin=False,
    tty=False,
    _preload_content=False,
)
run.run_forever(timeout=120)
out, err = run.read_stdout().strip(), run.read_stderr().strip()
print(f"exec: out=`{out}` err=`{err}` code={run.returncode}")
