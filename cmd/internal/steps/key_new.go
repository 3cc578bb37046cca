// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/knowngood/knowngood/pkg/backup"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/report"
	"github.com/knowngood/knowngood/pkg/step"
)

// newKey holds the inputs that say where a new key is kept: in a file, in a Secret, or in both.
type newKey struct {
	file, secret string
	cluster      *cluster
}

// declare declares them; cluster is where the Secret lies.
func (n *newKey) declare(set *step.Set, cluster *cluster) {
	set.Text(&n.file, "key-file", "", "File to write the new key to. One that is there is never overwritten.")
	set.Text(&n.secret, "key-secret", "", "Kubernetes Secret to make for the new key, as name or namespace/name. One that is there is never overwritten.")
	n.cluster = cluster
	set.Output("key-file", "The file that holds the key.")
	set.Output("key-secret", "The Secret that holds the key, as namespace/name.")
}

func (n *newKey) check() error {
	if n.file == "" && n.secret == "" {
		return fault.Hint(fault.Usagef("where the new key is to be kept is not said"), "give --key-file, --key-secret, or both")
	}
	return nil
}

// find returns the key that lies where the new one is to be kept, "" where none does.
func (n *newKey) find(ctx context.Context, run *Run) (step.Hidden, error) {
	if n.file != "" {
		key, err := backup.ReadKey(absolute(run, n.file))
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return key, usage(err)
		}
	}
	if n.secret == "" {
		return "", nil
	}
	key, err := (&vault{secret: n.secret, from: n.cluster}).keyInSecret(ctx, run)
	if errors.Is(err, kube.ErrNoSecret) {
		return "", nil
	}
	return key, err
}

func usage(err error) error {
	if err == nil {
		return nil
	}
	return fault.Exit(fault.Usage, err)
}

// keep writes the key to each of its places that does not hold it yet. A file that it made goes
// away again when the Secret cannot be made: half a key init would be taken for a whole one.
func (n *newKey) keep(ctx context.Context, run *Run, key step.Hidden) error {
	path, made := absolute(run, n.file), false
	if found, err := backup.ReadKey(path); n.file != "" && (err != nil || found != key) {
		if err := backup.WriteKey(path, key); err != nil {
			return err
		}
		made = true
	}
	if n.secret == "" {
		return nil
	}
	err := n.makeSecret(ctx, run, key)
	if err != nil && made {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

func (n *newKey) makeSecret(ctx context.Context, run *Run, key step.Hidden) error {
	connected, err := n.cluster.connect(ctx, run)
	if err != nil {
		return err
	}
	namespace, name, err := connected.SecretName(n.secret)
	if err != nil {
		return err
	}
	n.secret = namespace + "/" + name
	err = connected.MakeSecret(ctx, namespace, name, keyInSecret, []byte(key.Reveal()))
	if fault.StatusOf(err) != fault.Usage {
		return err
	}
	if found, reading := (&vault{secret: n.secret, from: n.cluster}).keyInSecret(ctx, run); reading == nil && found == key {
		return nil // of a change that was cut short
	}
	return fault.Hint(err, "it may hold the only copy of a key; give another name")
}

// tell says where the key lies, and what the person has to do about it.
func (n *newKey) tell(run *Run, words string) error {
	where := "The steps take it by KNOWNGOOD_REPOSITORY_PASSWORD_FILE."
	if n.secret != "" {
		where = "The steps take it by --repository-password-secret " + n.secret + "."
	}
	if n.secret != "" && n.file == "" {
		where += " It lies in the cluster alone, and the backups are lost with the cluster unless a copy lies elsewhere."
	}
	run.Tell(report.Note(strings.TrimSpace(words + " " + where)))
	var errs []error
	if n.file != "" {
		errs = append(errs, run.Host.Output("key-file", absolute(run, n.file)))
	}
	if n.secret != "" {
		errs = append(errs, run.Host.Output("key-secret", n.secret))
	}
	return errors.Join(errs...)
}
