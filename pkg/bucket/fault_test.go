// SPDX-License-Identifier: Apache-2.0

package bucket_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/knowngood/knowngood/pkg/bucket"
	"github.com/knowngood/knowngood/pkg/fault"
)

// child is set in a process that a test starts to do one thing under a limit or as another
// user; its value names the thing.
const child = "KNOWNGOOD_TEST_CHILD"

func TestMain(m *testing.M) {
	switch os.Getenv(child) {
	case "put":
		put(os.Args[1], 0)
	case "put with half a disk":
		put(os.Args[1], 4096)
	case "list":
		list(os.Args[1])
	case "probe":
		probe(os.Args[1])
	default:
		os.Exit(m.Run())
	}
}

func put(folder string, limit uint64) {
	if limit > 0 {
		signal.Ignore(syscall.SIGXFSZ)
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: limit}); err != nil {
			panic(err)
		}
	}
	b, err := bucket.Open(context.Background(), folder)
	if err == nil {
		err = b.Put(context.Background(), "v1/a/entry.json", make([]byte, 3*4096), "application/json")
	}
	report(err)
}

func list(folder string) {
	b, err := bucket.Open(context.Background(), folder)
	if err != nil {
		report(err)
	}
	for _, err := range b.Keys(context.Background(), "v1/") {
		if err != nil {
			report(err)
		}
	}
	report(nil)
}

func probe(place string) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	b, err := bucket.Open(ctx, place)
	if err == nil {
		err = b.Probe(ctx, "v1/")
	}
	report(err)
}

func report(err error) {
	if err == nil {
		os.Exit(0)
	}
	os.Stdout.WriteString(err.Error() + "\n" + strings.Join(fault.Hints(err), "\n"))
	if bucket.IsForbidden(err) {
		os.Exit(13)
	}
	os.Exit(1)
}

// run does the named thing in a process of its own, as nobody where this one is root, for
// whom permissions mean nothing.
func run(t *testing.T, what, folder string, asNobody bool) (string, int) {
	t.Helper()
	command := program(t, what, folder)
	if asNobody && os.Getuid() == 0 {
		// The test's own program and folders lie where only root can go.
		copied := filepath.Join(t.TempDir(), "program")
		data, err := os.ReadFile(command.Path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(copied, data, 0o755); err != nil {
			t.Fatal(err)
		}
		openUp(t, copied)
		openUp(t, folder)
		command.Path = copied
		command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	output, err := command.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(output), command.ProcessState.ExitCode()
}

// program is this test's own, told to do one thing.
func program(t *testing.T, what, place string) *exec.Cmd {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), path, place)
	command.Env = append(os.Environ(), child+"="+what)
	return command
}

// openUp lets everybody go through the folders above path that the test made.
func openUp(t *testing.T, path string) {
	t.Helper()
	for dir := filepath.Dir(path); strings.HasPrefix(dir, os.TempDir()) && dir != os.TempDir(); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func files(t *testing.T, folder string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestADiskThatFillsHalfwayLeavesNothing(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	text, status := run(t, "put with half a disk", folder, false)
	if status == 0 || !strings.Contains(text, "file too large") {
		t.Fatalf("status %d: %s", status, text)
	}
	if left := files(t, folder); left != nil {
		t.Errorf("left %q", left)
	}
	if text, status := run(t, "put", folder, false); status != 0 || len(files(t, folder)) != 1 {
		t.Errorf("without the limit: status %d: %s, files %q", status, text, files(t, folder))
	}
}

func TestACancelledWriteLeavesNothing(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	folder := t.TempDir()
	for _, place := range []string{folder, "mem://", s3(t, "")} {
		b := open(t, place)
		if err := b.Put(ctx, "v1/a.json", []byte("{}"), "application/json"); fault.StatusOf(err) != fault.Cancelled {
			t.Errorf("%s: %v", b.Place(""), err)
		}
		if left := keys(t, b, ""); left != nil {
			t.Errorf("%s: left %q", b.Place(""), left)
		}
	}
	if left := files(t, folder); left != nil {
		t.Errorf("left %q", left)
	}
}

func TestAFolderThatMayNotBeWrittenTo(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "theirs")
	if err := os.Mkdir(folder, 0o555); err != nil {
		t.Fatal(err)
	}
	text, status := run(t, "put", folder, true)
	if status != 13 || !strings.Contains(text, "permission denied\nlet the user of this process write in "+folder) {
		t.Errorf("status %d: %s", status, text)
	}
	if text, status := run(t, "put", folder+"/below", true); status != 13 {
		t.Errorf("a folder that cannot be made: status %d: %s", status, text)
	}
}

// The driver passes over what it may not read; a record that is not seen is not "no record".
func TestAFolderThatMayNotBeReadIsAnError(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "records")
	if err := os.MkdirAll(folder+"/v1/shop/production", 0o755); err != nil {
		t.Fatal(err)
	}
	if text, status := run(t, "list", folder, true); status != 0 {
		t.Fatalf("status %d: %s", status, text)
	}
	if err := os.Chmod(folder+"/v1/shop/production", 0); err != nil {
		t.Fatal(err)
	}
	if text, status := run(t, "list", folder, true); status != 13 || !strings.Contains(text, "v1/shop/production: permission denied") {
		t.Errorf("status %d: %s", status, text)
	}
	if err := os.Chmod(folder+"/v1/shop/production", 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestAFileInTheWayOfAFolder(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, place := range []string{file, file + "/below"} {
		if _, err := bucket.Open(t.Context(), place); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("Open(%s): %v", place, err)
		}
	}
}
