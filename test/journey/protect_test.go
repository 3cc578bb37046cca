// SPDX-License-Identifier: Apache-2.0

package journey

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knowngood/knowngood/pkg/backup"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/work"
	"github.com/knowngood/knowngood/test/product"
)

// versitygw names an environment variable with the path of a versitygw, a real S3 server, which
// make soak builds.
const versitygw = "KNOWNGOOD_TEST_VERSITYGW"

// repository is where the backups lie, as pods see it.
const repository = "s3://backups/shop?region=us-east-1&use_path_style=true&endpoint=http://store.%s.svc:7070"

// A keeper is a shop whose policy wants backups, with a store beside it.
type keeper struct {
	stranger
	cluster *kube.Cluster
	image   string
}

// keep opens the shop and the store, and brings knowngood's own image.
func keep(t *testing.T) keeper {
	t.Helper()
	program := os.Getenv(versitygw)
	if program == "" {
		t.Skipf("set %s to the path of a versitygw to run this test with it; make soak builds one", versitygw)
	}
	k := keeper{stranger: stranger{begin(t, "protect-journey"), t}, image: "knowngood.test/knowngood:protect"}
	t.Cleanup(func() {
		if _, err := k.Kubernetes(context.WithoutCancel(t.Context()), "delete", "namespace", k.Namespace, "--wait=false"); err != nil {
			t.Log(err)
		}
	})
	tool := filepath.Join(k.Cache, "images", "image")
	own, store := filepath.Join(k.Work, "knowngood.tar"), filepath.Join(k.Work, "store.tar")
	fatal(t, product.Image(t.Context(), product.Request{
		Root: k.Root, Work: k.Work, Tool: tool, Name: k.image, Version: "test", Revision: "none", Out: k.Out,
	}, own))
	data, err := os.ReadFile(program)
	fatal(t, err)
	k.write("store/versitygw", data)
	k.write("store/Dockerfile", []byte("FROM scratch\nCOPY --chmod=755 versitygw /versitygw\nUSER 65532:65532\nENTRYPOINT [\"/versitygw\"]\n"))
	fatal(t, k.run(t.Context(), k.Root, tool, "build", "-t", "knowngood.test/store:protect", "-o", store, filepath.Join(k.Work, "store")))
	fatal(t, k.Load(t.Context(), []string{own, store}))
	text, err := os.ReadFile("testdata/store.yaml")
	fatal(t, err)
	fatal(t, k.kubectlWith(t.Context(), strings.ReplaceAll(string(text), "%KEY%", backup.NewKey().Reveal()), "apply", "-f", "-"))
	k.kubernetes("wait", "--for=condition=Ready", "pod/store", "--timeout=60s")
	k.cluster, err = kube.Connect(kube.Config{Kubeconfig: k.Kubeconfig, Namespace: k.Namespace, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Now: time.Now})
	fatal(t, err)
	return k
}

