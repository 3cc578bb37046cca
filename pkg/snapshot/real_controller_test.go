// SPDX-License-Identifier: Apache-2.0

package snapshot_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/snapshot"
	"github.com/knowngood/knowngood/test/realcluster"
)

// instanceSwitch names the variable with the instance of test/cluster that tests may disturb:
// the one behind realcluster.Switch.
const instanceSwitch = "KNOWNGOOD_TEST_INSTANCE"

// component starts or stops a part of the cluster.
func component(ctx context.Context, t *testing.T, verb, name string) {
	t.Helper()
	command := exec.CommandContext(ctx, "go", "-C", "../../test/cluster", "run", ".", verb, "--name", os.Getenv(instanceSwitch), name)
	if output, err := command.CombinedOutput(); err != nil {
		t.Errorf("%s %s: %v\n%s", verb, name, err, output)
	}
}

// It is not parallel: the tests that are, wait until the controller is back.
func TestNoSnapshotControllerOnRealCluster(t *testing.T) {
	if os.Getenv(instanceSwitch) == "" {
		t.Skipf("stops a part of the cluster: set %s to an instance of test/cluster that may be disturbed", instanceSwitch)
	}
	c := realcluster.New(t, "snapshot")
	w := &world{Cluster: c.Cluster, suffix: "-" + c.Namespace, bind: bindOn(c)}
	w.claim(t, "data", "loop")
	w.mount(t, "web", "data")
	t.Cleanup(func() { component(cleanup(t), t, "start", "snapshot-controller") })
	component(t.Context(), t, "stop", "snapshot-controller")
	_, err := snapshot.Take(t.Context(), w.Cluster, w.request(func(r *snapshot.Request) { r.Timeout = 35 * time.Second }))
	if !errors.Is(err, kube.ErrTimeout) || fault.StatusOf(err) != fault.Failed {
		t.Fatalf("error %v, want the deadline", err)
	}
	mentions(t, "error", err.Error(), "no boundVolumeSnapshotContentName after", "is snapshot-controller running?")
	mentions(t, "hint", strings.Join(fault.Hints(err), "\n"), "snapshot-controller makes the content")
	if left := w.there(t); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}
