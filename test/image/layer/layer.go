// SPDX-License-Identifier: Apache-2.0

// Package layer makes image layers that depend on nothing but their files:
// entries are sorted, times are the epoch, owners are numbers. A layer is kept
// as the plain tar that it is; nothing is compressed, because the archives made
// here are read by a container runtime on the same machine.
package layer

import (
	"archive/tar"
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Epoch is the time of every file and every image made here.
func Epoch() time.Time { return time.Unix(0, 0).UTC() }

// An Entry is one file of a layer.
type Entry struct {
	Path string      // slash-separated, relative to the root, without a leading slash
	Mode fs.FileMode // type (regular, directory or symlink) and permissions
	UID  int
	GID  int
	Link string // target of a symlink, or path of the entry that a hard link repeats
	Size int64  // of a regular file
	// Open reads a regular file; nil for everything else and for hard links.
	Open func() (io.ReadCloser, error)
}

// Write writes the entries as a tar, sorted by path, so that a folder comes
// before its files. It fails on a path given twice.
func Write(w io.Writer, entries []Entry) error {
	sorted := slices.SortedFunc(slices.Values(entries), func(a, b Entry) int { return cmp.Compare(a.Path, b.Path) })
	out := tar.NewWriter(w)
	for i, e := range sorted {
		if i > 0 && sorted[i-1].Path == e.Path {
			return fmt.Errorf("writing a layer: %s occurs twice", e.Path)
		}
		if err := write(out, e); err != nil {
			return fmt.Errorf("writing a layer: %s: %w", e.Path, err)
		}
	}
	return out.Close()
}

func write(out *tar.Writer, e Entry) error {
	header, err := header(e)
	if err != nil {
		return err
	}
	if err := out.WriteHeader(header); err != nil {
		return err
	}
	if e.Open == nil {
		return nil
	}
	in, err := e.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	_, err = io.Copy(out, in)
	return err
}

func header(e Entry) (*tar.Header, error) {
	h := &tar.Header{Name: e.Path, Uid: e.UID, Gid: e.GID, ModTime: Epoch(), Format: tar.FormatPAX, Mode: mode(e.Mode)}
	switch {
	case e.Mode.IsDir():
		h.Typeflag, h.Name = tar.TypeDir, e.Path+"/"
	case e.Mode&fs.ModeSymlink != 0:
		h.Typeflag, h.Linkname, h.Mode = tar.TypeSymlink, e.Link, 0o777
	case e.Mode.IsRegular() && e.Link != "":
		h.Typeflag, h.Linkname = tar.TypeLink, e.Link
	case e.Mode.IsRegular():
		h.Typeflag, h.Size = tar.TypeReg, e.Size
	default:
		return nil, fmt.Errorf("a layer cannot hold a %s here", e.Mode.Type())
	}
	return h, nil
}

// mode is the tar form of Go's permission bits.
func mode(m fs.FileMode) int64 {
	bits := int64(m.Perm())
	for _, b := range []struct {
		flag fs.FileMode
		bit  int64
	}{{fs.ModeSetuid, 0o4000}, {fs.ModeSetgid, 0o2000}, {fs.ModeSticky, 0o1000}} {
		if m&b.flag != 0 {
			bits |= b.bit
		}
	}
	return bits
}

// A Plain is an uncompressed layer.
type Plain struct {
	diffID v1.Hash
	size   int64
	open   func() (io.ReadCloser, error)
}

var _ v1.Layer = (*Plain)(nil)

// From is the layer that holds the entries. Their files are read once to name the
// layer, and again each time it is written; they must not change meanwhile.
func From(entries []Entry) (*Plain, error) {
	return Open(func() (io.ReadCloser, error) {
		r, w := io.Pipe()
		go func() { w.CloseWithError(Write(w, entries)) }()
		return r, nil
	})
}

// Open is the layer whose tar the function opens, from the start, each time.
func Open(open func() (io.ReadCloser, error)) (*Plain, error) {
	in, err := open()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	diffID, size, err := v1.SHA256(in)
	if err != nil {
		return nil, err
	}
	return &Plain{diffID: diffID, size: size, open: open}, nil
}

// Digest is the hash of the tar.
func (p *Plain) Digest() (v1.Hash, error) { return p.diffID, nil }

// DiffID is the hash of the tar.
func (p *Plain) DiffID() (v1.Hash, error) { return p.diffID, nil }

// Compressed reads the tar as it is.
func (p *Plain) Compressed() (io.ReadCloser, error) { return p.open() }

// Uncompressed reads the tar.
func (p *Plain) Uncompressed() (io.ReadCloser, error) { return p.open() }

// Size is the length of the tar in bytes.
func (p *Plain) Size() (int64, error) { return p.size, nil }

// MediaType says that the layer is not compressed.
func (p *Plain) MediaType() (types.MediaType, error) { return types.DockerUncompressedLayer, nil }
