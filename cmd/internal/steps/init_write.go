// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/report"
	"github.com/knowngood/knowngood/pkg/scaffold"
)

// A writing is the files of init on their way into the repository.
type writing struct {
	root  *os.Root
	run   *Run
	force bool

	fresh, same, differ, kept, declined []scaffold.File
	// have is what the files that differ say now.
	have map[string][]byte
}

// sort tells files that are not there from such that say the same and such that differ.
func (w *writing) sort(files []scaffold.File) error {
	w.have = map[string][]byte{}
	for _, file := range files {
		switch have, err := w.root.ReadFile(filepath.FromSlash(file.Path)); {
		case err == nil && string(have) == file.Text:
			w.same = append(w.same, file)
		case err == nil:
			w.differ, w.have[file.Path] = append(w.differ, file), have
		case errors.Is(err, fs.ErrNotExist):
			w.fresh = append(w.fresh, file)
		default:
			return fmt.Errorf("read %s: %w", file.Path, err)
		}
	}
	return nil
}

// show tells what would be written, of files that are there only what would change.
func (w *writing) show() {
	for _, file := range w.fresh {
		w.run.Show("# " + file.Path + ": " + file.Why + "\n" + report.Verbatim(file.Text))
	}
	for _, file := range w.differ {
		w.run.Show("# " + file.Path + ": there already, and different\n" + report.Changes(file.Path, string(w.have[file.Path]), file.Text))
	}
	w.told("would leave", w.same)
}

// agree asks about each file that is there and differs, then about the whole. Where nobody can
// be asked a file that differs is an error.
func (w *writing) agree(ctx context.Context) error {
	if w.force {
		w.fresh, w.differ = append(w.fresh, w.differ...), nil
	}
	if len(w.differ) > 0 && w.run.Ask == nil {
		var names []string
		for _, file := range w.differ {
			names = append(names, file.Path)
		}
		return fault.Hint(fault.Usagef("%s: there already, and different; nothing was written", strings.Join(names, ", ")),
			"see what would change by --dry-run; --force overwrites")
	}
	for _, file := range w.differ {
		w.run.Tell(report.Changes(file.Path, string(w.have[file.Path]), file.Text))
		yes, err := agreed(ctx, w.run, "overwrite "+file.Path+"?", "no")
		if err != nil {
			return err
		}
		if yes {
			w.fresh = append(w.fresh, file)
		} else {
			w.kept = append(w.kept, file)
		}
	}
	if len(w.fresh) == 0 || w.run.Ask == nil {
		return nil
	}
	for _, file := range w.fresh {
		w.run.Tell(file.Path + "\n    " + file.Why)
	}
	yes, err := agreed(ctx, w.run, "write them?", "yes")
	if err == nil && !yes {
		w.declined, w.fresh = w.fresh, nil
	}
	return err
}

// agreed asks until the answer is one.
func agreed(ctx context.Context, run *Run, what, otherwise string) (bool, error) {
	for {
		answer, err := question(ctx, run, what, otherwise)
		if err != nil {
			return false, err
		}
		switch strings.ToLower(answer) {
		case "y", "yes":
			return true, nil
		case "n", "no":
			return false, nil
		}
		run.Tell("answer yes or no")
	}
}

// draftEnd is what the name of a file ends with until all files are whole.
const draftEnd = ".knowngood-draft"

// write writes all files or none, through no link that leads out of the repository: each is
// written whole beside its place first, and when one cannot be put there the others go back.
func (w *writing) write(ctx context.Context) (err error) {
	defer func() {
		for _, file := range w.fresh {
			_ = w.root.Remove(filepath.FromSlash(file.Path) + draftEnd) // after a rename there is none
		}
	}()
	for _, file := range w.fresh {
		if err := w.draft(file); err != nil {
			return notWritten(fmt.Errorf("write %s: %w", file.Path, err))
		}
	}
	if ctx.Err() != nil {
		return notWritten(context.Cause(ctx))
	}
	for n, file := range w.fresh {
		path := filepath.FromSlash(file.Path)
		if err := w.root.Rename(path+draftEnd, path); err != nil {
			return errors.Join(fmt.Errorf("write %s: %w", file.Path, err), w.back(w.fresh[:n]))
		}
	}
	return nil
}

func (w *writing) draft(file scaffold.File) error {
	path := filepath.FromSlash(file.Path)
	if err := w.root.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return w.root.WriteFile(path+draftEnd, []byte(file.Text), 0o644)
}

// back undoes what was put in place.
func (w *writing) back(files []scaffold.File) error {
	var errs []error
	for _, file := range files {
		path := filepath.FromSlash(file.Path)
		if have, there := w.have[file.Path]; there {
			errs = append(errs, w.root.WriteFile(path, have, 0o644))
		} else {
			errs = append(errs, w.root.Remove(path))
		}
	}
	return errors.Join(errs...)
}

// tell says what became of each file.
func (w *writing) tell() {
	w.told("wrote", w.fresh)
	w.told("left", w.same)
	w.told("kept yours", w.kept)
	w.told("did not write", w.declined)
}

func (w *writing) told(verb string, files []scaffold.File) {
	for _, file := range files {
		w.run.Show(verb + " " + file.Path + "\n    " + file.Why)
	}
}
