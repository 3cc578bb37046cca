// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/knowngood/knowngood/pkg/release"
)

const anID = "01KE0M4F9M0000000000000000"

func TestKeysAreWrittenOneWay(t *testing.T) {
	t.Parallel()
	commit := strings.Repeat("a", 40)
	for _, test := range []struct {
		subject release.Subject
		want    string
	}{
		{
			release.Subject{App: "shop", Environment: "production", Run: "42-1"},
			"v1/shop/production/" + anID + "-42-1-" + commit + "-rotate-prepare.json",
		},
		{
			release.Subject{App: "../Büro", Environment: "shop.3f2a", Run: commit + "-gate"},
			"v1/!2e.!2fB!c3!bcro/shop.3f2a/" + anID + "-" + commit + "-gate-" + commit + "-rotate-prepare.json",
		},
		{
			release.Subject{App: ".", Environment: "a/b", Run: "%41!41"},
			"v1/!2e/a!2fb/" + anID + "-!2541!2141-" + commit + "-rotate-prepare.json",
		},
	} {
		e := release.Entry{Subject: test.subject, ID: anID, Step: "rotate-prepare"}
		e.Commit = release.Commit(commit)
		if got := keyOf(e).String(); got != test.want {
			t.Errorf("key %s, want %s", got, test.want)
		}
		if back, err := parseKey(test.want); err != nil || back != keyOf(e) {
			t.Errorf("parseKey(%s) = %+v, %v", test.want, back, err)
		}
	}
}

func TestNamesThatNoEntryHas(t *testing.T) {
	t.Parallel()
	tail := "-1-" + strings.Repeat("a", 40) + "-gate.json"
	for _, name := range []string{
		"", "v1/shop/x.json", "v2/shop/e/" + anID + tail, "v1/shop/" + anID + tail, "v1/shop/e/" + strings.ToLower(anID) + tail,
		"v1/shop/e/" + anID + strings.Replace(tail, "aaa", "aa", 1), "v1/sh!6fp/e/" + anID + tail, "v1/sh!2Fp/e/" + anID + tail,
		"v1/shop!/e/" + anID + tail, "v1/shop!zz/e/" + anID + tail, "v1/../e/" + anID + tail, "v1/a b/e/" + anID + tail,
		"v1/shop/e/" + anID + strings.Replace(tail, "-gate", "-Gate", 1), "v1/shop/e/" + anID + strings.Replace(tail, "-gate", "-", 1),
		"v1/shop/e/" + anID + strings.Replace(tail, "-1-", "--", 1), "v1//e/" + anID + tail, "v1/shop//" + anID + tail, "v1/shop/e/f/" + anID + tail,
		"v1/shop/e/8ZZZZZZZZZZZZZZZZZZZZZZZZZ" + tail, "x/v1/shop/e/" + anID + tail,
	} {
		if k, err := parseKey(name); err == nil {
			t.Errorf("parseKey(%q) = %+v", name, k)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	good := release.Subject{App: "shop", Environment: "none", Run: "1", Commit: release.Commit(strings.Repeat("a", 40))}
	if err := Check(good); err != nil {
		t.Error(err)
	}
	for _, test := range []struct{ app, why string }{
		{"", "it is empty"},
		{" ", "it is empty"},
		{"a ", "it begins or ends with a space"},
		{"a\nb", "it holds a control character"},
		{"a\x1b[2J", "it holds a control character"},
		{"a\u202eb", "it holds a control character"},
		{"a\xff", "it is not UTF-8"},
		{strings.Repeat("a", 201), "it is too long: 201 bytes in a key, at most 200"},
		{strings.Repeat("ü", 40), "it is too long: 240 bytes in a key, at most 200"},
	} {
		bad := good
		bad.App = test.app
		if err := Check(bad); err == nil || !strings.HasSuffix(err.Error(), ": "+test.why) {
			t.Errorf("Check(%q) = %v, want %s", test.app, err, test.why)
		}
	}
}

// Whatever a person may call things: the key leads back to it, stays in its folder, and fits.
func FuzzKey(f *testing.F) {
	f.Add("shop", "production", "42-1")
	f.Add("../..", "a/b", "-"+strings.Repeat("b", 40)+"-gate.json")
	f.Add("__0x2f__", ".attrs", "x.tmp")
	f.Add("!2f", "%2f", "\\")
	f.Add("CON", "nul.", "a:b*?\"<>|")
	commit := release.Commit(strings.Repeat("c", 64))
	step, folder := strings.Repeat("s", maxStep), f.TempDir()
	f.Fuzz(func(t *testing.T, app, environment, run string) {
		e := release.Entry{ID: anID, Step: step, Subject: release.Subject{App: app, Environment: environment, Run: run, Commit: commit}}
		if Check(e.Subject) != nil || checkStep(e.Step) != nil {
			return
		}
		name := keyOf(e).String()
		back, err := parseKey(name)
		if err != nil || back != keyOf(e) {
			t.Fatalf("parseKey(%q) = %+v, %v, want %+v", name, back, err, keyOf(e))
		}
		if !filepath.IsLocal(name) || filepath.ToSlash(filepath.Clean(name)) != name || strings.Count(name, "/") != 3 {
			t.Errorf("key %q leads elsewhere", name)
		}
		for part := range strings.SplitSeq(name, "/") {
			// A driver adds ".<16 digits>.tmp".
			if len(part) > 255-21 || strings.HasPrefix(part, ".") || strings.HasSuffix(part, ".") {
				t.Errorf("part %q of %d bytes", part, len(part))
			}
		}
		c, err := Open(t.Context(), folder, func() time.Time { return time.UnixMilli(1) })
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.bucket.Put(t.Context(), name, nil, "application/json"); err != nil {
			t.Fatal(err)
		}
		keys, strays, err := c.keys(t.Context(), Query{App: app, Environment: environment, Run: run})
		if err != nil || strays != nil || len(keys) != 1 || keys[0] != back {
			t.Errorf("the folder lists %v, %v, want %v", keys, err, back)
		}
		if err := c.bucket.Remove(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	})
}
