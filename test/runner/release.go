// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
)

// program is the program, and archive that of a release, made once for all tests of a package.
// Test packages lie beside this one.
var (
	program = sync.OnceValues(build)
	archive = sync.OnceValues(pack)
)

func build() ([]byte, error) {
	folder, err := os.MkdirTemp("", "knowngood-runner-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "knowngood")
	command := exec.CommandContext(context.Background(), "go", "build", "-trimpath", "-buildvcs=false", "-tags", "grpcnotrace,disable_grpc_modules,nopshufb",
		"-ldflags", "-s -w", "-o", path, "./cmd/knowngood")
	command.Dir, command.Env = "../..", append(os.Environ(), "CGO_ENABLED=0")
	if output, err := command.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, output)
	}
	return os.ReadFile(path)
}

// archiveName is the archive of a release for the machine of the test.
func archiveName() string { return "knowngood_0.1.0_linux_" + runtime.GOARCH + ".tar.gz" }

func pack() ([]byte, error) {
	binary, err := program()
	if err != nil {
		return nil, err
	}
	var data bytes.Buffer
	zipped, err := gzip.NewWriterLevel(&data, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	tarred := tar.NewWriter(zipped)
	if err := tarred.WriteHeader(&tar.Header{Name: "knowngood", Mode: 0o755, Size: int64(len(binary))}); err != nil {
		return nil, err
	}
	if _, err := tarred.Write(binary); err != nil {
		return nil, err
	}
	if err := tarred.Close(); err != nil {
		return nil, err
	}
	err = zipped.Close()
	return data.Bytes(), err
}

// archived returns the archive of a release.
func archived(t testing.TB) []byte {
	t.Helper()
	data, err := archive()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Release returns the folder of the Action as a release has it, with the checksums that are
// committed, and a tool cache that holds the archive, as after an earlier job.
func Release(t testing.TB) (action, tools string) {
	t.Helper()
	action, tools = t.TempDir(), t.TempDir()
	copied(t, action)
	data := archived(t)
	sums := fmt.Sprintf("%x  %s\n", sha256.Sum256(data), archiveName())
	if err := os.WriteFile(filepath.Join(action, "action", "scripts", "checksums.txt"), []byte(sums), 0o600); err != nil {
		t.Fatal(err)
	}
	cache := filepath.Join(tools, "knowngood", "0.1.0")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(cache, archiveName()), data, 0o600); err != nil {
		t.Fatal(err)
	}
	return action, tools
}

// copied copies the Action's files, without anything to build the program from.
func copied(t testing.TB, into string) {
	t.Helper()
	if err := os.CopyFS(filepath.Join(into, "action"), os.DirFS("../../action")); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile("../../action.yml")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(into, "action.yml"), data, 0o600); err != nil {
		t.Fatal(err)
	}
}
