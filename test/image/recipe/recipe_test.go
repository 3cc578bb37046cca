// SPDX-License-Identifier: Apache-2.0

package recipe_test

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/knowngood/knowngood/test/image/archive"
	"github.com/knowngood/knowngood/test/image/recipe"
)

// plant writes files, named by slash-separated paths, below a new folder; a
// content that begins with "-> " makes a link.
func plant(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if link, ok := strings.CutPrefix(content, "-> "); ok {
			err = os.Symlink(link, path)
		} else {
			err = os.WriteFile(path, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// contents lists what the layers hold, in order: mode, owner, path and content.
func contents(t *testing.T, image v1.Image) []string {
	t.Helper()
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, l := range layers {
		in, err := l.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, listTar(t, in)...)
		if err := in.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return list
}

func listTar(t *testing.T, in io.Reader) []string {
	t.Helper()
	var list []string
	for r := tar.NewReader(in); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		if !h.ModTime.Equal(time.Unix(0, 0)) {
			t.Errorf("%s has the time %v, want the epoch", h.Name, h.ModTime)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		line := fmt.Sprintf("%o %d:%d %s", h.Mode, h.Uid, h.Gid, h.Name)
		if h.Linkname != "" {
			line += " -> " + h.Linkname
		}
		if len(data) > 0 {
			line += " " + string(data)
		}
		list = append(list, line)
	}
}

func config(t *testing.T, image v1.Image) v1.Config {
	t.Helper()
	file, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	return file.Config
}

func build(t *testing.T, text string, r recipe.Request) (v1.Image, error) {
	t.Helper()
	r.Dockerfile = filepath.Join(plant(t, map[string]string{"Dockerfile": text}), "Dockerfile")
	if r.Context == "" {
		r.Context = t.TempDir()
	}
	return recipe.Build(t.Context(), r)
}

const multiStage = `ARG VERSION=1
FROM --platform=$BUILDPLATFORM golang:$VERSION AS build
WORKDIR /src
COPY . .
ARG COMMIT
RUN go build -o /out/shop .

FROM scratch
ARG COMMIT=unknown
ARG TARGETARCH
ENV HOME=/home/shop COLOUR="dark ${TARGETARCH}"
LABEL org.opencontainers.image.revision=$COMMIT
WORKDIR $HOME
COPY --from=build --chown=65532:65532 /out/shop bin/
COPY --chmod=600 conf /etc/shop
USER 65532:65532
EXPOSE 8443 53/udp
VOLUME /data
STOPSIGNAL SIGINT
ENTRYPOINT ["/home/shop/bin/shop"]
CMD ["serve"]
`

func TestBuildFollowsTheRecipe(t *testing.T) {
	image, err := build(t, multiStage, recipe.Request{
		Context: plant(t, map[string]string{"conf/b": "B", "conf/a/deep": "D", "conf/link": "-> a/deep", "other": "x"}),
		Stages:  map[string]string{"build": plant(t, map[string]string{"out/shop": "binary"})},
		Args:    map[string]string{"COMMIT": "abc"},
	})
	if err != nil {
		t.Fatal(err)
	}
	wantFiles := []string{
		"755 0:0 home/", "755 0:0 home/shop/",
		"755 65532:65532 home/shop/bin/", "644 65532:65532 home/shop/bin/shop binary",
		"755 0:0 etc/", "755 0:0 etc/shop/", "755 0:0 etc/shop/a/", "600 0:0 etc/shop/a/deep D",
		"600 0:0 etc/shop/b B", "777 0:0 etc/shop/link -> a/deep",
	}
	if diff := cmp.Diff(wantFiles, contents(t, image)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	want := v1.Config{
		Env:          []string{"HOME=/home/shop", "COLOUR=dark " + runtime.GOARCH},
		Labels:       map[string]string{"org.opencontainers.image.revision": "abc"},
		WorkingDir:   "/home/shop",
		User:         "65532:65532",
		ExposedPorts: map[string]struct{}{"8443/tcp": {}, "53/udp": {}},
		Volumes:      map[string]struct{}{"/data": {}},
		StopSignal:   "SIGINT",
		Entrypoint:   []string{"/home/shop/bin/shop"},
		Cmd:          []string{"serve"},
	}
	if diff := cmp.Diff(want, config(t, image)); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
}

func TestBuildRefuses(t *testing.T) {
	cases := []struct{ name, text, want string }{
		{"no such recipe line", "FROM scratch\nFETCH x\n", "unknown instruction: FETCH"},
		{"RUN in the stage", "FROM scratch\nRUN true\n", "Dockerfile:2: RUN is not executed here"},
		{"ADD", "FROM scratch\nADD a /\n", "Dockerfile:2: ADD is not supported"},
		{"HEALTHCHECK", "FROM scratch\nHEALTHCHECK CMD true\n", "Dockerfile:2: HEALTHCHECK is not supported"},
		{"a registry's base", "FROM debian:12\n", "Dockerfile:1: FROM debian:12: no registry is asked here; give the image as an archive (--base debian:12=ARCHIVE)"},
		{"a static base, not allowed", "FROM example.test/distroless/static:nonroot\n", "allow the stand-in (--stand-in)"},
		{"a lookalike of static", "FROM example.test/distroless/static-evil\n", "no registry is asked here; give the image"},
		{"a stage as base", "FROM scratch AS a\nFROM a\n", "starts from another stage"},
		{"another platform", "FROM --platform=linux/s390x scratch\n", "Dockerfile:1: FROM --platform=linux/s390x: only linux/"},
		{"a stage not given", "FROM golang AS build\nFROM scratch\nCOPY --from=build /x /x\n", "Dockerfile:3: COPY: --from=build: that stage is not built here; give its files"},
		{"a missing file", "FROM scratch\nCOPY nothing /x\n", "Dockerfile:2: COPY: nothing: not found in the context"},
		{"many into one", "FROM scratch\nCOPY a b /x\n", "2 sources need a destination that ends with a slash"},
		{"a link out of the context", "FROM scratch\nCOPY out /x\n", "escapes"},
		{"an owner by name", "FROM scratch\nCOPY --chown=shop a /x\n", "only numbers are supported"},
		{"a mode in words", "FROM scratch\nCOPY --chmod=u+x a /x\n", "only octal permissions"},
		{"a file in the recipe", "FROM scratch\nCOPY <<END /x\nhello\nEND\n", "files written in the recipe itself"},
		{"an exclusion", "FROM scratch\nCOPY --exclude=b a /x\n", "--exclude"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := build(t, c.text, recipe.Request{Context: plant(t, map[string]string{"a": "A", "b": "B", "out": "-> /etc/passwd"})})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Build() = %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestBuildRefusesUnknownArgument(t *testing.T) {
	_, err := build(t, multiStage, recipe.Request{Args: map[string]string{"COMIT": "abc"}})
	if err == nil || !strings.Contains(err.Error(), "build argument COMIT: Dockerfile has no ARG of that name") {
		t.Errorf("Build() = %v, want a refusal of COMIT", err)
	}
}

func TestBuildHonoursDockerignore(t *testing.T) {
	image, err := build(t, "FROM scratch\nCOPY . /\n", recipe.Request{Context: plant(t, map[string]string{
		".dockerignore": ".*\nsecret\n**/*.log\n!keep.log\n", "secret/key": "K", "a.log": "L", "keep.log": "L", "src/b.log": "L", "src/c": "C",
	})})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"644 0:0 keep.log L", "755 0:0 src/", "644 0:0 src/c C"}
	if diff := cmp.Diff(want, contents(t, image)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// The digest must not depend on who checked the files out, when, or how often.
func TestBuildIsReproducible(t *testing.T) {
	stage := map[string]string{"build": plant(t, map[string]string{"out/shop": "binary"})}
	digest := func(content string, touch time.Time, perm os.FileMode) string {
		t.Helper()
		dir := plant(t, map[string]string{"conf/a": content, "conf/b": "B", "conf/c/d": "D"})
		if err := os.Chtimes(filepath.Join(dir, "conf/a"), touch, touch); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(dir, "conf/b"), perm); err != nil {
			t.Fatal(err)
		}
		image, err := build(t, multiStage, recipe.Request{Context: dir, Stages: stage})
		if err != nil {
			t.Fatal(err)
		}
		hash, err := image.Digest()
		if err != nil {
			t.Fatal(err)
		}
		return hash.String()
	}
	first := digest("A", time.Unix(1e9, 0), 0o644)
	if again := digest("A", time.Unix(2e9, 0), 0o664); again != first {
		t.Errorf("digest of the same files = %s, then %s", first, again)
	}
	if other := digest("changed", time.Unix(1e9, 0), 0o644); other == first {
		t.Errorf("digest of other files is the same: %s", other)
	}
}

func TestBuildOnABase(t *testing.T) {
	roots := filepath.Join(plant(t, map[string]string{"ca.crt": "CERTIFICATES"}), "ca.crt")
	static, err := build(t, "FROM example.test/distroless/static-debian12:nonroot\nCMD [\"base\"]\n", recipe.Request{StandIn: true, Roots: roots})
	if err != nil {
		t.Fatal(err)
	}
	got := config(t, static)
	if got.User != "65532" || got.Labels[recipe.StandInLabel] != "example.test/distroless/static-debian12:nonroot" {
		t.Errorf("configuration = %+v, want user 65532 and the label of the stand-in", got)
	}
	saved := filepath.Join(t.TempDir(), "base.tar")
	if err := archive.Write(saved, "example.test/static:1", static); err != nil {
		t.Fatal(err)
	}
	image, err := build(t, "FROM example.test/static:1\nCOPY a /tmp\nCOPY a /etc/ssl/a\nENTRYPOINT [\"/x\"]\n", recipe.Request{
		Context: plant(t, map[string]string{"a": "A"}), Bases: map[string]string{"example.test/static:1": saved},
	})
	if err != nil {
		t.Fatal(err)
	}
	base := contents(t, static)
	added := []string{"644 0:0 tmp/a A", "644 0:0 etc/ssl/a A"}
	if diff := cmp.Diff(append(base, added...), contents(t, image)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if got := config(t, image); len(got.Cmd) != 0 {
		t.Errorf("CMD = %q, want none: a new entry point ends the base's", got.Cmd)
	}
}
