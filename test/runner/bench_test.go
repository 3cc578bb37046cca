// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/knowngood/knowngood/test/github"
)

// BenchmarkOverhead is what the Action itself takes of a job that gates and reports, warm: two
// installations from the runner's tool cache, the gate and the report, against a GitHub that
// answers at once. CPU is told beside the time, which a busy machine stretches.
func BenchmarkOverhead(b *testing.B) {
	fake := &github.Server{}
	fake.AddToken(token, github.Token{Login: bot, App: true, Scopes: github.Everything()})
	head := strings.Repeat("1", 40)
	fake.AddPull(repository, github.Pull{Number: 7, Head: head})
	fake.AddCommits(repository, strings.Repeat("b", 40))
	server := httptest.NewServer(fake)
	b.Cleanup(server.Close)
	action, tools := Release(b)
	folder := b.TempDir()
	event := `{"pull_request":{"number":7,"head":{"sha":"` + head + `"},"base":{"sha":"` + strings.Repeat("b", 40) + `"}}}`
	if err := os.WriteFile(filepath.Join(folder, "event.json"), []byte(event), 0o600); err != nil {
		b.Fatal(err)
	}
	scan, err := filepath.Abs("testdata/consumer/scans/clean.sarif")
	if err != nil {
		b.Fatal(err)
	}
	environ := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + folder, "RUNNER_TOOL_CACHE=" + tools, "KNOWNGOOD_TOKEN=" + token, "KNOWNGOOD_SARIF=" + scan,
		"GITHUB_ACTIONS=true", "GITHUB_API_URL=" + server.URL, "GITHUB_REPOSITORY=" + repository, "GITHUB_EVENT_NAME=pull_request",
		"GITHUB_EVENT_PATH=" + folder + "/event.json", "GITHUB_STEP_SUMMARY=" + folder + "/summary.md", "GITHUB_RUN_ATTEMPT=1",
		"GITHUB_OUTPUT=" + folder + "/output",
	}
	var cpu time.Duration
	for b.Loop() {
		job := append(environ, "RUNNER_TEMP="+b.TempDir(), "GITHUB_RUN_ID="+strings.TrimLeft(time.Now().Format("150405.000000000")[7:], "0"))
		for _, words := range [][]string{{"install.sh"}, {"run.sh", "gate"}, {"install.sh"}, {"run.sh", "report"}} {
			cpu += script(b, action, job, words)
		}
	}
	b.ReportMetric(cpu.Seconds()/float64(b.N), "cpu-s/op")
}

// script runs one of the Action's scripts and returns the CPU time that it took. What
// install.sh finds is what run.sh is given.
func script(b *testing.B, action string, environ, words []string) time.Duration {
	b.Helper()
	command := exec.CommandContext(b.Context(), "sh", append([]string{filepath.Join(action, "action", "scripts", words[0])}, words[1:]...)...)
	command.Dir, command.Env = action, environ
	if found, err := filepath.Glob(environ[len(environ)-2][len("RUNNER_TEMP="):] + "/knowngood/*/knowngood"); err == nil && len(found) == 1 {
		command.Env = append(command.Env, "KNOWNGOOD_PROGRAM="+found[0])
	}
	if output, err := command.CombinedOutput(); err != nil {
		b.Fatalf("%v: %v\n%s", words, err, output)
	}
	return command.ProcessState.UserTime() + command.ProcessState.SystemTime()
}
