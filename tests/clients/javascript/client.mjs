// Lists, watches, patches and runs a command with the official JavaScript client; see
// Stage::check_program.
import { PassThrough } from 'node:stream';
import * as k8s from '@kubernetes/client-node';

const config = new k8s.KubeConfig();
config.loadFromFile(process.env.KUBECONFIG);
const namespace = process.env.NAMESPACE;
const core = config.makeApiClient(k8s.CoreV1Api);
const apps = config.makeApiClient(k8s.AppsV1Api);
const merge = k8s.setHeaderOptions('Content-Type', k8s.PatchStrategy.MergePatch);

const pods = await core.listNamespacedPod({ namespace, labelSelector: 'app=bare' });
console.log('list:', pods.items.map((pod) => pod.metadata.name).sort().join(' '));

try {
  await core.readNamespacedPod({ name: 'nope', namespace });
} catch (error) {
  console.log('missing:', error.code, JSON.parse(error.body).reason);
}

const list = await core.listNamespacedConfigMap({ namespace });
await core.createNamespacedConfigMap({ namespace, body: { metadata: { name: 'note' } } });
const events = [];
let woken = () => {};
const watching = await new k8s.Watch(config).watch(
  `/api/v1/namespaces/${namespace}/configmaps`,
  { fieldSelector: 'metadata.name=note', resourceVersion: list.metadata.resourceVersion },
  (type, object) => {
    events.push(`${type} ${object.metadata.name}`);
    woken();
  },
  () => {},
);
async function showEvent() {
  while (events.length === 0) await new Promise((resolve) => (woken = resolve));
  console.log('watch:', events.shift());
}

await showEvent();
const body = { metadata: { labels: { state: 'new' } } };
const note = await core.patchNamespacedConfigMap({ name: 'note', namespace, body }, merge);
console.log('patch: note is', note.metadata.labels.state);
await showEvent();
watching.abort();

const scale = await apps.patchNamespacedDeploymentScale(
  { name: 'web', namespace, body: { spec: { replicas: 1 } } },
  merge,
);
console.log('scale:', scale.spec.replicas);

const gathered = (stream) => {
  const chunks = [];
  stream.on('data', (chunk) => chunks.push(chunk));
  return () => Buffer.concat(chunks).toString().trim();
};
const [stdout, stderr] = [new PassThrough(), new PassThrough()];
const [out, err] = [gathered(stdout), gathered(stderr)];
const command = ['sh', '-c', 'echo to stdout; echo to stderr >&2'];
const exec = new k8s.Exec(config);
const status = await new Promise((resolve, reject) => {
  exec.exec(namespace, 'web', 'c', command, stdout, stderr, null, false, resolve).catch(reject);
});
const code = status.status === 'Success' ? 0 : 1;
console.log(`exec: out=\`${out()}\` err=\`${err()}\` code=${code}`);
process.exit(0);
