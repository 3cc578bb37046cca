// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/kopia/kopia/repo"
	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/format"

	"github.com/knowngood/knowngood/pkg/bucket"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/step"
)

// splitterName cuts files into pieces of a mebibyte on average: half of what grows with
// kopia's default after a small change. It cannot be changed later.
const splitterName = "DYNAMIC-1M-BUZHASH"

// hashName names contents by a keyed hash that costs a quarter of kopia's default on a processor
// with AVX2. It cannot be changed later.
const hashName = "BLAKE3-256-128"

// shortest is how many characters a key has at least.
const shortest = 16

// strong refuses keys that could be guessed.
func strong(password step.Hidden) error {
	text := password.Reveal()
	cure := "make one: knowngood key init --key-file FILE, keep the file safe, and set KNOWNGOOD_REPOSITORY_PASSWORD_FILE to it"
	switch {
	case text == "":
		return fault.Hint(fault.Usagef("no key of the repository is given"), "%s", cure)
	case len(text) < shortest:
		return fault.Hint(fault.Usagef("the key of the repository is shorter than %d characters", shortest), "%s", cure)
	case strings.Count(text, text[:1]) == len(text):
		return fault.Hint(fault.Usagef("the key of the repository is one character repeated"), "%s", cure)
	}
	return nil
}

// isSetUp tells whether a repository is there. It is the first question to the bucket, and is
// asked as often as the provider's own client does: what is wrong with the place or the
// credentials is no better after minutes.
func isSetUp(ctx context.Context, st *storage) (bool, error) {
	_, err := st.GetMetadata(ctx, format.KopiaRepositoryBlobID)
	if err == nil {
		return true, nil
	}
	// The answer about one object has no words, and says of a bucket that is none only that the
	// object is not there. The answer to a listing has both.
	for _, listing := range st.bucket.Objects(ctx, "") {
		if listing != nil {
			return false, listing
		}
		break
	}
	if errors.Is(err, blob.ErrBlobNotFound) {
		err = nil
	}
	return false, err
}

// setUp makes a repository in an empty place. The one object that makes a place a repository
// holds its keys, and whoever overwrote it would make all that others wrote unreadable: it is
// written only where there is none, and a loser uses the winner's.
func setUp(ctx context.Context, st *storage, o Options) error {
	if err := notForeign(ctx, st); err != nil {
		return err
	}
	keeps, err := st.bucket.KeepsNew(ctx, ownPrefix+"probe-")
	if err != nil {
		return fmt.Errorf("set up the repository: %w", err)
	}
	if !keeps {
		o.Log.Warn("the bucket overwrites what must be written once; set up only one repository at a time there", "bucket", st.DisplayName())
	}
	made := &memory{objects: map[blob.ID][]byte{}}
	err = repo.Initialize(ctx, made, &repo.NewRepositoryOptions{
		BlockFormat:  format.ContentFormat{Hash: hashName, EnablePasswordChange: true},
		ObjectFormat: format.ObjectFormat{Splitter: splitterName},
	}, o.Password.Reveal())
	if err != nil {
		return fmt.Errorf("set up the repository: %w", err)
	}
	err = st.bucket.PutNew(ctx, format.KopiaRepositoryBlobID, made.objects[format.KopiaRepositoryBlobID], contentType)
	if errors.Is(err, bucket.ErrExists) {
		o.Log.Info("another process has set the repository up", "repository", st.DisplayName())
		return nil
	}
	if err == nil {
		o.Log.Info("repository set up", "repository", st.DisplayName())
	}
	return err
}

// notForeign refuses a place that holds something else: a forgotten prefix, or a repository
// whose kopia.repository was lost, over which a new one would bury the old.
func notForeign(ctx context.Context, st *storage) error {
	for object, err := range st.bucket.Objects(ctx, "") {
		if err != nil {
			return err
		}
		if strings.HasPrefix(object.Key, ownPrefix) {
			continue
		}
		return fault.Hint(fault.Usagef("%s is no repository and is not empty: it holds %.80q", st.DisplayName(), object.Key),
			"give a --repository of its own, e.g. with a prefix: s3://bucket/backups/shop")
	}
	return nil
}

// memory keeps what kopia makes of a new repository until it is put where it belongs.
type memory struct {
	blob.DefaultProviderImplementation
	objects map[blob.ID][]byte
}

func (m *memory) GetBlob(_ context.Context, id blob.ID, _, _ int64, output blob.OutputBuffer) error {
	data, ok := m.objects[id]
	if !ok {
		return blob.ErrBlobNotFound
	}
	output.Reset()
	_, err := output.Write(data)
	return err
}

func (m *memory) GetMetadata(_ context.Context, id blob.ID) (blob.Metadata, error) {
	data, ok := m.objects[id]
	if !ok {
		return blob.Metadata{}, blob.ErrBlobNotFound
	}
	return blob.Metadata{BlobID: id, Length: int64(len(data))}, nil
}

func (m *memory) PutBlob(_ context.Context, id blob.ID, data blob.Bytes, _ blob.PutOptions) error {
	var whole bytes.Buffer
	_, err := data.WriteTo(io.Writer(&whole))
	m.objects[id] = whole.Bytes()
	return err
}

func (m *memory) DeleteBlob(_ context.Context, id blob.ID) error {
	delete(m.objects, id)
	return nil
}

func (m *memory) ListBlobs(_ context.Context, prefix blob.ID, each func(blob.Metadata) error) error {
	for id, data := range m.objects {
		if strings.HasPrefix(string(id), string(prefix)) {
			if err := each(blob.Metadata{BlobID: id, Length: int64(len(data))}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *memory) ConnectionInfo() blob.ConnectionInfo { return blob.ConnectionInfo{} }
func (m *memory) DisplayName() string                 { return "memory" }
