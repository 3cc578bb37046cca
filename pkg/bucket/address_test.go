// SPDX-License-Identifier: Apache-2.0

package bucket

import (
	"encoding/hex"
	"io/fs"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/knowngood/knowngood/pkg/fault"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ text, target, prefix, place string }{
		{"records", "file://./records", "", "records"},
		{"./a/../b c?d#e%41", "file://././a/../b%20c%3Fd%23e%2541", "", "b c?d#e%41"},
		{"/var/lib/records", "file:///var/lib/records", "", "/var/lib/records"},
		{"file:///var/lib/records", "file:///var/lib/records", "", "/var/lib/records"},
		{"file://./records?prefix=a", "file://./records/a", "", "records/a"},
		{"file:///records?prefix=/a__0x2f__//b/", "file:///records/a__0x2f__/b/", "", "/records/a__0x2f__/b"},
		{"file://localhost/x?dir_file_mode=0700", "file://localhost/x?dir_file_mode=0700", "", "/x"},
		{"s3://b", "s3://b", "", "s3://b"},
		{"s3://b/", "s3://b", "", "s3://b"},
		{"s3://b/team/shop/?region=x", "s3://b?region=x", "team/shop/", "s3://b/team/shop"},
		{"s3://b/team?prefix=/shop/&region=x", "s3://b?region=x", "team/shop/", "s3://b/team/shop"},
		{"s3://b/a%2Fb%20c", "s3://b", "a/b c/", "s3://b/a/b c"},
		{"gs://b/p", "gs://b", "p/", "gs://b/p"},
		{"azblob://c/p", "azblob://c", "p/", "azblob://c/p"},
		{"mem://", "mem:", "", "mem://"},
	} {
		got, err := parse(test.text)
		if err != nil {
			t.Errorf("parse(%q): %v", test.text, err)
			continue
		}
		if got.target.String() != test.target || got.prefix != test.prefix || got.place("") != test.place {
			t.Errorf("parse(%q) = target %q, prefix %q, place %q, want %q, %q, %q",
				test.text, got.target.String(), got.prefix, got.place(""), test.target, test.prefix, test.place)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", " ", "s3:/bucket", "s3:bucket", "file:/folder", "a\x00b", "http://b", "S3://b", "s3://", "gs:///p", "azblob://?x=y",
		"file://folder", "file://host/folder", "file://", "file:///", "s3://AKIA:s3cret@b", "s3://b#s3cret", "s3://b?key=one", "s3://b%zz?s3cret",
		"://x",
	} {
		_, err := parse(text)
		if fault.StatusOf(err) != fault.Usage || len(fault.Hints(err)) == 0 {
			t.Errorf("parse(%q): %v, hints %q, want an error of usage with a hint", text, err, fault.Hints(err))
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("parse(%q) shows a secret: %v", text, err)
		}
	}
}

func TestRedact(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text, want string
		hides      bool
	}{
		{"s3://b/p?region=eu-west-1", "s3://b/p?region=eu-west-1", false},
		{"s3://AKIA:s3cret@b", "s3://redacted@b", true},
		{"s3://b?secret=s3cret&token=s3cret&region=x", "s3://b?region=x&redacted", true},
		{"s3://b?endpoint=http%3A%2F%2Fme%3As3cret%40host", "s3://b?endpoint=http%3A%2F%2Fhost", true},
		{"s3://b?endpoint=http://host:9/", "s3://b?endpoint=http%3A%2F%2Fhost%3A9", false},
		{"s3://b?region=x&%zz=s3cret", "s3://b?region=x", true},
		{"azblob://c?sig=s3cret#s3cret", "azblob://c?redacted", true},
		{"s3:/AKIA:s3cret@b", "s3:***", true},
		{"s3://b%zz?s3cret", "s3://***", true},
		{"/a folder?x=1", "/a folder?x=1", false},
	} {
		if Hides(test.text) != test.hides {
			t.Errorf("Hides(%q) = %v", test.text, !test.hides)
		}
		if got := Redact(test.text); got != test.want {
			t.Errorf("Redact(%q) = %q, want %q", test.text, got, test.want)
		}
	}
}

// A bucket tells how it is given to another command: with all that is no secret.
func TestAddress(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"s3://b/p":                "",
		"s3://b/p/":               "",
		"s3://b/p?region=eu-1":    "s3://b/p?region=eu-1",
		"s3://b/50%25":            "s3://b/50%25",
		"s3://b/p?role=s3cret":    "s3://b/p?redacted",
		"file:///srv/p?nomd5=yes": "",
		"/srv/p":                  "",
	} {
		at, err := parse(text)
		if got := (&Bucket{at: at}).Address(); err != nil || got != want {
			t.Errorf("the address of %q is %q, want %q (%v)", text, got, want, err)
		}
	}
}

func TestLocate(t *testing.T) {
	t.Parallel()
	for _, test := range [][2]string{
		{"records", "/srv/records"},
		{"../x", "/x"},
		{"/abs", "/abs"},
		{"s3://b/p", "s3://b/p"},
		{"file://./records", "file:///srv/records"},
		{"s3:b", "s3:b"},
		{"", ""},
	} {
		if got := Locate("/srv", test[0]); got != test[1] {
			t.Errorf("Locate(%q) = %q, want %q", test[0], got, test[1])
		}
	}
}

func FuzzNoSecretIsShown(f *testing.F) {
	f.Add("token", "x", "http://h")
	f.Add("X-Amz-Signature", "y", "http://h:99/a?b=c")
	f.Add("region2", "z", "%zz")
	f.Fuzz(func(t *testing.T, name, text, endpoint string) {
		secret := "S3CRET" + hex.EncodeToString([]byte(text))
		if shown(name) || name == "endpoint" {
			return
		}
		raw := "s3://user:" + secret + "@bucket/prefix?region=x&" + url.QueryEscape(name) + "=" + secret +
			"&endpoint=" + url.QueryEscape("http://u:"+secret+"@"+endpoint+"?"+secret+"#"+secret) + "#" + secret
		for _, text := range []string{raw, strings.Replace(raw, "bucket", "%zz", 1)} {
			if got := Redact(text); strings.Contains(got, secret) {
				t.Errorf("Redact(%q) = %q", text, got)
			}
			if _, err := parse(text); err == nil || strings.Contains(err.Error(), secret) {
				t.Errorf("parse(%q): %v", text, err)
			}
		}
	})
}

// Who reads an object that a folder has lost need not look at the folder's name.
func TestALostObjectIsNoWrongFolder(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for place, hints := range map[string]int{folder: 0, filepath.Join(folder, "misspelt"): 1} {
		at, err := parse(place)
		if err != nil {
			t.Fatal(err)
		}
		if got := fault.Hints(at.explain("read", "lost", fs.ErrNotExist)); len(got) != hints {
			t.Errorf("%s: hints %q, want %d", place, got, hints)
		}
	}
}
