// SPDX-License-Identifier: Apache-2.0

package journey

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/knowngood/knowngood/pkg/backup"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/work"
	"github.com/knowngood/knowngood/test/product"
)

// versitygw names an environment variable with the path of a versitygw, a real S3 server, which
// make soak builds.
const versitygw = "KNOWNGOOD_TEST_VERSITYGW"

// repository is where the backups lie, as pods see it.
const repository = "s3://backups/shop?region=us-east-1&use_path_style=true&endpoint=http://store.%s.svc:7070"

// late is a StorageClass whose volumes are made only when a pod is scheduled that mounts them.
const late = "protect-late"

// A keeper is a shop whose policy wants backups, with a store beside it.
type keeper struct {
	stranger
	image string
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
		if _, err := k.Kubernetes(context.WithoutCancel(t.Context()), "delete", "namespace/"+k.Namespace, "storageclass/"+late, "--wait=false"); err != nil {
			t.Log(err)
		}
	})
	tool := filepath.Join(k.Cache, "images", "image")
	own, store := filepath.Join(k.Work, "knowngood.tar"), filepath.Join(k.Work, "store.tar")
	request := product.Request{Root: k.Root, Work: k.Work, Tool: tool, Name: k.image, Version: "test", Revision: "none", Out: k.Out}
	fatal(t, product.Image(t.Context(), request, own))
	request.Name = "knowngood.test/store:protect"
	fatal(t, product.Store(t.Context(), request, program, store))
	fatal(t, k.Load(t.Context(), []string{own, store}))
	text, err := os.ReadFile("testdata/store.yaml")
	fatal(t, err)
	fatal(t, k.kubectlWith(t.Context(), strings.ReplaceAll(string(text), "%KEY%", backup.NewKey().Reveal()), "apply", "-f", "-"))
	k.kubernetes("wait", "--for=condition=Ready", "pod/store", "--timeout=60s")
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

// look is what the shop itself would say of its restored data: PostgreSQL starts on it, and finds
// as many orders as there were.
const look = `test "$KNOWNGOOD_CLAIM" = data-db-0
chmod 0700 "$KNOWNGOOD_RESTORED/postgresql"
postgres -D "$KNOWNGOOD_RESTORED/postgresql" -c config_file=/opt/db/postgresql.conf -c listen_addresses= -c ssl=off -c unix_socket_directories=/tmp >/tmp/log 2>&1 &
for i in $(seq 60); do
  n=$(psql -h /tmp -Atd shop -c "select count(*) from orders" 2>/tmp/said) && { test "$n" -ge %d || { echo "$n orders"; exit 1; }; exit 0; }
  sleep 1
done
cat /tmp/log /tmp/said; exit 1`

// inputs are what a release is given whose policy protects in a way: look and least are the check
// of what comes back.
func (k keeper) inputs(way release.Protect, least int, more ...string) []string {
	config := filepath.Join(k.Work, string(way)+".yaml")
	text := "protect:\n"
	for _, risk := range []release.Risk{release.RiskNone, release.RiskLow, release.RiskMedium, release.RiskHigh, release.RiskCritical} {
		text += fmt.Sprintf("  %s: %s\n", risk, way)
	}
	if way == release.ProtectVerify {
		image := k.kubernetes("get", "statefulset", "db", "-o", "jsonpath={.spec.template.spec.containers[0].image}")
		line, err := json.Marshal(fmt.Sprintf(look, least))
		fatal(k.t, err)
		text += fmt.Sprintf("inputs:\n  verify-image: %q\n  verify-user: \"999\"\n  verify-command: %s\n", image, line)
	}
	fatal(k.t, os.WriteFile(config, []byte(text), 0o600))
	return append([]string{
		"--config", config, "--repository", fmt.Sprintf(repository, k.Namespace), "--repository-password-secret", "shop-backups",
		"--bucket-secret", "bucket", "--allow-http=true", "--backup-image", k.image, "--skip", "rotate", "--skip", "report",
	}, more...)
}

// released runs a release to its end.
func (k keeper) released(way release.Protect, least int, more ...string) (release.Record, int, string) {
	k.t.Helper()
	cmd := k.command(k.t.Context(), "clean", k.inputs(way, least, more...)...)
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

// nothingLeft waits until no Job and no claim but the shop's own is there.
func (k keeper) nothingLeft() {
	k.t.Helper()
	k.kubernetes("wait", "--for=delete", "job,persistentvolumeclaim", "--selector", work.LabelJob, "--timeout=360s")
	for _, kind := range []string{"jobs", "persistentvolumeclaims", "pods"} {
		if left := k.kubernetes("get", kind, "--selector", work.LabelJob, "-o", "name"); left != "" {
			k.t.Errorf("left: %s", left)
		}
	}
}

// TestBackupLeavesTheCluster releases a commit whose policy wants a backup that is proved: the
// orders that were made before the snapshot are found by a PostgreSQL started on what came back.
func TestBackupLeavesTheCluster(t *testing.T) {
	k := keep(t)
	k.scan("clean")
	before := k.orders()
	record, status, log := k.released(release.ProtectVerify, before, "--run", "keep-1")
	if status != 0 {
		t.Fatalf("exit status %d\n%s", status, log)
	}
	saved, proved := record.Last("backup-save"), record.Last("backup-verify")
	if saved == nil || saved.State != release.Done || len(saved.Copies.Backups) != 1 || !saved.Copies.Backups[0].Whole() {
		t.Fatalf("entry %+v", saved)
	}
	if b := proved.Copies.Backups[0]; b.Verified == nil || !b.Verified.Proved || b.Verified.Bytes != b.Bytes || b.Verified.Seconds <= 0 {
		t.Errorf("backup %+v, verified %+v", b, b.Verified)
	}
	k.nothingLeft()
	t.Run("lost orders stop the deploy", func(t *testing.T) {
		record, status, log := keeper{k.within(t), k.image}.released(release.ProtectVerify, before+1_000_000, "--run", "keep-2", "--backup-class", late)
		proved := record.Last("backup-verify")
		if status != 3 || record.Last("deploy-start") != nil || proved == nil || proved.Copies.Backups[0].Verified.Proved {
			t.Errorf("exit status %d, entry %+v\n%s", status, proved, log)
		}
		if !strings.Contains(log, " orders") {
			t.Errorf("the log does not say what the check said:\n%s", log)
		}
		k.nothingLeft()
	})
}
