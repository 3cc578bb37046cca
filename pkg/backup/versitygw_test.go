// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// versitygw names an environment variable with the path of a versitygw, a real S3 server.
const versitygw = "KNOWNGOOD_TEST_VERSITYGW"

func TestStorageOnVersityGW(t *testing.T) {
	program := os.Getenv(versitygw)
	if program == "" {
		t.Skipf("set %s to the path of a versitygw to run this test on it; make soak builds one", versitygw)
	}
	folder := t.TempDir()
	if err := os.Mkdir(filepath.Join(folder, "backups"), 0o755); err != nil {
		t.Fatal(err)
	}
	address := freeAddress(t)
	server := exec.CommandContext(t.Context(), program, "--port", address, "posix", folder)
	server.Env = append(os.Environ(), "ROOT_ACCESS_KEY=tester", "ROOT_SECRET_KEY=tester-secret")
	server.Stderr = os.Stderr
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Process.Kill(); _ = server.Wait() })
	listens(t, address)
	t.Setenv("AWS_ACCESS_KEY_ID", "tester")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "tester-secret")
	conform(t, "s3://backups/team?region=us-east-1&use_path_style=true&endpoint="+url.QueryEscape("http://"+address))
}

// freeAddress is one on which nothing listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// listens waits until a server does.
func listens(t *testing.T, address string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err == nil {
			connection.Close()
			return
		}
		select {
		case <-ctx.Done():
			t.Fatal(errors.Join(ctx.Err(), err))
		case <-ticker.C:
		}
	}
}
