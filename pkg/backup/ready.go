// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kopia/kopia/repo/manifest"
	"github.com/kopia/kopia/snapshot"
	"golang.org/x/sys/unix"

	"github.com/knowngood/knowngood/pkg/fault"
)

// ready refuses to begin what cannot end well.
func (r *Repository) ready(ctx context.Context, q Request) error {
	if q.Device != "" {
		if err := readyDevice(q.Device); err != nil {
			return err
		}
	} else if err := r.readyFolder(q.Folder); err != nil {
		return err
	}
	if _, err := r.Probe(ctx); err != nil {
		return err
	}
	return r.tellOthers(ctx, q.Label)
}

// tellOthers warns where the repository also holds backups of others: one key opens all of them.
func (r *Repository) tellOthers(ctx context.Context, l Label) error {
	notes, err := r.kopia.FindManifests(ctx, map[string]string{manifest.TypeLabelKey: snapshot.ManifestType})
	if err != nil {
		return fmt.Errorf("look whose backups are in %s: %w", r.Place(), err)
	}
	var others []string
	for _, note := range notes {
		app, environment := note.Labels[snapshot.UsernameLabel], note.Labels[snapshot.HostnameLabel]
		if note.Labels[tagEntries] != "" && (app != l.App || environment != l.Environment) {
			others = append(others, strings.Trim(app+"/"+environment, "/"))
		}
	}
	if len(others) > 0 {
		slices.Sort(others)
		r.options.Log.Warn("one key opens this repository, and destroyed it takes the backups of all with it: give each application and environment one of its own",
			"also_of", strings.Join(slices.Compact(others), ", "))
	}
	return nil
}

func (r *Repository) readyFolder(folder string) error {
	whole, err := filepath.EvalSymlinks(folder)
	if err != nil {
		return fault.Exit(fault.Usage, fmt.Errorf("save: %w", err))
	}
	if _, err := os.Lstat(filepath.Join(whole, staging)); err == nil {
		return fault.Hint(fault.Usagef("save %s: a restore to this folder has not been finished", folder),
			"finish it by the same restore, or remove %s", filepath.Join(folder, staging))
	}
	if own, err := filepath.EvalSymlinks(r.bucket.Place("")); err == nil && filepath.IsAbs(own) {
		if whole, err = filepath.Abs(whole); err == nil && strings.HasPrefix(own+"/", whole+"/") {
			return fault.Hint(fault.Usagef("save %s: the repository lies inside of it", folder), "give a repository elsewhere")
		}
	}
	return nil
}

// readyDevice refuses a device that cannot be saved whole.
func readyDevice(path string) error {
	file, _, err := openDevice(path, unix.O_RDONLY)
	if err != nil {
		return fmt.Errorf("save: %w", err)
	}
	defer file.Close()
	id, err := readMark(file)
	if err == nil && id != "" {
		return fault.Hint(fault.Usagef("save %s: a restore of backup %s to it has not been finished", path, id), "finish it by the same restore")
	}
	return err
}
