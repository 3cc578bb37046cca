// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/step"
)

func TestAPipeGivesASecretOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	written := make(chan error, 1)
	go func() { written <- os.WriteFile(path, []byte("the key"), 0) }()
	in := step.Input{Name: "repository-password", Kind: step.Secret}
	source := environmentSource(map[string]string{in.Env() + "_FILE": path})
	for range 2 { // to mask it, then to use it
		if value, ok, err := source(in); value != "the key" || !ok || err != nil {
			t.Fatalf("%q, %v, %v", value, ok, err)
		}
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
}

func TestAPipeWithoutAWriterIsNotAwaitedForEver(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err := secretFiles{}.read(step.Input{Name: "token", Kind: step.Secret}, path, 10*time.Millisecond)
	if fault.StatusOf(err) != fault.Usage || !strings.Contains(err.Error(), "TOKEN_FILE: "+path+" gave nothing within") {
		t.Error(err)
	}
	writer, err := os.OpenFile(path, os.O_WRONLY, 0) // lets the one who still waits go
	if err != nil {
		t.Fatal(err)
	}
	writer.Close()
}
