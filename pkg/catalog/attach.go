// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"context"
	"fmt"
	"strings"

	"github.com/knowngood/knowngood/pkg/release"
)

// attached ends the names of what lies beside the entries of a run. It is not an entry's, so
// that listings pass over it.
const attached = ".attached"

// maxAttached is the size of the largest object that is read as an attachment.
const maxAttached = 8 << 20

// Attach stores bytes beside the entries of a run and returns their key. Its name holds their
// digest: the same bytes are stored once, and others never take their place.
func (c *Catalog) Attach(ctx context.Context, s release.Subject, kind string, data []byte) (string, error) {
	if err := Check(s); err != nil {
		return "", err
	}
	if len(data) > maxAttached {
		return "", fmt.Errorf("store the %s of run %q: %d bytes, at most %d", kind, s.Run, len(data), maxAttached)
	}
	name := prefixOf(s.App, s.Environment) + encode(s.Run) + "-" + string(s.Commit) + "-" + kind + "-" + digestOf(data)[:16] + attached
	if err := c.bucket.Put(ctx, name, data, "application/octet-stream"); err != nil {
		return "", fmt.Errorf("store the %s of run %q: %w", kind, s.Run, err)
	}
	return name, nil
}

// Attached returns bytes that Attach has stored for an application.
func (c *Catalog) Attached(ctx context.Context, app, key string) ([]byte, error) {
	if !strings.HasPrefix(key, prefixOf(app, "")) || !strings.HasSuffix(key, attached) {
		return nil, fmt.Errorf("%.200q is not the key of something that lies beside a record of %q", key, app)
	}
	return c.bucket.Get(ctx, key, maxAttached)
}
