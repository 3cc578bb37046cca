// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clienttesting "k8s.io/client-go/testing"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
)

// What a snapshot keeps beside the data can be written out without the cluster, once.
func TestManifestsAreWritten(t *testing.T) {
	t.Parallel()
	run, h := newRun(t)
	c := twoClaims(t)
	if err := newSnapshot(c.Cluster, "name=data").Run(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	entry, _ := h.result.(release.Entry)
	if kept := entry.Protection.Manifests; kept == nil || !slices.Equal(kept.Objects, []string{"PersistentVolumeClaim data", "Deployment web"}) {
		t.Fatalf("manifests %+v, notes %q", entry.Protection.Manifests, entry.Protection.Notes)
	}
	show := func(change func(*Restore)) error {
		s := &Restore{place: place{app: "shop", catalog: "records"}, environment: "production", manifests: "out"}
		change(s)
		return s.Run(t.Context(), run)
	}
	if err := show(func(*Restore) {}); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(run.Dir, "out", "*"))
	if err != nil || len(names) != 2 || filepath.Base(names[1]) != "02-deployment-web.yaml" {
		t.Errorf("written: %v, %v", names, err)
	}
	if shown := strings.Join(h.shown, ""); !strings.Contains(shown, "2 objects to out") || !strings.Contains(shown, "Deployment web") {
		t.Errorf("shown:\n%s", shown)
	}
	if err := show(func(s *Restore) {
		s.manifests, s.fromNamespace, s.cluster.namespace = "moved", c.Namespace, "elsewhere"
	}); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(run.Dir, "moved", "02-deployment-web.yaml")); err != nil || !strings.Contains(string(text), "\n  namespace: elsewhere\n") {
		t.Errorf("for another namespace: %v\n%s", err, text)
	}
	for name, change := range map[string]func(*Restore){
		"again":         func(*Restore) {},
		"in place":      func(s *Restore) { s.inPlace = true },
		"an absent run": func(s *Restore) { s.run = "other" },
	} {
		if err := show(change); fault.StatusOf(err) != fault.Usage {
			t.Errorf("%s: error %v, want one of usage", name, err)
		}
	}
	lies, err := filepath.Glob(filepath.Join(run.Dir, "records", "v1", "shop", "production", "*.attached"))
	if err != nil || len(lies) != 1 {
		t.Fatalf("attached: %v, %v", lies, err)
	}
	if err := os.WriteFile(lies[0], []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := show(func(s *Restore) { s.manifests = "other" }); err == nil || !strings.Contains(err.Error(), "they were changed") {
		t.Errorf("changed bytes: %v", err)
	}
}

// Manifests that may not be read break no snapshot: a note says so.
func TestManifestsBreakNoSnapshot(t *testing.T) {
	t.Parallel()
	c := twoClaims(t)
	c.CoreFake.PrependReactor("list", "services", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "services"}, "", errors.New("no rule"))
	})
	run, h := newRun(t)
	if err := newSnapshot(c.Cluster, "name=data").Run(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	entry, _ := h.result.(release.Entry)
	if p := entry.Protection; entry.State != release.Done || p.Manifests == nil || !strings.Contains(strings.Join(p.Notes, "\n"), "list services in namespace shop: forbidden") {
		t.Errorf("state %s, notes %q", entry.State, p.Notes)
	}
}

// Inputs that say different things are refused before anything is asked.
func TestRestoreRefusesWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	for want, s := range map[string]*Restore{
		"--in-place and --undo say different things": {inPlace: true, undo: true},
		"--new-claim does not go with --in-place":    {inPlace: true, newClaim: "x"},
		"do not go with --undo":                      {undo: true, commit: "abcd"},
		"want the first 4 to 64 hexadecimal digits":  {commit: "main"},
		"that is no name of a claim":                 {claims: []string{"../x"}},
		"no application is named":                    {},
	} {
		run, _ := newRun(t)
		err := s.Run(t.Context(), run)
		if fault.StatusOf(err) != fault.Usage || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want usage and %q", err, want)
		}
	}
}
