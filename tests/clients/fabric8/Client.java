import io.fabric8.kubernetes.api.model.ConfigMap;
import io.fabric8.kubernetes.api.model.ConfigMapBuilder;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.ConfigBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientBuilder;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.Watch;
import io.fabric8.kubernetes.client.Watcher;
import io.fabric8.kubernetes.client.WatcherException;
import io.fabric8.kubernetes.client.dsl.ExecWatch;
import io.fabric8.kubernetes.client.dsl.LogWatch;
import io.fabric8.kubernetes.client.dsl.Resource;
import io.fabric8.kubernetes.client.dsl.base.PatchContext;
import io.fabric8.kubernetes.client.dsl.base.PatchType;
import io.fabric8.kubernetes.client.http.HttpClient;
import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.stream.Collectors;

/**
 * Lists, watches, patches, runs a command and follows a log with fabric8's client; see
 * Stage::check_program. Its argument is the factory of the HTTP client to use.
 */
public final class Client {
    /** Long enough for a person's decision. */
    private static final int TIME_MAX_MS = 110_000;
    private static final String NAMESPACE = System.getenv("NAMESPACE");

    public static void main(String[] args) throws Exception {
        HttpClient.Factory factory = (HttpClient.Factory) Class.forName(args[0])
            .getDeclaredConstructor().newInstance();
        Config config = new ConfigBuilder(Config.fromKubeconfig(new File(System.getenv("KUBECONFIG"))))
            .withNamespace(NAMESPACE).withRequestTimeout(TIME_MAX_MS).build();
        int code = 0;
        try (KubernetesClient client = new KubernetesClientBuilder().withConfig(config)
                .withHttpClientFactory(factory).build()) {
            run(client);
        } catch (Exception error) {
            error.printStackTrace();
            code = 1;
        }
        System.exit(code);
    }

    private static void run(KubernetesClient client) throws Exception {
        System.out.println("list: " + client.pods().withLabel("app", "bare").list().getItems()
            .stream().map(pod -> pod.getMetadata().getName()).sorted()
            .collect(Collectors.joining(" ")));

        try {
            client.pods().withName("nope").edit(pod -> pod);
        } catch (KubernetesClientException error) {
            System.out.println("missing: " + error.getCode() + " " + error.getStatus().getReason());
        }

        BlockingQueue<String> events = new LinkedBlockingQueue<>();
        Resource<ConfigMap> note = client.configMaps().withName("note");
        try (Watch watching = note.watch(new Teller(events))) {
            client.configMaps().resource(new ConfigMapBuilder().withNewMetadata().withName("note")
                .endMetadata().build()).create();
            System.out.println("watch: " + events.take());
            ConfigMap patched = note.patch(PatchContext.of(PatchType.JSON_MERGE),
                "{\"metadata\":{\"labels\":{\"state\":\"new\"}}}");
            System.out.println("patch: note is " + patched.getMetadata().getLabels().get("state"));
            System.out.println("watch: " + events.take());
        }

        System.out.println("scale: " + client.apps().deployments().withName("web").scale(1)
            .getSpec().getReplicas());

        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        try (ExecWatch exec = client.pods().withName("web").inContainer("c").writingOutput(out)
                .writingError(err).exec("sh", "-c", "echo to stdout; echo to stderr >&2")) {
            int code = exec.exitCode().get();
            System.out.println("exec: out=`" + text(out) + "` err=`" + text(err) + "` code=" + code);
        }

        try (LogWatch following = client.pods().withName("web").inContainer("c").watchLog();
                BufferedReader lines = new BufferedReader(
                    new InputStreamReader(following.getOutput(), StandardCharsets.UTF_8))) {
            System.out.println("log: " + lines.readLine() + " to " + last(lines));
        }
    }

    /** The last line there is so far: the log goes on, and none ever comes. */
    private static String last(BufferedReader lines) throws IOException {
        String line = lines.readLine();
        while (!line.equals("line 30")) {
            line = lines.readLine();
        }
        return line;
    }

    private static String text(ByteArrayOutputStream stream) {
        return stream.toString(StandardCharsets.UTF_8).trim();
    }

    /** Hands on what a watch sees, its end included, so that nobody waits for more in vain. */
    private record Teller(BlockingQueue<String> events) implements Watcher<ConfigMap> {
        @Override
        public void eventReceived(Action action, ConfigMap note) {
            events.add(action + " " + note.getMetadata().getName());
        }

        @Override
        public void onClose() {
            events.add("closed");
        }

        @Override
        public void onClose(WatcherException cause) {
            events.add("closed: " + cause.getMessage());
        }
    }
}
