// SPDX-License-Identifier: Apache-2.0

// Package archive reads and writes images as Docker archives, the one form that
// `ctr images import`, `docker load` and registries' tools all take.
package archive

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/knowngood/knowngood/test/image/layer"
)

// A Part is one layer of an image, with the line of its recipe that made it.
type Part struct {
	Layer v1.Layer
	Made  string
}

// Assemble makes an image of its parts and its configuration; times are the epoch.
func Assemble(arch string, config v1.Config, parts []Part) (v1.Image, error) {
	at := v1.Time{Time: layer.Epoch()}
	file := &v1.ConfigFile{Architecture: arch, OS: "linux", Created: at, Config: config, RootFS: v1.RootFS{Type: "layers"}}
	image, err := mutate.ConfigFile(empty.Image, file)
	if err != nil {
		return nil, fmt.Errorf("setting the image's configuration: %w", err)
	}
	adds := make([]mutate.Addendum, 0, len(parts))
	for _, p := range parts {
		adds = append(adds, mutate.Addendum{Layer: p.Layer, History: v1.History{Created: at, CreatedBy: p.Made}})
	}
	image, err = mutate.Append(image, adds...)
	if err != nil {
		return nil, fmt.Errorf("adding the image's layers: %w", err)
	}
	return image, nil
}

// Write writes the image under its name, a host part, a path and a tag. The file
// appears whole or not at all.
func Write(path, tag string, image v1.Image) error {
	ref, err := Tag(tag)
	if err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), ".image-*")
	if err != nil {
		return fmt.Errorf("writing image %s: %w", tag, err)
	}
	defer os.Remove(temporary.Name())
	err = tarball.Write(ref, image, temporary)
	if closed := temporary.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Chmod(temporary.Name(), 0o644)
	}
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("writing image %s to %s: %w", tag, path, err)
	}
	return nil
}

// Tag is the image name, which needs a host part and a tag: without them every
// runtime fills in its own.
func Tag(text string) (name.Tag, error) {
	tag, err := name.NewTag(text, name.StrictValidation)
	if err != nil {
		return name.Tag{}, fmt.Errorf("image name %q: want HOST.DOMAIN/NAME:TAG: %w", text, err)
	}
	return tag, nil
}

// Read reads the one image of an archive, its layers uncompressed.
func Read(path string) (v1.Image, error) {
	image, err := tarball.ImageFromPath(path, nil)
	if err != nil {
		return nil, fmt.Errorf("reading image archive %s: %w", path, err)
	}
	return image, nil
}

// Parts takes an image apart: its layers, uncompressed, with their history.
func Parts(image v1.Image) ([]Part, error) {
	layers, err := image.Layers()
	if err != nil {
		return nil, fmt.Errorf("reading the base image's layers: %w", err)
	}
	file, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("reading the base image's configuration: %w", err)
	}
	made := make([]string, 0, len(layers))
	for _, h := range file.History {
		if !h.EmptyLayer {
			made = append(made, h.CreatedBy)
		}
	}
	parts := make([]Part, 0, len(layers))
	for i, l := range layers {
		plain, err := layer.Open(l.Uncompressed)
		if err != nil {
			return nil, fmt.Errorf("reading layer %d of the base image: %w", i+1, err)
		}
		part := Part{Layer: plain}
		if i < len(made) {
			part.Made = made[i]
		}
		parts = append(parts, part)
	}
	return parts, nil
}
