// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/kopia/kopia/repo/format"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/step"
)

// NewKey makes a random key of 260 bits.
func NewKey() step.Hidden { return step.Hidden(rand.Text() + rand.Text()) }

// WriteKey writes a key into a new file that its owner alone may read. A file that is there
// already may be the only copy of another key, and is an error.
func WriteKey(path string, key step.Hidden) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fault.Hint(fault.Usagef("the key file %s exists already", path), "it may be the only copy of a key; give another name")
	} else if err != nil {
		return fault.Exit(fault.Usage, err)
	}
	_, err = file.WriteString(key.Reveal() + "\n")
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return errors.Join(fmt.Errorf("write the key file: %w", err), os.Remove(path))
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// ReadKey reads a key file.
func ReadKey(path string) (step.Hidden, error) {
	data, err := os.ReadFile(path)
	return step.Hidden(strings.TrimRight(string(data), "\r\n")), err
}

// ChangeKey makes a new key open the repository, and the old one no longer. The repository is
// opened by one of the two at any time, whatever happens meanwhile. What the keys guard, the
// master key under which all content is encrypted, stays: whoever had the old key and kept a
// copy of the repository's objects from then can still read what was saved before and after.
func (r *Repository) ChangeKey(ctx context.Context, key step.Hidden) error {
	if err := strong(key); err != nil {
		return err
	}
	manager := r.kopia.FormatManager()
	settings, err := manager.BlobCfgBlob(ctx)
	if err != nil {
		return fmt.Errorf("change the key of %s: %w", r.Place(), err)
	}
	if settings.IsRetentionEnabled() {
		return fault.Hint(fmt.Errorf("change the key of %s: its objects are locked, and with them the settings that the key guards", r.Place()),
			"set up a new repository with a new key, and save to it")
	}
	// The settings are those that hold without the object, which only the old key opens.
	if err := r.packs.DeleteBlob(ctx, format.KopiaBlobCfgBlobID); err != nil {
		return fmt.Errorf("change the key of %s: %w", r.Place(), err)
	}
	if err := r.dropSpare(ctx); err != nil {
		return fmt.Errorf("change the key of %s: %w", r.Place(), err)
	}
	if err := manager.ChangePassword(ctx, key.Reveal()); err != nil {
		return fmt.Errorf("change the key of %s: %w", r.Place(), err)
	}
	if err := r.renewSpare(ctx); err != nil {
		return fmt.Errorf("change the key of %s: %w", r.Place(), err)
	}
	o := r.options
	o.Password, o.Setup = key, false
	again, err := Open(ctx, o)
	if err != nil {
		return fault.Hint(fmt.Errorf("change the key of %s: the new key does not open it: %w", r.Place(), err),
			"another change may have come in between; try each key that there is")
	}
	return again.Close(ctx)
}

// A Seal says what is known of a repository and its key, without the key.
type Seal struct {
	Repository string `json:"repository"`
	// ID is the repository's own, by which two of them are told apart.
	ID         string    `json:"id"`
	Encryption string    `json:"encryption"`
	Splitter   string    `json:"splitter"`
	Changed    time.Time `json:"changed"` // when the key was last changed, or made
}

// Seal returns what is known of the repository and its key.
func (r *Repository) Seal(ctx context.Context) (Seal, error) {
	found, err := r.packs.GetMetadata(ctx, format.KopiaRepositoryBlobID)
	if err != nil {
		return Seal{}, err
	}
	return Seal{
		Repository: r.Place(), ID: hex.EncodeToString(r.kopia.UniqueID())[:16],
		Encryption: r.kopia.FormatManager().GetEncryptionAlgorithm(), Splitter: r.kopia.ObjectFormat().Splitter, Changed: found.Timestamp.UTC(),
	}, nil
}
