// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/knowngood/knowngood/pkg/catalog"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/manifest"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/report"
	"github.com/knowngood/knowngood/pkg/restore"
	"github.com/knowngood/knowngood/pkg/step"
)

// manifestsTimeout is how long keeping the manifests may take: a release does not wait for them.
const manifestsTimeout = 30 * time.Second

func declareManifests(set *step.Set) {
	set.Needs("list", "services", "keep the manifests of the Services beside the data")
	set.Needs("get", "configmaps", "keep the manifests of the ConfigMaps beside the data, without what looks like a secret")
}

// keepManifests keeps the objects that belong to the snapshots of an entry beside its record.
// That never breaks the step: what could not be kept is a note.
func (s *subject) keepManifests(ctx context.Context, run *Run, connected *kube.Cluster, e *release.Entry) {
	if e.Protection == nil || connected == nil || ctx.Err() != nil {
		return
	}
	var claims []string
	for _, taken := range e.Protection.Snapshots {
		if taken.Ready {
			claims = append(claims, taken.Claim)
		}
	}
	if len(claims) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, manifestsTimeout)
	defer cancel()
	bundle, lacking := manifest.Collect(ctx, connected, claims)
	text, err := bundle.Encode()
	var key string
	if err == nil {
		key, err = s.store.Attach(ctx, e.Subject, "manifests", text)
	}
	if err == nil {
		kept := bundle.Summary(text)
		kept.Key = key
		e.Protection.Manifests = &kept
	}
	if err = errors.Join(lacking, err); err != nil {
		run.Log.Warn("the manifests beside the data are not whole", "error", err, "hints", fault.Hints(err))
		e.Protection.Notes = append(e.Protection.Notes, "the manifests beside the data are not whole: "+kube.OneLine(err.Error()))
	}
}

// writeManifests writes the manifests beside the snapshots of a choice to a folder.
func (r *Restore) writeManifests(ctx context.Context, run *Run, store *catalog.Catalog, chosen restore.Choice) error {
	kept := chosen.Manifests
	if kept == nil {
		return fault.Hint(fmt.Errorf("run %q has kept no manifests beside its snapshots", chosen.Lineage.Run), "choose another run with --run")
	}
	text, err := store.Attached(ctx, r.place.application(), kept.Key)
	if err != nil {
		return fmt.Errorf("manifests of run %q: %w", chosen.Lineage.Run, err)
	}
	bundle, err := manifest.Decode(text, *kept)
	if err != nil {
		return fmt.Errorf("manifests of run %q: %w", chosen.Lineage.Run, err)
	}
	namespace := ""
	if r.fromNamespace != "" {
		namespace = r.cluster.namespace
	}
	files, err := bundle.Files(namespace)
	if err != nil {
		return err
	}
	folder := absolute(run, r.manifests)
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return fault.Exit(fault.Usage, fmt.Errorf("manifests: %w", err))
	}
	for _, file := range files {
		if err := writeNew(filepath.Join(folder, file.Name), file.Text); err != nil {
			return err
		}
	}
	run.Result(*kept)
	run.Show(report.Manifests(*kept, chosen.Lineage, r.manifests))
	return nil
}

// writeNew writes a file that is not there yet.
func writeNew(path string, text []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fault.Hint(fault.Usagef("manifests: %s is there already", path), "name an empty folder, or one that does not exist")
	} else if err != nil {
		return fmt.Errorf("manifests: %w", err)
	}
	_, err = file.Write(text)
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("manifests: write %s: %w", path, err)
	}
	return nil
}
