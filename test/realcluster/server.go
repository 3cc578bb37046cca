// SPDX-License-Identifier: Apache-2.0

package realcluster

import (
	"maps"
	"testing"
	"time"

	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/knowngood/knowngood/pkg/kube"
)

// Variables that name other images than the shop's own.
const (
	webSwitch      = "KNOWNGOOD_TEST_SHOP_IMAGE"
	databaseSwitch = "KNOWNGOOD_TEST_POSTGRESQL_IMAGE"
)

// Authority makes the issuer "authority", which signs what Serve asks for.
func (c *Cluster) Authority(t testing.TB) {
	t.Helper()
	c.Apply(t, `
apiVersion: cert-manager.io/v1
kind: Issuer
metadata: {name: self}
spec: {selfSigned: {}}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: root, labels: {app: root}}
spec: {isCA: true, commonName: root, secretName: root, privateKey: {algorithm: ECDSA}, issuerRef: {name: self}}
---
apiVersion: cert-manager.io/v1
kind: Issuer
metadata: {name: authority}
spec: {ca: {secretName: root}}
`)
}

// Certificate asks for one, unless it is there.
func (c *Cluster) Certificate(t *testing.T, name string) {
	t.Helper()
	certificate := &cmapi.Certificate{
		ObjectMeta: metav1.ObjectMeta{Namespace: c.Namespace, Name: name, Labels: map[string]string{"app": name}},
		Spec: cmapi.CertificateSpec{
			SecretName: name + "-tls", DNSNames: []string{name, name + "." + c.Namespace + ".svc"},
			PrivateKey: &cmapi.CertificatePrivateKey{Algorithm: cmapi.ECDSAKeyAlgorithm, RotationPolicy: cmapi.RotationPolicyAlways},
			IssuerRef:  cmmeta.IssuerReference{Name: "authority"},
		},
	}
	_, err := c.Certificates.CertmanagerV1().Certificates(c.Namespace).Create(t.Context(), certificate, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
}

// A Server is a workload of the shop's images that serves a Certificate of its own name; both
// bear the label app=NAME.
type Server struct {
	Kind     string // Deployment or StatefulSet
	Name     string
	Replicas int32
	// Database makes it PostgreSQL, which reads its certificate anew when told to; otherwise it
	// is the shop, which reads it once.
	Database    bool
	Annotations map[string]string // of the template
	// Change alters the template.
	Change func(*corev1.PodTemplateSpec)
	// Strategy of a Deployment; nil is Kubernetes' own. MinReady is after how many seconds its
	// pods count as available.
	Strategy *appsv1.DeploymentStrategy
	MinReady int32
}

// Serve runs servers and waits until all of their pods are ready.
func (c *Cluster) Serve(t *testing.T, servers ...Server) {
	t.Helper()
	for i := range servers {
		c.run(t, &servers[i])
	}
	for i := range servers {
		c.awaitReady(t, servers[i].Name, int(servers[i].Replicas))
	}
}

func (c *Cluster) run(t *testing.T, s *Server) {
	t.Helper()
	c.Certificate(t, s.Name)
	meta := metav1.ObjectMeta{Namespace: c.Namespace, Name: s.Name, Labels: map[string]string{"app": s.Name}}
	var err error
	template, selector := c.template(t, s), &metav1.LabelSelector{MatchLabels: meta.Labels}
	switch s.Kind {
	case "Deployment":
		spec := appsv1.DeploymentSpec{Replicas: &s.Replicas, Selector: selector, Template: template, MinReadySeconds: s.MinReady}
		if s.MinReady > 0 {
			deadline := s.MinReady + 600
			spec.ProgressDeadlineSeconds = &deadline
		}
		if s.Strategy != nil {
			spec.Strategy = *s.Strategy
		}
		_, err = c.Core.AppsV1().Deployments(c.Namespace).Create(t.Context(), &appsv1.Deployment{ObjectMeta: meta, Spec: spec}, metav1.CreateOptions{})
	case "StatefulSet":
		_, err = c.Core.AppsV1().StatefulSets(c.Namespace).Create(t.Context(), &appsv1.StatefulSet{ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{
			Replicas: &s.Replicas, Selector: selector, Template: template, PodManagementPolicy: appsv1.ParallelPodManagement,
		}}, metav1.CreateOptions{})
	default:
		t.Fatalf("a server of kind %s", s.Kind)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (c *Cluster) template(t *testing.T, s *Server) corev1.PodTemplateSpec {
	t.Helper()
	port, user, mode, grace := int32(8443), int64(65532), int32(0o440), int64(1)
	image := ""
	if s.Database {
		port, user, mode = 5432, 999, 0o640
		image = c.Image(t, "/shop-db:", databaseSwitch)
	} else {
		image = c.Image(t, "/shop:", webSwitch)
	}
	secret := &corev1.SecretVolumeSource{SecretName: s.Name + "-tls", DefaultMode: &mode}
	container := corev1.Container{
		Name: "main", Image: image, ImagePullPolicy: corev1.PullNever,
		Ports:        []corev1.ContainerPort{{ContainerPort: port}},
		VolumeMounts: []corev1.VolumeMount{{Name: "tls", MountPath: "/tls"}},
		ReadinessProbe: &corev1.Probe{PeriodSeconds: 1, ProbeHandler: corev1.ProbeHandler{
			TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(port)},
		}},
	}
	volumes := []corev1.Volume{{Name: "tls", VolumeSource: corev1.VolumeSource{Secret: secret}}}
	if s.Database {
		for _, path := range []string{"/data", "/run/postgresql", "/dev/shm"} {
			name := "d" + string('a'+rune(len(volumes)))
			volumes = append(volumes, corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
			container.VolumeMounts = append(container.VolumeMounts, corev1.VolumeMount{Name: name, MountPath: path})
		}
	} else {
		container.Args = []string{"serve", "--drain=0s"}
	}
	no := false
	template := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": s.Name}, Annotations: maps.Clone(s.Annotations)},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken: &no, EnableServiceLinks: &no, TerminationGracePeriodSeconds: &grace,
			SecurityContext: &corev1.PodSecurityContext{RunAsUser: &user, RunAsGroup: &user, FSGroup: &user},
			Containers:      []corev1.Container{container}, Volumes: volumes,
		},
	}
	if s.Change != nil {
		s.Change(&template)
	}
	return template
}

// awaitReady waits until so many pods of the app are ready.
func (c *Cluster) awaitReady(t *testing.T, app string, pods int) {
	t.Helper()
	spec := kube.WaitSpec{What: "pods of " + app, Timeout: 2 * time.Minute, Resource: "pods", Namespace: c.Namespace, Selector: "app=" + app}
	err := kube.Wait(t.Context(), c.Cluster, spec, c.Core.CoreV1().Pods(c.Namespace), func(all []*corev1.Pod) (kube.Progress, error) {
		ready, state := 0, "no pods"
		for _, pod := range all {
			state = string(pod.Status.Phase)
			for _, condition := range pod.Status.Conditions {
				if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue {
					ready++
				}
			}
		}
		return kube.Progress{Done: ready == pods, State: state}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
