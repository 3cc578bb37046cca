// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// The image that the database's recipe starts from, made of packages.
const (
	base      = "knowngood.test/debian-postgresql:15"
	baseSuite = "bookworm"
	basePacks = "postgresql-15"
)

// baseOmit is what the database does not need of the packages: the cluster that
// Debian makes at installation, the keys made there, and the compiler for queries,
// a third of the tree, which postgresql.conf turns off.
const baseOmit = "var/lib/postgresql/*,etc/postgresql/*,etc/ssl/private/*,etc/ssl/certs/ssl-cert-snakeoil.pem," +
	"usr/lib/*/libLLVM*,usr/lib/*/libz3*,usr/lib/llvm-*,usr/lib/postgresql/*/lib/bitcode,usr/lib/postgresql/*/lib/llvmjit*," +
	"usr/share/i18n,usr/share/perl,usr/share/zoneinfo/right"

// An Image is an archive that was made.
type Image struct {
	Name    string `json:"name"`
	Commit  string `json:"commit,omitempty"` // of the shop; the database has none
	Archive string `json:"archive"`
}

// images makes the archives of the database and of each commit (default: all
// three), and prints them as JSON.
func images(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	set := flag.NewFlagSet("shop images", flag.ContinueOnError)
	b := builder{stderr: stderr}
	set.StringVar(&b.repo, "repo", "", "repository made by shop repo")
	set.StringVar(&b.out, "out", "", "folder of the archives; those that are there are kept")
	set.StringVar(&b.registry, "registry", defaultRegistry, "first part of the names that are printed and pushed")
	push := set.Bool("push", false, "push the images to that registry")
	if err := parse(set, args, stderr); err != nil {
		return err
	}
	if b.repo == "" || b.out == "" {
		return errors.New("shop images needs --repo DIR and --out DIR")
	}
	names := set.Args()
	if len(names) == 0 {
		names = []string{"main~1", "main", "wildcards"}
	}
	if err := b.prepare(ctx); err != nil {
		return err
	}
	made, err := b.all(ctx, names)
	if err != nil {
		return err
	}
	if *push {
		for _, image := range made {
			if err := b.tell(ctx, "pushing "+image.Name, b.tool, "push", image.Archive, image.Name); err != nil {
				return err
			}
		}
	}
	return json.NewEncoder(stdout).Encode(made)
}

// A builder makes archives.
type builder struct {
	repo, out, registry string
	tool                string // the image program
	version             string // which one, in the names of the archives that it made
	stderr              io.Writer
}

// prepare builds the program that builds images. It replaces an older one in one
// move, for another process may be running that.
func (b *builder) prepare(ctx context.Context) error {
	root, err := projectRoot()
	if err != nil {
		return err
	}
	if b.out, err = filepath.Abs(b.out); err != nil {
		return err
	}
	if err := makeFolder(b.out); err != nil {
		return err
	}
	b.tool = filepath.Join(b.out, "image")
	fresh := fmt.Sprintf("%s.%d", b.tool, os.Getpid())
	if err := b.tell(ctx, "building the image tool", "go", "build", "-C", filepath.Join(root, "test", "image"),
		"-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", fresh, "."); err != nil {
		return err
	}
	data, err := os.ReadFile(fresh)
	if err != nil {
		return err
	}
	b.version = fmt.Sprintf("%x", sha256.Sum256(data))[:8]
	return os.Rename(fresh, b.tool)
}

// archive is where an image lies, and whether it does already.
func (b *builder) archive(name, tag string) (string, bool) {
	path := filepath.Join(b.out, name+"-"+tag+"-"+b.version+".tar")
	return path, there(path)
}

func (b *builder) all(ctx context.Context, names []string) ([]Image, error) {
	var made []Image
	for _, name := range names {
		image, err := b.shop(ctx, name)
		if err != nil {
			return made, fmt.Errorf("making the image of %s: %w", name, err)
		}
		made = append(made, image)
	}
	database, err := b.database(ctx)
	if err != nil {
		return made, fmt.Errorf("making the database's image: %w", err)
	}
	return append(made, database), nil
}

// shop makes the image of one commit: the first stage of the Dockerfile by hand,
// the rest as the Dockerfile says.
func (b *builder) shop(ctx context.Context, name string) (Image, error) {
	id, err := git(ctx, b.repo, nil, "rev-parse", "--verify", name+"^{commit}")
	if err != nil {
		return Image{}, err
	}
	archive, made := b.archive("shop", id[:12])
	image := Image{Name: shopImage(b.registry, id[:12]), Commit: id, Archive: archive}
	if made {
		return image, nil
	}
	work, err := os.MkdirTemp("", "shop-*")
	if err != nil {
		return Image{}, err
	}
	defer os.RemoveAll(work)
	tree, stage := filepath.Join(work, "tree"), filepath.Join(work, "build")
	if err := checkout(ctx, b.repo, id, tree); err != nil {
		return Image{}, err
	}
	if err := b.tell(ctx, "building the shop of "+id[:12], "go", "build", "-C", tree, "-trimpath", "-buildvcs=false",
		"-ldflags=-s -w -X main.commit="+id, "-o", filepath.Join(stage, "out", "shop"), "./app"); err != nil {
		return Image{}, err
	}
	return image, b.tell(ctx, "making "+image.Name, b.tool, "build", "-t", shopImage(defaultRegistry, id[:12]), "-o", archive,
		"--from", "build="+stage, "--build-arg", "COMMIT="+id, tree)
}

// database makes the image of the database. It is named by all that it is made of,
// except for the day of the packages.
func (b *builder) database(ctx context.Context) (Image, error) {
	tag, err := databaseTag()
	if err != nil {
		return Image{}, err
	}
	archive, made := b.archive("shop-db", tag)
	image := Image{Name: databaseImage(b.registry, tag), Archive: archive}
	if made {
		return image, nil
	}
	work, err := os.MkdirTemp(b.out, "db-*")
	if err != nil {
		return Image{}, err
	}
	defer os.RemoveAll(work)
	if err := copyTree(source, work, func(path string) string { return path }); err != nil {
		return Image{}, err
	}
	packages := filepath.Join(work, "base.tar")
	if err := b.tell(ctx, "making "+base+" of Debian packages", b.tool, "debian", "-t", base, "-o", packages,
		"--suite", baseSuite, "--include", basePacks, "--omit", baseOmit, "--cache", filepath.Join(b.out, "debian")); err != nil {
		return Image{}, err
	}
	return image, b.tell(ctx, "making "+image.Name, b.tool, "build", "-t", databaseImage(defaultRegistry, tag), "-o", archive,
		"--base", base+"="+packages, filepath.Join(work, "db"))
}

func databaseTag() (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, base, baseSuite, basePacks, baseOmit)
	err := fs.WalkDir(source, "db", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(source, path)
		fmt.Fprintf(h, "%s %x\n", path, sha256.Sum256(data))
		return err
	})
	return hex.EncodeToString(h.Sum(nil))[:12], err
}

func there(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// tell says what is being done, does it, and says how long it took.
func (b *builder) tell(ctx context.Context, what string, command ...string) error {
	began := time.Now()
	fmt.Fprintf(b.stderr, "%s ...\n", what)
	if err := execute(ctx, b.stderr, command); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	fmt.Fprintf(b.stderr, "%s: %.1f s\n", what, time.Since(began).Seconds())
	return nil
}
