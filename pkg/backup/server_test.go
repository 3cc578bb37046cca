// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
)

// Each names an environment variable with the path of a real server: the programs versitygw and
// minio, and azurite's dist/src/blob/main.js. make soak builds them.
const (
	versitygw = "KNOWNGOOD_TEST_VERSITYGW"
	minio     = "KNOWNGOOD_TEST_MINIO"
	azurite   = "KNOWNGOOD_TEST_AZURITE"
)

// onVersityGW starts a versitygw over a folder, and returns its address; more are its words for
// the folder.
func onVersityGW(t *testing.T, folder string, more ...string) string {
	t.Helper()
	program, address := serverProgram(t, versitygw), freeAddress(t)
	words := append([]string{"--port", address, "posix"}, more...)
	serve(t, address, []string{"ROOT_ACCESS_KEY=tester", "ROOT_SECRET_KEY=tester-secret"}, program, append(words, folder)...)
	return address
}

// onMinIO starts a MinIO over a folder, and returns its address.
func onMinIO(t *testing.T, folder string) string {
	t.Helper()
	program, address := serverProgram(t, minio), freeAddress(t)
	serve(t, address, []string{"MINIO_ROOT_USER=tester", "MINIO_ROOT_PASSWORD=tester-secret", "MINIO_BROWSER=off", "MINIO_UPDATE=off", "HOME=" + t.TempDir()},
		program, "server", "--quiet", "--address", address, folder)
	ready(t, "http://"+address+"/minio/health/ready")
	return address
}

// withBucket returns a folder that a server takes for one with the bucket of the tests.
func withBucket(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	if err := os.Mkdir(filepath.Join(folder, "backups"), 0o755); err != nil {
		t.Fatal(err)
	}
	return folder
}

func TestStorageOnVersityGW(t *testing.T) { conformAmazon(t, onVersityGW(t, withBucket(t))) }

func TestStorageOnMinIO(t *testing.T) { conformAmazon(t, onMinIO(t, withBucket(t))) }

func conformAmazon(t *testing.T, address string) {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", "tester")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "tester-secret")
	conform(t, "s3://backups/team?region=us-east-1&use_path_style=true&endpoint="+url.QueryEscape("http://"+address))
}

// The account and the key are those that Azurite publishes for everybody.
func TestStorageOnAzurite(t *testing.T) {
	script := serverProgram(t, azurite)
	address := freeAddress(t)
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, address, nil, "node", script, "--blobHost", host, "--blobPort", port, "--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent")
	const account, key = "devstoreaccount1", "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
	shared, err := container.NewSharedKeyCredential(account, key)
	if err != nil {
		t.Fatal(err)
	}
	client, err := container.NewClientWithSharedKeyCredential("http://"+address+"/"+account+"/backups", shared, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Create(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AZURE_STORAGE_ACCOUNT", account)
	t.Setenv("AZURE_STORAGE_KEY", key)
	conform(t, "azblob://backups/team?protocol=http&localemu=true&domain="+url.QueryEscape(address))
}

// serverProgram returns what an environment variable names.
func serverProgram(t *testing.T, variable string) string {
	t.Helper()
	program := os.Getenv(variable)
	if program == "" {
		t.Skipf("set %s to the path of the server to run this test on it; make soak builds one", variable)
	}
	return program
}

// serve starts a server and waits until it listens.
func serve(t *testing.T, address string, environ []string, name string, args ...string) {
	t.Helper()
	server := exec.CommandContext(context.WithoutCancel(t.Context()), name, args...) // it outlives what cleans up in it
	server.Env = append(os.Environ(), environ...)
	server.Stdout, server.Stderr = t.Output(), t.Output()
	server.WaitDelay = time.Second
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Process.Kill(); _ = server.Wait() })
	until(t, func(ctx context.Context) error {
		connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return connection.Close()
	})
}

// ready waits until an address answers that all is well.
func ready(t *testing.T, address string) {
	t.Helper()
	until(t, func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		_, _ = io.Copy(io.Discard, response.Body)
		if response.Body.Close(); response.StatusCode != http.StatusOK {
			return errors.New(response.Status)
		}
		return nil
	})
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

// until tries again until it succeeds, for a minute.
func until(t *testing.T, succeeds func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := succeeds(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatal(errors.Join(ctx.Err(), err))
		case <-ticker.C:
		}
	}
}
