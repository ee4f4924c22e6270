import io.kubernetes.client.Exec;
import io.kubernetes.client.custom.V1Patch;
import io.kubernetes.client.openapi.ApiClient;
import io.kubernetes.client.openapi.ApiException;
import io.kubernetes.client.openapi.apis.AppsV1Api;
import io.kubernetes.client.openapi.apis.CoreV1Api;
import io.kubernetes.client.openapi.models.V1ConfigMap;
import io.kubernetes.client.openapi.models.V1ObjectMeta;
import io.kubernetes.client.openapi.models.V1Scale;
import io.kubernetes.client.openapi.models.V1Status;
import io.kubernetes.client.util.Config;
import io.kubernetes.client.util.PatchUtils;
import io.kubernetes.client.util.Watch;
import com.google.gson.reflect.TypeToken;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.stream.Collectors;

/**
 * Lists, watches, patches and runs a command with the official Java client; see
 * Stage::check_program.
 */
public final class Client {
    private static final String NAMESPACE = System.getenv("NAMESPACE");

    public static void main(String[] args) throws Exception {
        try {
            run(Config.fromConfig(System.getenv("KUBECONFIG")));
            System.exit(0);
        } catch (ApiException error) {
            System.err.println(error.getCode() + " " + error.getResponseBody());
            System.exit(1);
        }
    }

    private static void run(ApiClient client) throws Exception {
        // Long enough for a person's decision.
        client.setReadTimeout(110_000);
        CoreV1Api core = new CoreV1Api(client);
        AppsV1Api apps = new AppsV1Api(client);

        String names = core.listNamespacedPod(NAMESPACE).labelSelector("app=bare").execute()
            .getItems().stream().map(pod -> pod.getMetadata().getName()).sorted()
            .collect(Collectors.joining(" "));
        System.out.println("list: " + names);

        try {
            core.readNamespacedPod("nope", NAMESPACE).execute();
        } catch (ApiException error) {
            V1Status status = V1Status.fromJson(error.getResponseBody());
            System.out.println("missing: " + error.getCode() + " " + status.getReason());
        }

        String since = core.listNamespacedConfigMap(NAMESPACE).execute().getMetadata()
            .getResourceVersion();
        V1ConfigMap note = new V1ConfigMap().metadata(new V1ObjectMeta().name("note"));
        core.createNamespacedConfigMap(NAMESPACE, note).execute();
        try (Watch<V1ConfigMap> events = Watch.createWatch(client,
                core.listNamespacedConfigMap(NAMESPACE).fieldSelector("metadata.name=note")
                    .resourceVersion(since).watch(true).buildCall(null),
                new TypeToken<Watch.Response<V1ConfigMap>>() {}.getType())) {
            show(events.next());
            String labels = "{\"metadata\":{\"labels\":{\"state\":\"new\"}}}";
            note = PatchUtils.patch(V1ConfigMap.class,
                () -> core.patchNamespacedConfigMap("note", NAMESPACE, new V1Patch(labels))
                    .buildCall(null),
                V1Patch.PATCH_FORMAT_JSON_MERGE_PATCH, client);
            System.out.println("patch: note is " + note.getMetadata().getLabels().get("state"));
            show(events.next());
        }

        String replicas = "{\"spec\":{\"replicas\":1}}";
        V1Scale scale = PatchUtils.patch(V1Scale.class,
            () -> apps.patchNamespacedDeploymentScale("web", NAMESPACE, new V1Patch(replicas))
                .buildCall(null),
            V1Patch.PATCH_FORMAT_JSON_MERGE_PATCH, client);
        System.out.println("scale: " + scale.getSpec().getReplicas());

        // It waits for a word, because this client's streams must be asked for while it runs.
        String[] command = {"sh", "-c", "read word; echo to stdout; echo to stderr >&2"};
        Process process = new Exec(client).exec(NAMESPACE, "web", command, "c", true, false);
        InputStream stdout = process.getInputStream();
        InputStream stderr = process.getErrorStream();
        process.getOutputStream().write("go\n".getBytes(StandardCharsets.UTF_8));
        process.getOutputStream().flush();
        String out = text(stdout);
        String err = text(stderr);
        int code = process.waitFor();
        System.out.println("exec: out=`" + out + "` err=`" + err + "` code=" + code);
    }

    private static void show(Watch.Response<V1ConfigMap> event) {
        System.out.println("watch: " + event.type + " " + event.object.getMetadata().getName());
    }

    private static String text(InputStream stream) throws Exception {
        return new String(stream.readAllBytes(), StandardCharsets.UTF_8).trim();
    }
}