func fatal(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// scan leaves a scan of the commit, and its checkout.
func (k keeper) scan(name string) {
	k.t.Helper()
	_, err := k.output(k.t.Context(), k.checkout(), "git", "switch", "--quiet", "--detach", string(k.Commits[name]))
	fatal(k.t, err)
	fatal(k.t, k.Journey.run(k.t.Context(), k.Root, k.shop, "scan", "--repo", k.checkout(), "--out", k.report(name), string(k.Commits[name])))
}

// inputs are what a release with backups is given besides the others.
func (k keeper) inputs(more ...string) []string {
	config := filepath.Join(k.Work, "backups.yaml")
	fatal(k.t, os.WriteFile(config, []byte("protect:\n  none: backup\n  low: backup\n  medium: backup\n  high: backup\n  critical: backup\n"), 0o600))
	return append([]string{
		"--config", config, "--repository", fmt.Sprintf(repository, k.Namespace), "--repository-password-secret", "shop-backups",
		"--bucket-secret", "bucket", "--allow-http=true", "--backup-image", k.image, "--skip", "rotate", "--skip", "report",
	}, more...)
}

// released runs a release to its end.
func (k keeper) released(name string, more ...string) (release.Record, int, string) {
	k.t.Helper()
	cmd := k.command(k.t.Context(), name, k.inputs(more...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, io.MultiWriter(&stderr, k.Out)
	_ = cmd.Run() // the status tells
	var record release.Record
	if err := json.Unmarshal(stdout.Bytes(), &record); err != nil {
		k.t.Fatalf("record: %v\n%s", err, &stderr)
	}
	return record, cmd.ProcessState.ExitCode(), stderr.String()
}

// orders counts what the shop's own database holds.
func (k keeper) orders() int {
	k.t.Helper()
	return number(k.t, k.kubernetes("exec", "db-0", "-c", "db", "--", "psql", "-Atd", "shop", "-c", "select count(*) from orders"))
}

func number(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(text))
	fatal(t, err)
	return n
}

// counted restores a backup to a claim of its own, starts PostgreSQL on it and counts the orders.
func (k keeper) counted(b release.Backup) int {
	k.t.Helper()
	name := kube.Name("look", b.ID)
	class, image := "loop", k.kubernetes("get", "statefulset", "db", "-o", "jsonpath={.spec.template.spec.containers[0].image}")
	const look = `set -eu; chmod 0700 /restored/postgresql
postgres -D /restored/postgresql -c config_file=/opt/db/postgresql.conf -c listen_addresses= -c ssl=off -c unix_socket_directories=/tmp >/tmp/log 2>&1 &
for i in $(seq 60); do psql -h /tmp -Atd shop -c "select 'orders', count(*) from orders" >/tmp/said 2>&1 && { cat /tmp/said >/dev/termination-log; exit 0; }; sleep 1; done
cat /tmp/log /tmp/said >&2; exit 1`
	said := ""
	fatal(k.t, os.WriteFile(filepath.Join(k.Work, "count"), nil, 0o600))
	job := work.Job{
		Name: name, About: b.Volume, Start: 3 * time.Minute, Deadline: 5 * time.Minute,
		Subject: release.Subject{App: b.App, Environment: b.Environment, Commit: b.Commit, Run: b.Run},
		Programs: []work.Program{{
			Name: "restore", Image: k.image, Identity: work.Restorer(), Writes: true,
			Args:    []string{"backup", "restore", b.ID, "--to", "/restored", "--overwrite", "--allow-http", "--repository", fmt.Sprintf(repository, k.Namespace)},
			Secrets: []work.Secret{{Variable: "KNOWNGOOD_REPOSITORY_PASSWORD", Name: "shop-backups", Key: "password"}}, Bundles: []string{"bucket"},
		}, {
			Name: "look", Image: image, Command: []string{"/bin/sh", "-c", look}, Identity: work.User(999, 999), Writes: true,
		}},
		Claims: []*corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, StorageClassName: &class,
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("512Mi")}},
		}}},
		Mounts: []work.Mount{{Claim: name, Path: "/restored"}},
	}
	watcher, err := k.cluster.Core.CoreV1().Pods(k.Namespace).Watch(k.t.Context(), metav1.ListOptions{LabelSelector: work.LabelJob + "=" + name})
	fatal(k.t, err)
	defer watcher.Stop()
	_, err = work.Run(k.t.Context(), k.cluster, job)
	fatal(k.t, err)
	for said == "" {
		event := <-watcher.ResultChan()
		pod, ok := event.Object.(*corev1.Pod)
		if !ok {
			k.t.Fatal("the watch ended")
		}
		for _, s := range pod.Status.ContainerStatuses {
			if s.State.Terminated != nil {
				said = s.State.Terminated.Message
			}
		}
	}
	return number(k.t, strings.TrimPrefix(strings.TrimSpace(said), "orders|"))
}

// nothingLeft waits until no Job and no claim but the shop's own is there.
func (k keeper) nothingLeft() {
	k.t.Helper()
	k.kubernetes("wait", "--for=delete", "job,persistentvolumeclaim", "--selector", work.LabelJob, "--timeout=180s")
	for _, kind := range []string{"jobs", "persistentvolumeclaims", "pods"} {
		if left := k.kubernetes("get", kind, "--selector", work.LabelJob, "-o", "name"); left != "" {
			k.t.Errorf("left: %s", left)
		}
	}
}

// TestBackupLeavesTheCluster releases a commit whose policy wants a backup: the orders that were
// made before the snapshot are found by a PostgreSQL started on what was restored.
func TestBackupLeavesTheCluster(t *testing.T) {
	k := keep(t)
	k.scan("clean")
	before := k.orders()
	record, status, log := k.released("clean", "--run", "keep-1")
	if status != 0 {
		t.Fatalf("exit status %d\n%s", status, log)
	}
	saved := record.Last("backup-save")
	if saved == nil || saved.State != release.Done || len(saved.Copies.Backups) != 1 || !saved.Copies.Backups[0].Whole() {
		t.Fatalf("entry %+v", saved)
	}
	k.nothingLeft()
	if got := k.counted(saved.Copies.Backups[0]); got < before {
		t.Errorf("%d orders came back, and there were %d before the release", got, before)
	}
	t.Logf("%+v", saved.Copies.Backups[0])
}
