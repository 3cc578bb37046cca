// SPDX-License-Identifier: Apache-2.0

package pullrequest

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/go-github/v60/github"
)

const scopeContents = "contents: read"

// Errors of File beside those of every call.
var (
	// ErrNoFile: the commit has no such file, and the token may see that it has none.
	ErrNoFile = errors.New("no such file in the commit")
	// ErrIrregular: the commit has a folder or a submodule there, or a file that the API does
	// not hand out.
	ErrIrregular = errors.New("not a file that can be read")
)

// File returns a file as a commit has it. GitHub says "not found" of a file that is not there
// and of a repository that the token may not see: File says ErrNoFile of the first alone.
func (c *Client) File(ctx context.Context, commit, path string) ([]byte, error) {
	doing := fmt.Sprintf("read %s of %s as of commit %.12s", path, c.repository(), commit)
	options := &github.RepositoryContentGetOptions{Ref: commit}
	file, _, _, err := c.api.Repositories.GetContents(ctx, c.owner, c.name, path, options)
	if err != nil {
		err = c.explain(err, doing, scopeContents)
		if !errors.Is(err, ErrNotFound) {
			return nil, err
		}
		if _, _, unseen := c.api.Git.GetCommit(ctx, c.owner, c.name, commit); unseen != nil {
			return nil, c.explain(unseen, doing, scopeContents)
		}
		return nil, fmt.Errorf("%s: %w", doing, ErrNoFile)
	}
	if file == nil || file.GetType() != "file" || file.GetEncoding() == "none" {
		return nil, fmt.Errorf("%s: %w", doing, ErrIrregular)
	}
	text, err := file.GetContent()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	return []byte(text), nil
}
