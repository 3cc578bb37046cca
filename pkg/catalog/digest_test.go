// SPDX-License-Identifier: Apache-2.0

package catalog_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"testing"

	"github.com/knowngood/knowngood/pkg/catalog"
)

// TestTheDigestIsThatOfTheObject: whoever was handed an entry's place and digest can verify it
// with sha256sum, and the next entry of the run names the same.
func TestTheDigestIsThatOfTheObject(t *testing.T) {
	t.Parallel()
	c := open(t, t.TempDir(), start())
	stored := put(t, c, entry("demo", "r1", commitA, "gate"), entry("demo", "r1", commitA, "snapshot"))
	digest, err := catalog.Digest(stored[0])
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(c.Place(stored[0]))
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("sha256:%x", sha256.Sum256(data)); digest != want || digest != "sha256:"+stored[1].Previous {
		t.Errorf("digest %s, the object's is %s, the next entry says %s", digest, want, stored[1].Previous)
	}
}
