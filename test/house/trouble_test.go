// SPDX-License-Identifier: Apache-2.0

package house

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestEachTroubleIsTried holds the list of what can be wrong from outside, and where it is
// tried: each with a clear error, its cure where one is known, and the right exit status. A row
// whose test has gone fails.
func TestEachTroubleIsTried(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ trouble, file, tried string }{
		{"no file matches", "test/script/gate.txtar", `matches no file`},
		{"not JSON", "test/script/gate.txtar", "exits 1 knowngood gate --sarif bad/not-json.sarif"},
		{"not SARIF 2.1.0", "test/script/gate.txtar", "exits 1 knowngood gate --sarif bad/old.sarif"},
		{"truncated", "test/script/gate.txtar", "exits 1 knowngood gate --sarif bad/truncated.sarif"},
		{"duplicate keys", "test/script/gate.txtar", "exits 1 knowngood gate --sarif bad/twice.sarif"},
		{"a policy file with a typo: line and column", "test/script/gate.txtar", `typo.yaml:3:5: unknown key "treshold"`},
		{"unknown flag", "test/script/usage.txtar", "unknown flag: --exit-stauts"},
		{"unknown step", "test/script/usage.txtar", `unknown command "deplyo"`},
		{"commit that is no commit", "test/script/deploy.txtar", `--commit: commit "main"`},
		{"no cluster configured", "test/script/release.txtar", "env KUBECONFIG=$WORK/absent"},
		{"no cluster answers", "cmd/internal/steps/snapshot_test.go", "cluster unreachable"},
		{"forbidden by RBAC: snapshot", "cmd/internal/steps/snapshot_test.go", "func TestSnapshotNeedsWhatItDeclares"},
		{"forbidden by RBAC: rotate", "cmd/internal/steps/rotate_rbac_test.go", "func TestRotateNeedsWhatItsTaskIsGranted"},
		{"forbidden by RBAC, seen by a person", "cmd/knowngood/trouble_test.go", `{"forbidden", `},
		{"namespace without claims", "cmd/knowngood/trouble_test.go", `{"no claims", `},
		{"no VolumeSnapshotClass", "cmd/knowngood/trouble_test.go", `{"no such class", `},
		{"no default VolumeSnapshotClass, or two", "pkg/snapshot/suite_classes_test.go", "has 2 default VolumeSnapshotClasses"},
		{"snapshot-controller absent", "pkg/snapshot/real_controller_test.go", "func TestNoSnapshotControllerOnRealCluster"},
		{"snapshot API absent", "pkg/snapshot/storage_test.go", "func TestNoSnapshotAPI"},
		{"driver error", "cmd/knowngood/trouble_test.go", `{"storage that fails", `},
		{"deadline of a snapshot", "cmd/knowngood/trouble_test.go", `{"deadline", `},
		{"deadline of a renewal", "cmd/knowngood/trouble_test.go", `{"an issuer that does not answer", `},
		{"cert-manager absent", "cmd/knowngood/trouble_test.go", "func TestWithoutCertManager"},
		{"Certificate that cannot issue", "cmd/knowngood/trouble_test.go", `{"an issuer that is not ready", `},
		{"wrong token", "test/script/report.txtar", "env KNOWNGOOD_TOKEN=expired"},
		{"no such pull request", "test/script/report.txtar", "get pull request acme/shop#8: not found"},
		{"catalog not writable", "test/script/deploy.txtar", "exits 3 knowngood deploy start --catalog file/cat"},
		{"Ctrl-C while a snapshot is made", "cmd/knowngood/interrupt_test.go", `{"a snapshot", `},
		{"Ctrl-C while a database is held", "pkg/snapshot/real_postgresql_test.go", "func TestCancelledWeHoldNothing"},
		{"Ctrl-C while a certificate is renewed", "cmd/knowngood/interrupt_test.go", `{"a renewal", `},
		{"Ctrl-C in the deploy", "cmd/knowngood/interrupt_test.go", "func TestInterruptedDeploy"},
		{"Ctrl-C while a workload rolls out", "cmd/knowngood/interrupt_test.go", `"a rollout", `},
		{"Ctrl-C while a pod reloads", "cmd/knowngood/interrupt_test.go", `"a reload", `},
		{"Ctrl-C while a cluster or a catalog is silent", "cmd/knowngood/interrupt_test.go", "func TestInterruptedWhereNobodyAnswers"},
		{"Ctrl-C while GitHub is told", "cmd/internal/steps/report_test.go", "func TestCancelledReport"},
	} {
		text, err := os.ReadFile(filepath.Join("../..", filepath.FromSlash(row.file)))
		if err != nil || !strings.Contains(string(text), row.tried) {
			t.Errorf("%s: %s does not try it by %q any more: %v", row.trouble, row.file, row.tried, err)
		}
	}
}
