// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"

	"github.com/knowngood/knowngood/test/image/archive"
	"github.com/knowngood/knowngood/test/image/layer"
)

// StandInLabel names, on an image, the base that a stand-in took the place of.
const StandInLabel = "dev.knowngood.image.stand-in"

// DefaultRoots is where Debian keeps the certificates of the public authorities.
const DefaultRoots = "/etc/ssl/certs/ca-certificates.crt"

// from begins the stage with its base.
func (b *builder) from(s instructions.Stage) error {
	where := b.file.place(s.Location)
	base, err := b.file.expand(s.BaseName, b.meta)
	if err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	if err := b.platformOf(s); err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	for _, earlier := range b.file.stages {
		if earlier.Name != "" && strings.EqualFold(earlier.Name, base) {
			return fmt.Errorf("%s: FROM %s: a stage that starts from another stage is not supported", where, base)
		}
	}
	switch path, given := b.request.Bases[base]; {
	case base == "scratch":
		return nil
	case given:
		err = b.fromArchive(path)
	case isStatic(base) && b.request.StandIn:
		err = b.fromStandIn(base)
	case isStatic(base):
		err = fmt.Errorf("no registry is asked here; allow the stand-in (--stand-in) or give the image (--base %s=ARCHIVE)", base)
	default:
		err = fmt.Errorf("no registry is asked here; give the image as an archive (--base %s=ARCHIVE)", base)
	}
	if err != nil {
		return fmt.Errorf("%s: FROM %s: %w", where, base, err)
	}
	return nil
}

// platformOf refuses a stage for another machine than this one.
func (b *builder) platformOf(s instructions.Stage) error {
	if s.Platform == "" {
		return nil
	}
	platform, err := b.file.expand(s.Platform, b.meta)
	if err != nil {
		return err
	}
	if platform != b.platform["TARGETPLATFORM"] {
		return fmt.Errorf("FROM --platform=%s: only %s is built here", platform, b.platform["TARGETPLATFORM"])
	}
	return nil
}

func (b *builder) fromArchive(path string) error {
	image, err := archive.Read(path)
	if err != nil {
		return err
	}
	file, err := image.ConfigFile()
	if err != nil {
		return fmt.Errorf("reading the configuration in %s: %w", path, err)
	}
	if file.Architecture != b.platform["TARGETARCH"] {
		return fmt.Errorf("%s is for %s, this machine is %s", path, file.Architecture, b.platform["TARGETARCH"])
	}
	parts, err := archive.Parts(image)
	if err != nil {
		return err
	}
	b.config, b.parts = *file.Config.DeepCopy(), parts
	for _, part := range parts {
		if err := b.learn(part.Layer); err != nil {
			return fmt.Errorf("reading a layer of %s: %w", path, err)
		}
	}
	return nil
}

// staticImage matches the repositories of the image that holds a static
// program's surroundings and nothing else.
var staticImage = regexp.MustCompile(`(^|/)distroless/static(-debian[0-9]+)?$`)

func isStatic(reference string) bool {
	ref, err := name.ParseReference(reference)
	return err == nil && staticImage.MatchString(ref.Context().Name())
}

// fromStandIn makes what a static program expects of a distroless static base:
// users, certificate authorities, a temporary folder. It is not that image: there
// are no time zones and no package list, and the label says what it stands for.
func (b *builder) fromStandIn(reference string) error {
	roots := b.request.Roots
	if roots == "" {
		roots = DefaultRoots
	}
	bundle, err := os.ReadFile(roots)
	if err != nil {
		return fmt.Errorf("the stand-in needs this host's certificate authorities (apt-get install ca-certificates): %w", err)
	}
	made, err := layer.From(standIn(bundle))
	if err != nil {
		return err
	}
	b.config = v1.Config{
		Env: []string{
			"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
			"SSL_CERT_FILE=" + DefaultRoots,
		},
		Labels:     map[string]string{StandInLabel: reference},
		User:       "0",
		WorkingDir: "/",
	}
	if strings.Contains(reference, ":nonroot") {
		b.config.User, b.config.WorkingDir = "65532", "/home/nonroot"
	}
	b.parts = append(b.parts, archive.Part{Layer: made, Made: "stand-in for " + reference})
	return b.learn(made)
}

func standIn(bundle []byte) []layer.Entry {
	folder := func(path string, perm fs.FileMode, id int) layer.Entry {
		return layer.Entry{Path: path, Mode: fs.ModeDir | perm, UID: id, GID: id}
	}
	file := func(path string, data []byte) layer.Entry {
		return layer.Entry{Path: path, Mode: 0o644, Size: int64(len(data)), Open: func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(data)), nil
		}}
	}
	return []layer.Entry{
		folder("etc", 0o755, 0), folder("etc/ssl", 0o755, 0), folder("etc/ssl/certs", 0o755, 0),
		file("etc/ssl/certs/ca-certificates.crt", bundle),
		file("etc/passwd", []byte("root:x:0:0:root:/root:/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n")),
		file("etc/group", []byte("root:x:0:\nnobody:x:65534:\nnonroot:x:65532:\n")),
		file("etc/nsswitch.conf", []byte("hosts: files dns\n")),
		folder("home", 0o755, 0), folder("home/nonroot", 0o700, 65532), folder("root", 0o700, 0),
		folder("tmp", 0o777|fs.ModeSticky, 0), folder("var", 0o755, 0), folder("var/tmp", 0o777|fs.ModeSticky, 0),
	}
}
