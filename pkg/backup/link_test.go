// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"bytes"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/knowngood/knowngood/pkg/bucket"
	"github.com/knowngood/knowngood/pkg/fault"
)

func TestLinksOnMinIO(t *testing.T) { linksRestore(t, onMinIO(t, t.TempDir())) }

func TestLinksOnVersityGW(t *testing.T) { linksRestore(t, onVersityGW(t, t.TempDir())) }

// linksRestore proves that a backup comes back by links and the key alone, that they lead to no
// other backup, and that they end.
func linksRestore(t *testing.T, address string) {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", "tester")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "tester-secret")
	o := lockOptions(t, "s3://linked/team?region=us-east-1&use_path_style=true&endpoint="+url.QueryEscape("http://"+address))
	o.Lock = Lock{}
	opened, err := bucket.Open(t.Context(), o.Place)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	var client *s3.Client
	if name := "linked"; !opened.As(&client) {
		t.Fatal("no client")
	} else if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name}); err != nil {
		t.Fatal(err)
	}
	r, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close(t.Context())
	source := t.TempDir()
	var ids []string
	for _, text := range []string{"first", "second"} {
		if err := os.WriteFile(filepath.Join(source, "a"), []byte(strings.Repeat(text, 3<<20)), 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := r.Save(t.Context(), Request{Folder: source, Label: Label{App: "shop", Environment: "none", Volume: "data"}})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, b.ID)
	}
	links, err := r.Link(t.Context(), ids[0], time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	short, err := r.Link(t.Context(), ids[0], time.Minute)
	if err != nil || short.Expires.After(links.Expires) {
		t.Error(err, short.Expires)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "nobody")
	restored, err := byLinks(t, handedOn(t, links), ids[0])
	if err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(filepath.Join(restored, "a")); err != nil || string(data) != strings.Repeat("first", 3<<20) {
		t.Errorf("came back otherwise, %v", err)
	}
	if _, err := byLinks(t, handedOn(t, links), ids[1]); err == nil {
		t.Error("the links lead to another backup too")
	}
	for key, link := range links.Objects { // a signature that is no longer right, as one that expired
		link.URL = strings.Replace(link.URL, "X-Amz-Expires=", "X-Amz-Expires=1", 1)
		links.Objects[key] = link
	}
	_, err = byLinks(t, handedOn(t, links), ids[0])
	if err == nil || !strings.Contains(err.Error(), "the link may have expired") || strings.Contains(err.Error(), "X-Amz") {
		t.Errorf("%v", err)
	}
	if _, err := r.Link(t.Context(), ids[0], 8*24*time.Hour); fault.StatusOf(err) != fault.Usage {
		t.Errorf("links for longer than a week: %v", err)
	}
}

// handedOn is what the reader of a file of links has.
func handedOn(t *testing.T, links Links) *Links {
	t.Helper()
	data, err := json.Marshal(links)
	if err != nil {
		t.Fatal(err)
	}
	read, err := ReadLinks(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return &read
}

func byLinks(t *testing.T, links *Links, id string) (string, error) {
	t.Helper()
	o := lockOptions(t, "")
	o.Lock, o.Links, o.Setup = Lock{}, links, false
	r, err := Open(t.Context(), o)
	if err != nil {
		return "", err
	}
	defer r.Close(t.Context())
	target := t.TempDir()
	_, err = r.Restore(t.Context(), Target{ID: id, Folder: target})
	return target, err
}

// A file of links can have been written by anybody.
func TestLinksOfAStranger(t *testing.T) {
	t.Parallel()
	link := func(address string) Links {
		return Links{Format: linksFormat, Backup: "6f1d", Expires: time.Now().Add(time.Hour), Objects: map[string]bucket.Link{"kopia.repository": {URL: address, Size: 10}}}
	}
	for _, text := range []string{"", "{}", "[]", "null", `{"format":2,"backup":"a","objects":{"a":{}}}`, `{"format":1,"backup":"a","objects":{}}`} {
		if _, err := ReadLinks(strings.NewReader(text)); fault.StatusOf(err) != fault.Usage {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, address := range []string{"", "file:///etc/passwd", "https://", "https://secret@host/x", "gopher://host/x"} {
		o := lockOptions(t, "")
		o.Lock, o.Links = Lock{}, new(Links)
		*o.Links = link(address)
		if _, err := Open(t.Context(), o); fault.StatusOf(err) != fault.Usage || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", address, err)
		}
	}
	// Without TLS only where that is allowed.
	o := lockOptions(t, "")
	o.Lock, o.Links, o.AllowHTTP = Lock{}, new(Links), false
	*o.Links = link("http://bucket.example/x?signature=secret")
	if _, err := Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), "without TLS") || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
	// A folder has none.
	r, err := Open(t.Context(), func() Options { o := lockOptions(t, t.TempDir()); o.Lock = Lock{}; return o }())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close(t.Context())
	source := t.TempDir()
	made, err := r.Save(t.Context(), Request{Folder: source, Label: Label{App: "shop", Environment: "none", Volume: "data"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Link(t.Context(), made.ID, time.Hour); fault.StatusOf(err) != fault.Usage || len(fault.Hints(err)) == 0 {
		t.Errorf("%v", err)
	}
}
