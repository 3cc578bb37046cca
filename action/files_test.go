// SPDX-License-Identifier: Apache-2.0

package action_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/knowngood/knowngood/pkg/fault"
)

// The library panics where a runner's file is missing, and ends a value of many lines with a word
// that the value can hold.
func TestOutputsAndSummariesWhereTheRunnersFilesAreNotAsTheyShould(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for name, path := range map[string]string{
		"not named": "", "in no folder": filepath.Join(folder, "absent", "file"), "a folder": folder,
	} {
		h := host(map[string]string{"GITHUB_OUTPUT": path, "GITHUB_STEP_SUMMARY": path}, nil)
		if err := h.Output("decision", "pass"); err == nil || !strings.Contains(err.Error(), "output decision") {
			t.Errorf("%s: Output() = %v", name, err)
		}
		if ok, err := h.Summary("text"); ok || (path == "") != (err == nil) {
			t.Errorf("%s: Summary() = %t, %v", name, ok, err)
		}
	}
	file := filepath.Join(folder, "file")
	h := host(map[string]string{"GITHUB_OUTPUT": file, "GITHUB_STEP_SUMMARY": file}, nil)
	for _, value := range []string{"pass\ndecision=fail", "pass\r", "\n_GitHubActionsFileCommandDelimeter_\nforged=yes"} {
		if err := h.Output("decision", value); err == nil {
			t.Errorf("Output(%q) was taken", value)
		}
	}
	if ok, err := h.Summary(strings.Repeat("x", 1<<20+1)); ok || err == nil {
		t.Errorf("a summary that the runner would drop: %t, %v", ok, err)
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something was written: %v", err)
	}
	// A file that is not there yet is made, and what is there is kept.
	for _, name := range []string{"first", "second"} {
		if err := h.Output(name, "a=b<<c"); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(file)
	for _, name := range []string{"first", "second"} {
		if err != nil || strings.Count(string(data), name) != 1 || strings.Count(string(data), "\na=b<<c\n") != 2 {
			t.Errorf("outputs %q, %v", data, err)
		}
	}
}

// Whatever a message holds, it is one workflow command, and a secret is masked line by line.
func TestWhatIsSaidIsOneCommandEach(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	h := host(nil, &out)
	h.Mark(slog.LevelWarn, "a\r\n::set-output name=decision::pass")
	h.Mark(slog.LevelError, "100%\n::stop-commands::x")
	h.Fail(fault.Hint(errors.New("b\n::error::c"), "d\n::add-mask::e"))
	h.Mask("one\n\n  two  \r\n")
	want := []string{
		"::warning::a%0D%0A::set-output name=decision::pass",
		"::error::100%25%0A::stop-commands::x",
		"::error::b%0A::error::c%0Ahint: d%0A::add-mask::e",
		"::add-mask::one", "::add-mask::two",
	}
	if got := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n"); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the runner reads\n%s", out.String())
	}
}
