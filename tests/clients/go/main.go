// Command client lists, watches with an informer, patches and runs a command with client-go; see
// Stage::check_program.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sort"
	"strings"
	"time"

	autoscaling "k8s.io/api/autoscaling/v1"
	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/remotecommand"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 110*time.Second)
	defer cancel()
	if err := run(ctx, os.Getenv("KUBECONFIG"), os.Getenv("NAMESPACE")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, kubeconfig, namespace string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	pods, err := client.CoreV1().Pods(namespace).List(ctx, meta.ListOptions{LabelSelector: "app=bare"})
	if err != nil {
		return err
	}
	var names []string
	for _, pod := range pods.Items {
		names = append(names, pod.Name)
	}
	sort.Strings(names)
	fmt.Println("list:", strings.Join(names, " "))

	_, err = client.CoreV1().Pods(namespace).Get(ctx, "nope", meta.GetOptions{})
	if status := apierrors.APIStatus(nil); errors.As(err, &status) {
		fmt.Println("missing:", status.Status().Code, status.Status().Reason)
	}

	events, err := watch(ctx, client, namespace)
	if err != nil {
		return err
	}
	maps := client.CoreV1().ConfigMaps(namespace)
	note := &core.ConfigMap{ObjectMeta: meta.ObjectMeta{Name: "note"}}
	if _, err = maps.Create(ctx, note, meta.CreateOptions{}); err != nil {
		return err
	}
	show := func() {
		select {
		case event := <-events:
			fmt.Println("watch:", event)
		case <-ctx.Done():
		}
	}
	show()
	labels := []byte(`{"metadata":{"labels":{"state":"new"}}}`)
	note, err = maps.Patch(ctx, "note", types.MergePatchType, labels, meta.PatchOptions{})
	if err != nil {
		return err
	}
	fmt.Println("patch: note is", note.Labels["state"])
	show()

	replicas := []byte(`{"spec":{"replicas":1}}`)
	// Deployments(…).Patch would read the answer, which is a Scale, as a Deployment.
	var scale autoscaling.Scale
	err = client.AppsV1().RESTClient().Patch(types.MergePatchType).
		Resource("deployments").Namespace(namespace).Name("web").SubResource("scale").
		Body(replicas).Do(ctx).Into(&scale)
	if err != nil {
		return err
	}
	fmt.Println("scale:", scale.Spec.Replicas)

	request := client.CoreV1().RESTClient().Post().
		Resource("pods").Namespace(namespace).Name("web").SubResource("exec").
		VersionedParams(&core.PodExecOptions{
			Command: []string{"sh", "-c", "echo to stdout; echo to stderr >&2"},
			Stdout:  true, Stderr: true,
		}, scheme.ParameterCodec)
	executor, err := remotecommand.NewWebSocketExecutor(config, http.MethodGet, request.URL().String())
	if err != nil {
		return err
	}
	var out, errOut bytes.Buffer
	err = executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: &out, Stderr: &errOut})
	if err != nil {
		return fmt.Errorf("exec: %w", err)
	}
	fmt.Printf("exec: out=`%s` err=`%s` code=0\n", strings.TrimSpace(out.String()),
		strings.TrimSpace(errOut.String()))
	return nil
}

// watch starts a shared informer and waits until it has listed; what it sees afterwards is told.
func watch(ctx context.Context, client kubernetes.Interface, namespace string) (<-chan string, error) {
	events := make(chan string, 16)
	tell := func(what string, object any) {
		if note, ok := object.(*core.ConfigMap); ok && note.Name == "note" {
			events <- what + " " + note.Name
		}
	}
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(namespace))
	informer := factory.Core().V1().ConfigMaps().Informer()
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { tell("ADDED", object) },
		UpdateFunc: func(_, object any) { tell("MODIFIED", object) },
	})
	if err != nil {
		return nil, err
	}
	factory.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		return nil, errors.New("the informer never synced")
	}
	return events, nil
}
