// SPDX-License-Identifier: Apache-2.0

package product

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func request(t *testing.T, root string) Request {
	t.Helper()
	return Request{
		Root: root, Work: t.TempDir(), Name: "knowngood.test/knowngood:test", Version: "1.2.3",
		Revision: "0123456789abcdef0123456789abcdef01234567", Out: t.Output(),
	}
}

func checkout(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// elsewhere copies what the Dockerfile copies into another folder.
func elsewhere(t *testing.T, root string) string {
	t.Helper()
	copied := filepath.Join(t.TempDir(), "a", "much", "longer", "path")
	for _, name := range []string{"action", "cmd", "pkg", "tekton"} {
		if err := os.CopyFS(filepath.Join(copied, name), os.DirFS(filepath.Join(root, name))); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"go.mod", "go.sum", "Dockerfile"} {
		data, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(copied, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return copied
}

// TestTwoBuildsAreEqual builds in two folders, under two environments. The second has an empty
// cache of its own where time is no matter: else only what is ours is compiled again.
func TestTwoBuildsAreEqual(t *testing.T) {
	root := checkout(t)
	first, second := filepath.Join(t.TempDir(), "one"), filepath.Join(t.TempDir(), "two")
	if err := Program(t.Context(), request(t, root), first); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"TZ": "Asia/Tokyo", "LC_ALL": "C.UTF-8", "USER": "somebody", "GOMAXPROCS": "1"} {
		t.Setenv(name, value)
	}
	if os.Getenv("KNOWNGOOD_SOAK") != "" {
		t.Setenv("GOCACHE", t.TempDir())
		t.Setenv("GOMAXPROCS", "")
	}
	if err := Program(t.Context(), request(t, elsewhere(t, root)), second); err != nil {
		t.Fatal(err)
	}
	one, two := digest(t, first), digest(t, second)
	if one != two {
		t.Errorf("sha256 %s and %s", one, two)
	}
	info, err := buildinfo.ReadFile(first)
	if err != nil {
		t.Fatal(err)
	}
	for _, setting := range info.Settings {
		if strings.HasPrefix(setting.Key, "vcs") || strings.Contains(setting.Value, root) {
			t.Errorf("the program tells %s=%s of where it was built", setting.Key, setting.Value)
		}
	}
}

func digest(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// TestTheImageIsWhatTheRecipeSays looks into the archive.
func TestTheImageIsWhatTheRecipeSays(t *testing.T) {
	t.Parallel()
	r := request(t, checkout(t))
	r.Tool = filepath.Join(r.Work, "image")
	build := exec.CommandContext(t.Context(), "go", "build", "-C", filepath.Join(r.Root, "test", "image"), "-o", r.Tool, ".")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	archive := filepath.Join(r.Work, "image.tar")
	if err := Image(t.Context(), r, archive); err != nil {
		t.Fatal(err)
	}
	files := unpack(t, archive)
	var manifest []struct {
		Config string
		Layers []string
	}
	if err := json.Unmarshal(files["manifest.json"], &manifest); err != nil {
		t.Fatal(err)
	}
	var config struct {
		Config struct {
			User       string
			Entrypoint []string
			Labels     map[string]string
		}
	}
	if err := json.Unmarshal(files[manifest[0].Config], &config); err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^[1-9][0-9]*:[1-9][0-9]*$`).MatchString(config.Config.User) {
		t.Errorf("user %q, want numbers that are not root's", config.Config.User)
	}
	for name, want := range map[string]string{
		"org.opencontainers.image.version": r.Version, "org.opencontainers.image.revision": r.Revision,
		"org.opencontainers.image.licenses": "Apache-2.0", "org.opencontainers.image.source": "https://github.com/knowngood/knowngood",
	} {
		if got := config.Config.Labels[name]; got != want {
			t.Errorf("label %s is %q, want %q", name, got, want)
		}
	}
	if diff := cmp.Diff([]string{"/knowngood"}, config.Config.Entrypoint); diff != "" {
		t.Errorf("entry point (-want +got):\n%s", diff)
	}
	var held []string
	for _, layer := range manifest[0].Layers {
		for name := range entries(t, bytes.NewReader(files[layer])) {
			if !strings.HasSuffix(name, "/") {
				held = append(held, name)
			}
		}
	}
	if diff := cmp.Diff([]string{"etc/ssl/certs/ca-certificates.crt", "knowngood"}, held); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func unpack(t *testing.T, path string) map[string][]byte {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	return entries(t, file)
}

func entries(t *testing.T, from io.Reader) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	for r := tar.NewReader(from); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		name := header.Name
		if header.Typeflag == tar.TypeDir {
			name += "/"
		}
		if all[name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTheRecipeNamesTheModulesGo: another version would make other bytes.
func TestTheRecipeNamesTheModulesGo(t *testing.T) {
	t.Parallel()
	root := checkout(t)
	recipe, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	module, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(module)[1]
	if !strings.Contains(string(recipe), "FROM golang:"+string(version)+" AS build") {
		t.Errorf("the Dockerfile does not start from golang:%s", version)
	}
}
