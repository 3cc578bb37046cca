// SPDX-License-Identifier: Apache-2.0

package layer_test

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/knowngood/knowngood/test/image/layer"
)

func TestFromRefuses(t *testing.T) {
	cases := []struct {
		name    string
		entries []layer.Entry
		want    string
	}{
		{"one path twice", []layer.Entry{{Path: "a", Mode: fs.ModeDir}, {Path: "a", Mode: 0o644}}, "a occurs twice"},
		{"a socket", []layer.Entry{{Path: "s", Mode: fs.ModeSocket}}, "cannot hold"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if _, err := layer.From(c.entries); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("From() = %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestFromIgnoresOrder(t *testing.T) {
	a, b := layer.Entry{Path: "a", Mode: fs.ModeDir | fs.ModeSticky | 0o777}, layer.Entry{Path: "a/b", Mode: fs.ModeSymlink, Link: "c"}
	one, err := layer.From([]layer.Entry{a, b})
	if err != nil {
		t.Fatal(err)
	}
	two, err := layer.From([]layer.Entry{b, a})
	if err != nil {
		t.Fatal(err)
	}
	first, _ := one.Digest()
	second, _ := two.Digest()
	if first != second {
		t.Errorf("digests differ by order: %s, %s", first, second)
	}
}
