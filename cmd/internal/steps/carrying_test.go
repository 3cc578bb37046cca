// SPDX-License-Identifier: Apache-2.0

package steps

import "testing"

func TestAJobRunsThePublishedImageOfARelease(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]string{
		"0.1.0": "ghcr.io/knowngood/knowngood:0.1.0", "1.2.3-rc.1": "ghcr.io/knowngood/knowngood:1.2.3-rc.1", "dev": "", "": "", "v": "",
	} {
		if got, err := (&carrying{}).published(version); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", version, got, err)
		}
		if got, err := (&carrying{image: "mine:1"}).published(version); got != "mine:1" || err != nil {
			t.Errorf("%q with an image: %q, %v", version, got, err)
		}
	}
}
