// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/knowngood/knowngood/pkg/scaffold"
)

// theWriting is of two files, one of which is there and says something else.
func theWriting(t *testing.T, answers ...string) (*writing, *host, string) {
	t.Helper()
	run, h := newRun(t)
	if len(answers) > 0 {
		run.Ask = func(_ context.Context, _, _ string) (string, error) {
			if len(answers) == 0 {
				return "", errors.New("one question too many")
			}
			answer := answers[0]
			answers = answers[1:]
			return answer, nil
		}
	}
	root, err := os.OpenRoot(run.Dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	if err := os.WriteFile(filepath.Join(run.Dir, ".knowngood.yaml"), []byte("mine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := &writing{root: root, run: run}
	if err := w.sort([]scaffold.File{{Path: ".knowngood.yaml", Text: "new\n", Why: "x"}, {Path: "a/b.yaml", Text: "b\n", Why: "y"}}); err != nil {
		t.Fatal(err)
	}
	return w, h, run.Dir
}

// left returns the files of a folder with what they say, one a line.
func left(t *testing.T, dir string) string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		all = append(all, name+"="+strings.TrimSpace(string(data)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, " ")
}

func TestWhatIsAgreedIsWritten(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		answers    []string
		left, told string
	}{
		{[]string{"yes", "yes"}, ".knowngood.yaml=new a/b.yaml=b", "wrote a/b.yaml"},
		{[]string{"no", "yes"}, ".knowngood.yaml=mine a/b.yaml=b", "kept yours .knowngood.yaml"},
		{[]string{"y", "n"}, ".knowngood.yaml=mine", "did not write a/b.yaml"},
	} {
		w, h, dir := theWriting(t, test.answers...)
		if err := errors.Join(w.agree(t.Context()), w.write(t.Context())); err != nil {
			t.Fatal(err)
		}
		w.tell()
		if got := left(t, dir); got != test.left || !strings.Contains(strings.Join(h.shown, ""), test.told) {
			t.Errorf("%v leaves %s, and says %q", test.answers, got, h.shown)
		}
	}
}

// A file that cannot be put in its place takes the others back with it.
func TestAllFilesAreWrittenOrNone(t *testing.T) {
	t.Parallel()
	w, _, dir := theWriting(t)
	w.force = true
	if err := w.agree(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.fresh = []scaffold.File{w.fresh[1], w.fresh[0], {Path: "c", Text: "c"}} // the last is blocked
	if err := os.Mkdir(filepath.Join(dir, "c"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := w.write(t.Context()); err == nil || !strings.Contains(err.Error(), "write c: ") {
		t.Errorf("error %v", err)
	}
	if got := left(t, dir); got != ".knowngood.yaml=mine" {
		t.Errorf("left %s", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.write(ctx); !errors.Is(err, context.Canceled) || left(t, dir) != ".knowngood.yaml=mine" {
		t.Errorf("cancelled: %v, and %s is left", err, left(t, dir))
	}
}
