// SPDX-License-Identifier: Apache-2.0

// Package workloads is a double of what runs in a cluster, for tests: controllers that roll
// Deployments and StatefulSets out, a kubelet that brings Secrets into pods, and pods that
// serve the certificate which they have read, over real TLS on connections in memory.
package workloads

import (
	"crypto/tls"
	"fmt"
	"maps"
	"net"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/knowngood/knowngood/test/fakecluster"
	"github.com/knowngood/knowngood/test/peer"
)

// Mood is how a workload takes a restart.
type Mood string

// Moods.
const (
	Rolls Mood = ""
	// Halts: no controller does anything.
	Halts Mood = "halts"
	// Sticks: the new pod never becomes ready, and the controller gives up.
	Sticks Mood = "sticks"
	// Crashes: the new pod crashes again and again.
	Crashes Mood = "crashes"
	// Reverts: somebody takes the annotation away again.
	Reverts Mood = "reverts"
)

// An App is a workload of the double.
type App struct {
	Kind     string // Deployment or StatefulSet; "Pod" for one that nobody controls; else a kind that is not known
	Name     string
	Secret   string
	Replicas int32
	Mood     Mood
	// Annotations of the template.
	Annotations map[string]string
	// Ports and what answers there; nil is 8443 with TLS.
	Ports map[int]func(*tls.Config) func(net.Conn)
	// StaleStarts is how many pods to come read the old Secret, from the kubelet's cache.
	StaleStarts int
	// Late pods never see a new content of the Secret while they run.
	Late bool
	// Deaf containers run the reload command and read nothing.
	Deaf bool
	// Change alters the pod's template.
	Change func(*corev1.PodTemplateSpec)
}

// A Double holds the workloads and Secrets of one namespace.
type Double struct {
	*fakecluster.Cluster
	t testing.TB

	mu      sync.Mutex
	secrets map[string]tls.Certificate
	before  map[string]tls.Certificate // what a stale cache holds
	apps    map[string]*App
	pods    map[string]*pod
	counter int
	// Restarts counts the rollouts by workload, Reloads the commands by pod, Nudges those of
	// pods.
	restarts, reloads, nudges map[string]int
}

// A pod is what a running pod holds in its memory.
type pod struct {
	app    *App
	loaded tls.Certificate
	file   tls.Certificate
}

// Start puts a double behind a fake cluster. It ends with the test.
func Start(t testing.TB, cluster *fakecluster.Cluster) *Double {
	t.Helper()
	d := &Double{
		Cluster: cluster, t: t,
		secrets: map[string]tls.Certificate{}, before: map[string]tls.Certificate{},
		apps: map[string]*App{}, pods: map[string]*pod{},
		restarts: map[string]int{}, reloads: map[string]int{}, nudges: map[string]int{},
	}
	cluster.Streams = &streams{d}
	d.count()
	d.control()
	return d
}

// Store puts a certificate into a Secret.
func (d *Double) Store(secret string, certificate tls.Certificate) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.before[secret] = d.secrets[secret]
	d.secrets[secret] = certificate
}

// Stale makes the next pods of an app, so many of them, read the old Secret.
func (d *Double) Stale(app string, pods int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.apps[app].StaleStarts = pods
}

// Count returns how often each workload was restarted, each pod reloaded and nudged.
func (d *Double) Count() (restarts, reloads, nudges map[string]int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.restarts), maps.Clone(d.reloads), maps.Clone(d.nudges)
}

