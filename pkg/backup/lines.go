// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"encoding/json"

	"github.com/kopia/kopia/repo"
	"github.com/kopia/kopia/repo/object"
)

// linesWriter writes a manifest in pieces, each an object of its own, so that what was written
// can be kept at any time.
type linesWriter struct {
	ctx     context.Context
	writer  repo.RepositoryWriter
	piece   object.Writer
	in      int64 // bytes in the piece
	size    int64
	pieces  []object.ID
	counted trailer
}

func newLines(ctx context.Context, writer repo.RepositoryWriter, h header) (*linesWriter, error) {
	l := &linesWriter{ctx: ctx, writer: writer}
	return l, l.write(h)
}

func (l *linesWriter) add(e *Entry) error {
	l.counted.add(e)
	return l.write(e)
}

func (l *linesWriter) write(value any) error {
	line, err := json.Marshal(value)
	if err != nil {
		return err
	}
	if l.piece == nil {
		l.piece = l.writer.NewObjectWriter(l.ctx, object.WriterOptions{Prefix: "", Compressor: compressor, MetadataCompressor: compressor})
	}
	n, err := l.piece.Write(append(line, '\n'))
	l.in += int64(n)
	l.size += int64(n)
	return err
}

// cut ends the piece and returns all pieces so far.
func (l *linesWriter) cut() ([]string, error) {
	if l.in > 0 {
		id, err := l.piece.Result()
		if err != nil {
			return nil, err
		}
		l.pieces = append(l.pieces, id)
		l.close()
	}
	names := make([]string, len(l.pieces))
	for i, id := range l.pieces {
		names[i] = id.String()
	}
	return names, nil
}

// finish writes the last line and makes one object of the pieces.
func (l *linesWriter) finish() (object.ID, int64, error) {
	l.counted.End = true
	if err := l.write(l.counted); err != nil {
		return object.EmptyID, 0, err
	}
	if _, err := l.cut(); err != nil {
		return object.EmptyID, 0, err
	}
	id, err := l.writer.ConcatenateObjects(l.ctx, l.pieces, repo.ConcatenateOptions{Compressor: compressor})
	return id, l.size, err
}

func (l *linesWriter) close() {
	if l.piece != nil {
		l.piece.Close()
	}
	l.piece, l.in = nil, 0
}
