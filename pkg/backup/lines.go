// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"encoding/json"
	"hash/crc32"

	"github.com/kopia/kopia/repo"
	"github.com/kopia/kopia/repo/object"
)

// linesWriter writes a manifest in pieces, each an object of its own, so that what was written
// can be kept at any time. Where a piece ends depends on the paths in it: most pieces are those
// of the manifest before, and a change costs a few lines and not all of them.
type linesWriter struct {
	ctx     context.Context
	writer  repo.RepositoryWriter
	piece   object.Writer
	in      int   // lines in the piece
	begin   int64 // of the piece
	size    int64 // bytes of all
	pieces  []object.IndirectObjectEntry
	counted trailer
	// buffer is what lines are put together in.
	buffer []byte
}

// piecePrefix keeps the pieces beside kopia's own folders in the bucket, and apart from the content
// of files, so that they are read together.
const piecePrefix = "k"

func newLines(ctx context.Context, writer repo.RepositoryWriter, h header) (*linesWriter, error) {
	l := &linesWriter{ctx: ctx, writer: writer}
	if err := l.write(h); err != nil {
		return nil, err
	}
	return l, l.end() // no two manifests begin alike
}

func (l *linesWriter) add(e *Entry) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return l.written(e, append(line, '\n'))
}

// again writes the line of an entry as an earlier manifest has it.
func (l *linesWriter) again(e *Entry, line string) error {
	l.buffer = append(l.buffer[:0], line...)
	return l.written(e, l.buffer)
}

func (l *linesWriter) written(e *Entry, line []byte) error {
	l.counted.add(e)
	if err := l.put(line); err != nil {
		return err
	}
	if l.in >= fewest && crc32.ChecksumIEEE([]byte(e.Path))%l.rarity() == 0 {
		return l.end()
	}
	return nil
}

// fewest is how many lines a piece has at least, unless the manifest ends.
const fewest = 12

// rarity is after one in how many paths a piece ends. It grows in large steps with the manifest,
// since all pieces are named in memory.
func (l *linesWriter) rarity() uint32 {
	switch {
	case l.counted.Entries < 1<<18:
		return 12
	case l.counted.Entries < 1<<21:
		return 64
	}
	return 512
}

func (l *linesWriter) write(value any) error {
	line, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return l.put(append(line, '\n'))
}

func (l *linesWriter) put(line []byte) error {
	if l.piece == nil {
		l.piece = l.writer.NewObjectWriter(l.ctx, object.WriterOptions{Prefix: piecePrefix, Compressor: compressor, MetadataCompressor: compressor})
	}
	n, err := l.piece.Write(line)
	l.in++
	l.size += int64(n)
	return err
}

// end ends the piece, where one is begun.
func (l *linesWriter) end() error {
	if l.in == 0 {
		return nil
	}
	id, err := l.piece.Result()
	if err == nil {
		l.pieces = append(l.pieces, object.IndirectObjectEntry{Start: l.begin, Length: l.size - l.begin, Object: id})
		l.begin = l.size
		l.close()
	}
	return err
}

// cut ends the piece and returns all pieces so far.
func (l *linesWriter) cut() ([]string, error) {
	if err := l.end(); err != nil {
		return nil, err
	}
	names := make([]string, len(l.pieces))
	for i, piece := range l.pieces {
		names[i] = piece.Object.String()
	}
	return names, nil
}

// finish writes the last line and makes one object of the pieces.
func (l *linesWriter) finish() (object.ID, int64, error) {
	if err := l.end(); err != nil {
		return object.EmptyID, 0, err
	}
	l.counted.End = true
	if err := l.write(l.counted); err != nil {
		return object.EmptyID, 0, err
	}
	if err := l.end(); err != nil {
		return object.EmptyID, 0, err
	}
	id, err := l.join()
	return id, l.size, err
}

// join makes one object of the pieces.
func (l *linesWriter) join() (object.ID, error) {
	for _, piece := range l.pieces {
		if _, many := piece.Object.IndexObjectID(); many {
			return l.concatenate()
		}
	}
	id, err := joined(l.ctx, l.writer, l.pieces)
	if err != nil {
		return object.EmptyID, err
	}
	return object.ParseID(id)
}

// concatenate is for pieces that are themselves of many contents.
func (l *linesWriter) concatenate() (object.ID, error) {
	ids := make([]object.ID, len(l.pieces))
	for i, piece := range l.pieces {
		ids[i] = piece.Object
	}
	return l.writer.ConcatenateObjects(l.ctx, ids, repo.ConcatenateOptions{Compressor: compressor})
}

func (l *linesWriter) close() {
	if l.piece != nil {
		l.piece.Close()
	}
	l.piece, l.in = nil, 0
}
