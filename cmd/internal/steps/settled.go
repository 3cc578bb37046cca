// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/git"
	"github.com/knowngood/knowngood/pkg/pullrequest"
	"github.com/knowngood/knowngood/pkg/release"
)

// settle replaces files by which a change is judged, such as a baseline, by what the base has
// in their place: copies in the folder given. What lies outside of the checkout, or in it
// without being committed, is the workflow's own and stays.
func (c Config) settle(ctx context.Context, files []scanFile, folder string) ([]scanFile, error) {
	if c.place == nil {
		return files, nil
	}
	settled := make([]scanFile, len(files))
	for i, file := range files {
		data, own, err := c.place.settled(ctx, file.path)
		if err != nil {
			return nil, err
		}
		if own {
			settled[i] = file
			continue
		}
		path := filepath.Join(folder, strconv.Itoa(i)+filepath.Ext(file.path))
		if err := os.WriteFile(path, data, 0o600); err != nil {
			return nil, err
		}
		settled[i] = scanFile{name: file.name, path: path}
	}
	return settled, nil
}

// settled returns a file as of the base; own is true for one that is the workflow's.
func (from ConfigPlace) settled(ctx context.Context, path string) (data []byte, own bool, err error) {
	from.Path = path
	base, err := release.ParseCommit(from.Base)
	if err != nil {
		return nil, false, err
	}
	checkout, inside, err := from.inCheckout(ctx)
	if err != nil || inside == "" {
		return nil, inside == "", err
	}
	data, err = from.fileAt(ctx, base, checkout, inside)
	if !errors.Is(err, git.ErrNoFile) && !errors.Is(err, pullrequest.ErrNoFile) {
		return data, false, err
	}
	if checkout != nil {
		head, err := checkout.Commit(ctx)
		if err != nil {
			return nil, false, err
		}
		if _, err = checkout.File(ctx, head, inside); errors.Is(err, git.ErrNoFile) {
			return nil, true, nil
		}
	}
	return nil, false, fault.Hint(fault.Usagef("the base %s has no %s", base.Short(), inside),
		"what a change adds counts once it is merged; a file that the workflow makes may lie outside of the checkout")
}
