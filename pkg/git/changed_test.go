// SPDX-License-Identifier: Apache-2.0

package git_test

import (
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func changed(t *testing.T, dir string) []string {
	t.Helper()
	files, err := open(t, dir).Changed(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestChangedFilesAreThoseThatGitTracks(t *testing.T) {
	t.Parallel()
	dir, _, _ := repository(t, "sha1")
	write(t, dir+"/gosec.sarif", "{}")
	if err := os.Chtimes(dir+"/.knowngood.yaml", time.Unix(1, 0), time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if files := changed(t, dir); len(files) != 0 {
		t.Errorf("Changed() = %q of a checkout with an untracked and a touched file, want none", files)
	}
	write(t, dir+"/deep/file name:x.txt", "other\n")
	write(t, dir+"/new", "new\n")
	run(t, dir, "add", "new")
	if err := os.Remove(dir + "/link"); err != nil {
		t.Fatal(err)
	}
	want := []string{"deep/file name:x.txt", "link", "new"}
	for _, from := range []string{dir, dir + "/deep"} {
		if diff := cmp.Diff(want, changed(t, from)); diff != "" {
			t.Errorf("Changed() in %s (-want +got):\n%s", from, diff)
		}
	}
}

// A repository's filters are programs that whoever wrote its configuration chose.
func TestComparingRunsNoFilter(t *testing.T) {
	t.Parallel()
	dir, _, _ := repository(t, "sha1")
	trace := t.TempDir() + "/trace"
	for _, key := range []string{"clean", "smudge", "process"} {
		run(t, dir, "config", "filter.evil.one."+key, "touch "+trace+"; cat")
	}
	run(t, dir, "config", "filter.evil.one.required", "true")
	write(t, dir+"/.git/info/attributes", "* filter=evil.one\n")
	write(t, dir+"/.knowngood.yaml", "gate: {changed: false}\n")
	if diff := cmp.Diff([]string{".knowngood.yaml"}, changed(t, dir)); diff != "" {
		t.Errorf("Changed() (-want +got):\n%s", diff)
	}
	if _, err := os.Stat(trace); err == nil {
		t.Error("a filter was run")
	}
	run(t, dir, "config", "filter.a=b.clean", "cat")
	if files, err := open(t, dir).Changed(t.Context()); err == nil {
		t.Errorf("Changed() = %q with a filter that cannot be silenced, want an error", files)
	}
}

func TestWithoutAWorkingTreeNothingCanBeCompared(t *testing.T) {
	t.Parallel()
	dir, _, _ := repository(t, "sha1")
	if files, err := open(t, dir+"/.git").Changed(t.Context()); err == nil {
		t.Errorf("Changed() = %q, want an error", files)
	}
}
