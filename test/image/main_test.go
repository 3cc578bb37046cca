// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func TestBuildAndPush(t *testing.T) {
	dir := t.TempDir()
	for file, content := range map[string]string{"Dockerfile": "FROM scratch\nCOPY a /a\n", "a": "A"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	saved := filepath.Join(t.TempDir(), "image.tar")
	var out, told bytes.Buffer
	if err := run(t.Context(), []string{"build", "-t", "knowngood.test/a:1", "-o", saved, dir}, &out, &told); err != nil {
		t.Fatalf("%v\n%s", err, &told)
	}
	tag, err := name.NewTag("knowngood.test/a:1")
	if err != nil {
		t.Fatal(err)
	}
	image, err := tarball.ImageFromPath(saved, &tag)
	if err != nil {
		t.Fatal(err)
	}
	id, err := image.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	if want := "knowngood.test/a:1 " + id.String() + "\n"; out.String() != want {
		t.Errorf("printed %q, want %q", &out, want)
	}

	server := httptest.NewServer(registry.New())
	defer server.Close()
	there := strings.TrimPrefix(server.URL, "http://") + "/shop/a:1"
	if err := run(t.Context(), []string{"push", "--insecure", saved, there}, &out, &told); err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(there, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	pushed, err := remote.Image(ref)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := pushed.ConfigName(); err != nil || got != id {
		t.Errorf("the registry holds %v (%v), want %v", got, err, id)
	}
}

func TestRunRefuses(t *testing.T) {
	cases := []struct {
		name, want string
		args       []string
	}{
		{"nothing", "wrong usage", nil},
		{"an unknown command", "wrong usage", []string{"bake"}},
		{"an unknown flag", "wrong usage", []string{"build", "--bake", "."}},
		{"no context", "wrong usage", []string{"build", "-t", "a.test/b:1", "-o", "x"}},
		{"no name", "needs -t NAME", []string{"build", "-o", "x", "."}},
		{"no packages", "needs -t NAME, -o FILE and --include", []string{"debian", "-t", "a.test/b:1", "-o", "x"}},
		{"a pair without value", "wrong usage", []string{"build", "--from", "build", "."}},
		{"no archive", "reading image archive", []string{"push", "nowhere.tar", "a.test/b:1"}},
		{"a name without tag", `image name "a"`, []string{"push", "nowhere.tar", "a"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var out, told bytes.Buffer
			err := run(t.Context(), c.args, &out, &told)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("run() = %v, want an error with %q", err, c.want)
			}
			if c.want == "wrong usage" && !errors.Is(err, errUsage) {
				t.Errorf("run() = %v, want errUsage", err)
			}
		})
	}
}
