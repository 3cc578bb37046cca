// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"bytes"
	"context"

	"github.com/knowngood/knowngood/pkg/git"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/sarif"
)

// sourceOf returns a function that shows a line of the source as the commit that is checked out
// has it, "" where it has none. What a file names that is not committed stays unread: paths come
// from scanners, and beside the source lie credentials of the pipeline, behind links anything.
func sourceOf(ctx context.Context, run *Run) func(release.Location) string {
	checkout, err := git.Open(ctx, run.Dir, run.Environ)
	if err != nil {
		return nil
	}
	head, err := checkout.Commit(ctx)
	if err != nil {
		return nil
	}
	files := map[string][]byte{}
	return func(at release.Location) string {
		text, known := files[at.Path]
		if !known {
			text, _ = checkout.File(ctx, head, at.Path) // no file is no line
			files[at.Path] = text
		}
		return sarif.Mask(line(text, at.Line))
	}
}

// line returns the n-th line of a text, counted from 1.
func line(text []byte, n int) string {
	for ; n > 1; n-- {
		_, rest, found := bytes.Cut(text, []byte("\n"))
		if !found {
			return ""
		}
		text = rest
	}
	first, _, _ := bytes.Cut(text, []byte("\n"))
	return string(first[:min(len(first), 4<<10)])
}
