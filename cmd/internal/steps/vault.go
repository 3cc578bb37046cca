// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"context"
	"net/url"
	"path/filepath"

	"github.com/knowngood/knowngood/pkg/backup"
	"github.com/knowngood/knowngood/pkg/bucket"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/step"
)

// vault holds the inputs that say where backups lie and which key opens them.
type vault struct {
	repository string
	allowHTTP  bool
	// Of password, command and secret one gives the key; see key.
	password step.Hidden
	command  string
	secret   string
	// from is the cluster whose Secret holds the key.
	from *cluster
	// lock is asked of the bucket for what is written.
	lock backup.Lock
	// links are opened in the place of the repository, nil for none.
	links *backup.Links
	// known is the key once one of them gave it.
	known step.Hidden
}

func (v *vault) declare(set *step.Set) {
	set.Text(&v.repository, "repository", "", repositoryDoc)
	set.Secret(&v.password, "repository-password", "Key of the repository, as key init makes it.")
	set.Text(&v.command, "repository-password-command", "",
		"Command that prints the key of the repository, e.g. a KMS's own: a line for a shell, best kept in .knowngood.yaml.")
	set.Text(&v.secret, "repository-password-secret", "", keySecretDoc)
	set.Bool(&v.allowHTTP, "allow-http", false, allowHTTPDoc)
}

// Sentences of inputs that steps have too whose Jobs open the repository.
const (
	repositoryDoc = "Where the backups lie: a folder, or s3://, gs:// or azblob:// with bucket and prefix; empty uses a folder of the user's own, one for each application and environment."
	keySecretDoc  = "Kubernetes Secret that holds the key of the repository under password, as name or namespace/name." //nolint:gosec // a sentence
	allowHTTPDoc  = "Reach the repository without TLS where its address says so; the record then tells. An address of this machine itself needs no leave."
)

// declareReach declares how a step that needs no cluster otherwise reaches the one whose Secret
// holds the key. A step that declares a cluster sets from to it.
func (v *vault) declareReach(set *step.Set) {
	v.from = &cluster{}
	v.from.declareReach(set)
}

// open opens the repository of an application in an environment. setup makes it where there is
// none.
func (v *vault) open(ctx context.Context, run *Run, app, environment string, setup bool) (*backup.Repository, error) {
	options, err := v.options(ctx, run, app, environment)
	if err != nil {
		return nil, err
	}
	options.Setup = setup
	return backup.Open(ctx, options)
}

// options say which repository is meant, and hold its key.
func (v *vault) options(ctx context.Context, run *Run, app, environment string) (backup.Options, error) {
	place, err := v.place(run, app, environment)
	if err != nil && v.links == nil {
		return backup.Options{}, err
	}
	key, err := v.key(ctx, run)
	return backup.Options{
		Place: place, Password: key, App: app, Environment: environment, Now: run.Now, Log: run.Log, AllowHTTP: v.allowHTTP, Lock: v.lock, Links: v.links,
	}, err
}

func (v *vault) place(run *Run, app, environment string) (string, error) {
	if v.repository != "" {
		return bucket.Locate(run.Dir, v.repository), nil
	}
	if err := named(app); err != nil {
		return "", err
	}
	data, err := dataFolder(run.Environ)
	if err != nil {
		return "", fault.Hint(fault.Exit(fault.Usage, err), "give --repository")
	}
	// Both names become one folder each, whatever is in them.
	return ownFolder(data, "repository", url.PathEscape(app), url.PathEscape(environment)), nil
}

// wanted holds the inputs that select a backup.
type wanted struct {
	vault
	app, source, environment string
	volume, commit           string
	config, base             string
}

func (w *wanted) declare(set *step.Set) {
	w.declareWhose(set)
	set.Text(&w.volume, "volume", "", volumeDoc)
	set.Text(&w.commit, "commit", "", "Only backups of this commit: its id, or the first digits of it.")
	w.declareConfig(set)
}

const volumeDoc = "Only backups of this volume: the folder, or the name under which it was saved."

// declareWhose declares whose backups are meant, and where they lie.
func (w *wanted) declareWhose(set *step.Set) {
	set.Text(&w.app, "app", "", "Name of the application; empty uses the name of its source repository.")
	set.Text(&w.source, "source-repository", "", "Repository of the source, as owner/name.", step.Fact())
	set.Text(&w.environment, "environment", "", "Name of the environment, e.g. production; empty is none, as where a step without a cluster saves.")
	w.vault.declare(set)
}

func (w *wanted) declareConfig(set *step.Set) {
	set.Text(&w.config, "config", "", configDoc)
	set.Text(&w.base, "base", "", baseDoc, step.Fact())
}

// query returns what the inputs select.
func (w *wanted) query() (backup.Query, error) {
	if w.commit != "" && !digits.MatchString(w.commit) {
		return backup.Query{}, fault.Usagef("commit %.80q: want the first 4 to 64 hexadecimal digits of its id", w.commit)
	}
	app := (&place{app: w.app, source: w.source}).application()
	return backup.Query{App: app, Environment: w.environment, Volume: w.volume, Commit: w.commit}, nil
}

// absolute reads a folder that the person named against the working directory.
func absolute(run *Run, folder string) string {
	if filepath.IsAbs(folder) {
		return filepath.Clean(folder)
	}
	return filepath.Join(run.Dir, folder)
}
