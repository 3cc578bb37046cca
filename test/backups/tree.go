// SPDX-License-Identifier: Apache-2.0

// Package backups compares the program with others that back folders up: on the same trees,
// side by side, round by round, in one run.
package backups

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// A tree is a kind of folder: how it is made, and how one part in a hundred of it changes.
type tree struct {
	name   string
	make   func(g *generator, folder string, bytes int64) error
	change func(g *generator, folder string, bytes int64) error
}

// share is how large a tree is: of a mixed one of 1, a database has 2.5 and small files 0.25.
func (t tree) share(mixed int64) int64 {
	switch t.name {
	case "database":
		return mixed * 5 / 2
	case smallFiles:
		return mixed / 4
	}
	return mixed
}

// stays tells whether all of a tree is removed only when everything of it is measured. ext4 steps
// over inodes that were freed within the last minutes one by one: of many small files, whoever
// restores after a removal would pay for it.
func (t tree) stays() bool { return t.name == smallFiles }

const smallFiles = "small files"

// trees are those of many files first, before anything is removed.
func trees() []tree {
	return []tree{
		{smallFiles, makeSmall, changeFiles},
		{"mixed", makeMixed, changeFiles},
		{"database", makeDatabase, changePages},
	}
}

// A generator makes content that is the same for the same seed.
type generator struct {
	random *rand.Rand
	source *rand.ChaCha8
}

func newGenerator(seed uint64) *generator {
	var key [32]byte
	key[0], key[1] = byte(seed), byte(seed>>8)
	source := rand.NewChaCha8(key)
	return &generator{random: rand.New(source), source: source}
}

// noise fills a buffer with what does not shrink.
func (g *generator) noise(buffer []byte) { _, _ = g.source.Read(buffer) }

// words fills a buffer with what shrinks as text does, to about a third.
func (g *generator) words(buffer []byte) {
	for i := 0; i < len(buffer); {
		word := vocabulary[g.random.IntN(len(vocabulary))]
		i += copy(buffer[i:], word)
		if g.random.IntN(6) == 0 {
			i += copy(buffer[i:], fmt.Sprint(g.random.IntN(100_000), "\n"))
		}
	}
}

var vocabulary = []string{
	"release ", "snapshot ", "volume ", "gate ", "the ", "of ", "a ", "backup ", "in ", "and ", "claim ", "commit ", "record ", "cluster ",
	"namespace ", "is ", "to ", "restored ", "from ", "bucket ", "key ", "ERROR ", "INFO ", "user=", "path=/var/lib/", "status=200 ", "{\"id\": ", "}, ",
}

// fill writes a file of a size piece by piece.
func (g *generator) fill(path string, size int64, piece func([]byte)) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	buffer := make([]byte, 1<<20)
	for size > 0 && err == nil {
		n := min(size, int64(len(buffer)))
		piece(buffer[:n])
		_, err = file.Write(buffer[:n])
		size -= n
	}
	return errors.Join(err, file.Close())
}

// makeMixed is half noise and a quarter text in large files, and a quarter small files.
func makeMixed(g *generator, folder string, bytes int64) error {
	const files = 8
	for i := range files {
		piece, size := g.noise, bytes/2/(files/2)
		if i >= files/2 {
			piece, size = g.words, bytes/4/(files/2)
		}
		if err := g.fill(filepath.Join(folder, fmt.Sprintf("large%d", i)), size, piece); err != nil {
			return err
		}
	}
	return makeSmall(g, filepath.Join(folder, "small"), bytes/4)
}

// makeSmall is files of 10 kB on average, 100 a folder.
func makeSmall(g *generator, folder string, bytes int64) error {
	for i := 0; bytes > 0; i++ {
		at := filepath.Join(folder, fmt.Sprintf("d%d/d%d", i/10_000, i/100))
		if i%100 == 0 {
			if err := os.MkdirAll(at, 0o755); err != nil {
				return err
			}
		}
		size := 1 + g.random.Int64N(20_000)
		piece := g.words
		if i%4 == 0 {
			piece = g.noise
		}
		if err := g.fill(filepath.Join(at, fmt.Sprintf("f%d", i)), size, piece); err != nil {
			return err
		}
		bytes -= size
	}
	return nil
}

// changeFiles writes one file in a hundred anew, and a hundredth of each large file in pieces.
func changeFiles(g *generator, folder string, _ int64) error {
	n := 0
	return filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if info.Size() > 1<<20 {
			return g.overwrite(path, info.Size(), info.Size()/100)
		}
		if n++; n%100 != 0 {
			return nil
		}
		return g.fill(path, 1+g.random.Int64N(20_000), g.words)
	})
}

// makeDatabase is one file of pages, half of each used, as PostgreSQL fills them.
func makeDatabase(g *generator, folder string, bytes int64) error {
	const page = 8 << 10
	return g.fill(filepath.Join(folder, "16384"), bytes, func(buffer []byte) {
		for at := 0; at < len(buffer); at += page {
			one := buffer[at:min(at+page, len(buffer))]
			clear(one)
			g.words(one[len(one)/2:])
			g.noise(one[:min(len(one), 512)])
		}
	})
}

func changePages(g *generator, folder string, bytes int64) error {
	return g.overwrite(filepath.Join(folder, "16384"), bytes, bytes/100)
}

// overwrite changes so many bytes of a file, in pieces of 64 KiB at random places.
func (g *generator) overwrite(path string, size, changed int64) error {
	const piece = 64 << 10
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	buffer := make([]byte, piece)
	for ; changed > 0 && err == nil; changed -= piece {
		g.noise(buffer)
		_, err = file.WriteAt(buffer, g.random.Int64N(max(size/piece, 1))*piece)
	}
	return errors.Join(err, file.Truncate(size), file.Close())
}