// Run creates a workload with its pods, ready.
func (d *Double) Run(app App) {
	d.t.Helper()
	if app.Ports == nil {
		app.Ports = map[int]func(*tls.Config) func(net.Conn){8443: peer.Web}
	}
	d.mu.Lock()
	d.apps[app.Name] = &app
	d.mu.Unlock()
	template := templateOf(&app)
	meta := metav1.ObjectMeta{Name: app.Name, Namespace: d.Namespace, UID: types.UID("uid-" + app.Name), Generation: 1}
	selector := &metav1.LabelSelector{MatchLabels: template.Labels}
	apps, ctx := d.CoreFake.AppsV1(), d.t.Context()
	var err error
	switch app.Kind {
	case "Deployment":
		_, err = apps.Deployments(d.Namespace).Create(ctx, &appsv1.Deployment{
			ObjectMeta: meta, Spec: appsv1.DeploymentSpec{Replicas: &app.Replicas, Selector: selector, Template: template},
			Status: appsv1.DeploymentStatus{
				ObservedGeneration: 1, Replicas: app.Replicas, UpdatedReplicas: app.Replicas, ReadyReplicas: app.Replicas, AvailableReplicas: app.Replicas,
			},
		}, metav1.CreateOptions{})
	case "StatefulSet":
		_, err = apps.StatefulSets(d.Namespace).Create(ctx, &appsv1.StatefulSet{
			ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{Replicas: &app.Replicas, Selector: selector, Template: template},
			Status: appsv1.StatefulSetStatus{
				ObservedGeneration: 1, Replicas: app.Replicas, UpdatedReplicas: app.Replicas, ReadyReplicas: app.Replicas, AvailableReplicas: app.Replicas,
				CurrentRevision: "1", UpdateRevision: "1",
			},
		}, metav1.CreateOptions{})
	}
	if err != nil {
		d.t.Fatal(err)
	}
	for range app.Replicas {
		if err := d.birth(&app, template); err != nil {
			d.t.Fatal(err)
		}
	}
}

func templateOf(app *App) corev1.PodTemplateSpec {
	template := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": app.Name}, Annotations: maps.Clone(app.Annotations)},
		Spec: corev1.PodSpec{
			Volumes: []corev1.Volume{{Name: "tls", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: app.Secret}}}},
			Containers: []corev1.Container{{
				Name: "main", Image: "main",
				VolumeMounts:   []corev1.VolumeMount{{Name: "tls", MountPath: "/tls"}},
				ReadinessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(8443)}}},
			}},
		},
	}
	for port := range app.Ports {
		template.Spec.Containers[0].Ports = append(template.Spec.Containers[0].Ports, corev1.ContainerPort{ContainerPort: int32(port)})
	}
	if app.Change != nil {
		app.Change(&template)
	}
	return template
}

// birth creates a ready pod that has read its Secret.
func (d *Double) birth(app *App, template corev1.PodTemplateSpec) error {
	made := d.newPod(app, template)
	made.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	started := metav1.NewTime(d.Now())
	made.Status.StartTime, made.Status.Phase = &started, corev1.PodRunning
	d.mu.Lock()
	content := d.secrets[app.Secret]
	if app.StaleStarts > 0 && d.before[app.Secret].Leaf != nil {
		app.StaleStarts--
		content = d.before[app.Secret]
	}
	d.pods[made.Name] = &pod{app: app, loaded: content, file: content}
	d.mu.Unlock()
	_, err := d.CoreFake.CoreV1().Pods(d.Namespace).Create(d.t.Context(), made, metav1.CreateOptions{})
	return err
}

func (d *Double) newPod(app *App, template corev1.PodTemplateSpec) *corev1.Pod {
	d.mu.Lock()
	d.counter++
	name := fmt.Sprintf("%s-%d", app.Name, d.counter)
	d.mu.Unlock()
	controller := true
	meta := *template.ObjectMeta.DeepCopy()
	meta.Name, meta.Namespace, meta.UID = name, d.Namespace, types.UID("uid-"+name)
	meta.CreationTimestamp = metav1.NewTime(d.Now())
	owner := metav1.OwnerReference{APIVersion: "apps/v1", Kind: app.Kind, Name: app.Name, UID: types.UID("uid-" + app.Name), Controller: &controller}
	switch app.Kind {
	case "Pod":
		return &corev1.Pod{ObjectMeta: meta, Spec: template.Spec}
	case "Deployment", "StatefulSet":
	default:
		owner.APIVersion = "example.com/v1"
	}
	// A Deployment owns its pods without a ReplicaSet between, which no rule here depends on.
	meta.OwnerReferences = []metav1.OwnerReference{owner}
	return &corev1.Pod{ObjectMeta: meta, Spec: template.Spec}
}

// Now is the cluster's clock.
func (d *Double) Now() time.Time { return d.Cluster.Cluster.Now() }
