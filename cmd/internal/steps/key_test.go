// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knowngood/knowngood/pkg/backup"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/step"
	"github.com/knowngood/knowngood/test/fakecluster"
)

// keeper is a face that notes what it is told.
type keeper struct {
	outputs map[string]string
	masked  []string
	told    strings.Builder
}

func (k *keeper) Output(name, value string) error { k.outputs[name] = value; return nil }
func (k *keeper) Summary(string) (bool, error)    { return false, nil }
func (k *keeper) Mask(secret string)              { k.masked = append(k.masked, secret) }

func keeping(t *testing.T) (*Run, *keeper) {
	t.Helper()
	k := &keeper{outputs: map[string]string{}}
	return &Run{
		Log: slog.New(slog.DiscardHandler), Now: time.Now, Version: "test", Host: k, Dir: t.TempDir(), Environ: os.Environ(),
		Tell: func(text string) { k.told.WriteString(text) }, Show: func(text string) { k.told.WriteString(text) },
		Result: func(any) {}, Console: io.Discard, Usage: func() (time.Duration, int64) { return 0, 0 },
	}, k
}

func TestAKeyIsKeptInASecretAndInAFile(t *testing.T) {
	t.Parallel()
	fake := fakecluster.New(t, "shop")
	init := func(args ...string) (*keeper, *Run, error) {
		k := &KeyInit{}
		k.Declare(&step.Set{})
		k.cluster.connected = fake.Cluster
		run, face := keeping(t)
		k.made.secret, k.made.file = args[0], args[1]
		return face, run, k.Run(t.Context(), run)
	}
	face, run, err := init("backup-key", "shop.key")
	if err != nil {
		t.Fatal(err)
	}
	if face.outputs["key-secret"] != "shop/backup-key" || face.outputs["key-file"] != filepath.Join(run.Dir, "shop.key") {
		t.Errorf("outputs %q", face.outputs)
	}
	made, err := fake.Core.CoreV1().Secrets("shop").Get(t.Context(), "backup-key", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	key := string(made.Data["password"])
	file, err := os.ReadFile(filepath.Join(run.Dir, "shop.key"))
	if err != nil || strings.TrimSpace(string(file)) != key || len(key) < 40 || made.Immutable == nil || !*made.Immutable {
		t.Errorf("the file and the Secret differ, or it can be changed: %v", err)
	}
	if strings.Contains(face.told.String(), key) || len(face.masked) != 1 || face.masked[0] != key {
		t.Error("the key is shown, or not kept out of what the face shows")
	}

	// Neither is overwritten, and the file of an init that ends half-way goes.
	_, run, err = init("backup-key", "shop.key")
	if fault.StatusOf(err) != fault.Usage || !strings.Contains(err.Error(), "backup-key in namespace shop exists already") {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(filepath.Join(run.Dir, "shop.key")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file stays: %v", err)
	}
	if again, err := fake.Core.CoreV1().Secrets("shop").Get(t.Context(), "backup-key", metav1.GetOptions{}); err != nil || string(again.Data["password"]) != key {
		t.Errorf("the Secret is another one: %v", err)
	}
	if face, _, err := init("vault/other", ""); err != nil || !strings.Contains(face.told.String(), "cluster alone") {
		t.Errorf("told %q, %v", face.told.String(), err)
	}

	// A step reads it, from the Secret alone.
	v := &vault{secret: "backup-key", from: &cluster{connected: fake.Cluster}}
	if got, err := v.key(t.Context(), run); err != nil || got.Reveal() != key {
		t.Errorf("read another key, %v", err)
	}
	v = &vault{secret: "absent", from: &cluster{connected: fake.Cluster}}
	if _, err := v.key(t.Context(), run); fault.StatusOf(err) != fault.Usage || !strings.Contains(fault.Hints(err)[0], "key init --key-secret shop/absent") {
		t.Errorf("error %v, hints %q", err, fault.Hints(err))
	}
}

func TestAKeyHasOneSource(t *testing.T) {
	t.Parallel()
	run, _ := keeping(t)
	for _, v := range []vault{
		{password: "a key of the environment", command: "cat key"},
		{password: "a key of the environment", secret: "key"},
		{command: "cat key", secret: "key"},
	} {
		_, err := v.key(t.Context(), run)
		if fault.StatusOf(err) != fault.Usage || !strings.Contains(err.Error(), " and ") || strings.Contains(err.Error(), "a key of") {
			t.Errorf("error %v", err)
		}
	}
}

// Whether the new key opens the repository is not known where that cannot be asked, and the old
// one may be the only one that does.
func TestARotationThatCannotAskTellsOfNoChange(t *testing.T) {
	t.Parallel()
	run, face := keeping(t)
	k := &KeyRotate{}
	k.Declare(&step.Set{})
	k.wanted.password, k.made.file = "the old key of the repository", "shop-2.key"
	k.wanted.app, k.wanted.repository = "shop", filepath.Join(run.Dir, "absent")
	if err := backup.WriteKey(filepath.Join(run.Dir, "shop-2.key"), backup.NewKey()); err != nil {
		t.Fatal(err)
	}
	if err := k.Run(t.Context(), run); !errors.Is(err, backup.ErrEmpty) || face.told.Len() > 0 || len(face.outputs) > 0 {
		t.Errorf("error %v, told %q, outputs %q", err, face.told.String(), face.outputs)
	}
}

func TestACommandThatHangsIsEnded(t *testing.T) {
	t.Parallel()
	run, _ := keeping(t)
	started := time.Now()
	_, err := keyByCommand(t.Context(), run, "echo waiting for the card >&2; sleep 1000", 200*time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "did not end within 200ms") || time.Since(started) > 20*time.Second {
		t.Errorf("error %v after %v", err, time.Since(started))
	}
}
