// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// An installation is install.sh in a runner's environment that has the tools it may use, and
// no more.
type installation struct {
	action, temp, tools, path string
}

func newInstallation(t *testing.T) *installation {
	t.Helper()
	i := &installation{temp: t.TempDir(), path: t.TempDir()}
	i.action, i.tools = Release(t)
	for _, tool := range []string{
		"sh", "curl", "tar", "gzip", "sha256sum", "mkdir", "mv", "rm", "grep", "uname", "dirname", "tr",
	} {
		real, err := exec.LookPath(tool)
		if err != nil {
			t.Skipf("needs %s on the PATH", tool)
		}
		if err := os.Symlink(real, filepath.Join(i.path, tool)); err != nil {
			t.Fatal(err)
		}
	}
	return i
}

// run returns what the script printed, and its outputs; "" where it failed.
func (i *installation) run(t *testing.T, env ...string) (log, outputs string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "output")
	command := exec.CommandContext(t.Context(), "/bin/sh", filepath.Join(i.action, "action", "scripts", "install.sh"))
	command.Env = append([]string{
		"PATH=" + i.path, "RUNNER_TEMP=" + i.temp, "RUNNER_TOOL_CACHE=" + i.tools, "GITHUB_OUTPUT=" + file,
	}, env...)
	printed, err := command.CombinedOutput()
	if err != nil {
		return string(printed), ""
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(printed), string(data)
}

func TestInstall(t *testing.T) {
	t.Parallel()
	archive := archived(t)
	served := 0
	mirror := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/good/" + archiveName():
			served++
			_, _ = w.Write(archive)
		case "/evil/" + archiveName():
			_, _ = w.Write(archive[:len(archive)-1])
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(mirror.Close)
	i := newInstallation(t)
	cached := filepath.Join(i.tools, "knowngood", "0.1.0", archiveName())

	// A cache that was tampered with is not believed, and neither is a mirror.
	if err := os.WriteFile(cached, []byte("evil"), 0o600); err != nil {
		t.Fatal(err)
	}
	if log, outputs := i.run(t, "KNOWNGOOD_MIRROR="+mirror.URL+"/evil"); outputs != "" || !strings.Contains(log, "::error::") ||
		!strings.Contains(log, "does not have the checksum") {
		t.Fatalf("an archive with another checksum: %q\n%s", outputs, log)
	}
	if log, outputs := i.run(t, "KNOWNGOOD_MIRROR="+mirror.URL+"/absent"); outputs != "" || !strings.Contains(log, "give the input mirror") {
		t.Errorf("an archive that is not there: %q\n%s", outputs, log)
	}
	log, outputs := i.run(t, "KNOWNGOOD_MIRROR="+mirror.URL+"/good/")
	program, _, _ := strings.Cut(strings.TrimPrefix(outputs, "program="), "\n")
	if !strings.HasPrefix(program, i.temp) || !strings.Contains(outputs, "version=") {
		t.Fatalf("%q\n%s", outputs, log)
	}
	// The next step of the job finds it, and so does the next job.
	if _, again := i.run(t); again != outputs {
		t.Errorf("a second step: %q", again)
	}
	i.temp = t.TempDir()
	if log, other := i.run(t); !strings.HasPrefix(other, "program="+i.temp) || served != 1 {
		t.Errorf("another job: %q, fetched %d times\n%s", other, served, log)
	}
	// A program that is on the runner already is taken as it is.
	if log, own := i.run(t, "KNOWNGOOD_BINARY="+program); !strings.HasPrefix(own, "program="+program+"\n") {
		t.Errorf("binary: %q\n%s", own, log)
	}
	if log, own := i.run(t, "KNOWNGOOD_BINARY=/absent\n::warning::forged"); own != "" || strings.Contains(log, "\n::warning::") {
		t.Errorf("an absent binary: %q\n%s", own, log)
	}
	// Without a release and without Go there is nothing to run.
	if err := os.Remove(filepath.Join(i.action, "action", "scripts", "checksums.txt")); err != nil {
		t.Fatal(err)
	}
	if log, own := i.run(t); own != "" || !strings.Contains(log, "no release belongs to this checkout") {
		t.Errorf("no release: %q\n%s", own, log)
	}
}

// A release needs no other tool than its installation does, but for what makes its script's file.
func TestAReleaseNeedsNoOtherTools(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	for _, tool := range []string{"mktemp", "ln"} {
		real, err := exec.LookPath(tool)
		if err != nil {
			t.Skipf("needs %s on the PATH", tool)
		}
		if err := os.Symlink(real, filepath.Join(i.path, tool)); err != nil {
			t.Fatal(err)
		}
	}
	_, outputs := i.run(t)
	program, _, _ := strings.Cut(strings.TrimPrefix(outputs, "program="), "\n")
	scan, err := filepath.Abs("testdata/consumer/scans/clean.sarif")
	if err != nil {
		t.Fatal(err)
	}
	scripts, output := filepath.Join(i.action, "action", "scripts"), filepath.Join(i.temp, "output")
	for _, words := range [][]string{{"setup.sh"}, {"run.sh", "release"}, {"clean-up.sh"}} {
		command := exec.CommandContext(t.Context(), "/bin/sh", append([]string{filepath.Join(scripts, words[0])}, words[1:]...)...)
		command.Dir = t.TempDir()
		command.Env = []string{
			"PATH=" + i.path, "RUNNER_TEMP=" + i.temp, "HOME=" + i.temp, "KNOWNGOOD_PROGRAM=" + program, "KNOWNGOOD_VERSION=dev",
			"GITHUB_OUTPUT=" + output, "GITHUB_PATH=" + output, "KNOWNGOOD_APP=shop", "KNOWNGOOD_COMMIT=" + strings.Repeat("1", 40),
			"KNOWNGOOD_SARIF=" + scan, "KNOWNGOOD_SKIP=snapshot\nrotate", "KNOWNGOOD_DEPLOY=echo \"deployed with $#\" \"${KNOWNGOOD_DEPLOY:-nothing}\"",
			"KNOWNGOOD_ENVIRONMENT=production",
		}
		said, err := command.CombinedOutput()
		if err != nil || words[0] == "run.sh" && !strings.Contains(string(said), "deployed with 0 nothing") {
			t.Errorf("%v: %v\n%s", words, err, said)
		}
	}
	if left, err := filepath.Glob(filepath.Join(i.temp, "knowngood*")); err != nil || len(left) > 0 {
		t.Errorf("the clean-up leaves %v, %v", left, err)
	}
}
