// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"bytes"
	"container/list"
	"context"
	"runtime/debug"
	"sync"

	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/content"
	"github.com/kopia/kopia/repo/format"

	"github.com/knowngood/knowngood/pkg/bucket"
)

// packs reads each pack of contents whole when a second piece of it is asked for, and
// keeps the packs that were used last, up to a number of bytes. Without it each small file is
// a request of its own; kopia's own cache needs a folder and still asks once for each file.
type packs struct {
	blob.Storage
	// limit is how many bytes of packs are kept; 0 keeps none.
	limit int64

	mu sync.Mutex
	// allowed may refuse deletions; nil refuses none.
	allowed func() error
	// locks spares what is locked.
	locks *locks
	// list lists the bucket.
	list func(ctx context.Context, prefix string) ([]bucket.Object, error)
	// view is what is seen of the bucket.
	view view

	pages pages
	used  int64
	order list.List // of *pack, the last used in front
	known map[blob.ID]*list.Element
}

// A pack is kept, or being read by whoever holds its lock.
type pack struct {
	id   blob.ID
	once sync.Mutex
	// touched is true once a piece of the pack was asked for.
	touched bool
	data    []byte
}

// keep sets how many bytes are kept from here on.
func (p *packs) keep(limit int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limit = limit
	p.evict()
}

// isPack tells packs of the content of files.
func isPack(id blob.ID) bool { return len(id) > 0 && id[:1] == content.PackBlobIDPrefixRegular }

// GetBlob implements blob.Storage.
func (p *packs) GetBlob(ctx context.Context, id blob.ID, offset, length int64, output blob.OutputBuffer) error {
	if offset >= 0 && length > 0 && p.isPaged(id) {
		return p.getPaged(ctx, id, offset, length, output)
	}
	if spare := p.seen().format; spare != nil && id == format.KopiaRepositoryBlobID {
		output.Reset()
		_, err := output.Write(spare)
		return err
	}
	held := p.find(id)
	if held == nil || offset < 0 || length <= 0 {
		return p.Storage.GetBlob(ctx, id, offset, length, output)
	}
	data, err := p.whole(ctx, held)
	if err != nil || data == nil || offset+length > int64(len(data)) {
		// Whatever is the matter, the piece itself may be well, and its own error says more.
		return p.Storage.GetBlob(ctx, id, offset, length, output)
	}
	output.Reset()
	_, err = output.Write(data[offset : offset+length])
	return err
}

// find returns the pack's place among those kept, nil where it is not one to keep.
func (p *packs) find(id blob.ID) *pack {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.limit == 0 || !isPack(id) {
		return nil
	}
	if at, ok := p.known[id]; ok {
		p.order.MoveToFront(at)
		held, _ := at.Value.(*pack)
		return held
	}
	if p.known == nil {
		p.known = map[blob.ID]*list.Element{}
	}
	held := &pack{id: id}
	p.known[id] = p.order.PushFront(held)
	return held
}

// whole returns the bytes of a pack from its second use on; nil at its first.
func (p *packs) whole(ctx context.Context, held *pack) ([]byte, error) {
	held.once.Lock()
	defer held.once.Unlock()
	if held.data != nil {
		return held.data, nil
	}
	if !held.touched {
		held.touched = true
		return nil, nil
	}
	found, err := p.Storage.GetMetadata(ctx, held.id)
	if err != nil || found.Length == 0 || found.Length > p.limit {
		return nil, err
	}
	p.makeRoom(found.Length)
	read := exact{bytes.NewBuffer(make([]byte, 0, found.Length))}
	if err := p.Storage.GetBlob(ctx, held.id, 0, -1, read); err != nil {
		return nil, err
	}
	p.admit(held, read.Bytes())
	return held.data, nil
}

// admit keeps a pack's bytes, where it has not been dropped meanwhile.
func (p *packs) admit(held *pack, data []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	held.data = data
	if _, ok := p.known[held.id]; ok {
		p.used += int64(len(data))
		p.evict()
	}
}

// makeRoom drops packs before another is read, so that both are never in memory.
func (p *packs) makeRoom(length int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used += length
	p.evict()
	p.used -= length
}

// evict drops the packs that were used longest ago, and never remembers more than the names
// of a few thousand.
func (p *packs) evict() {
	for at := p.order.Back(); at != nil && (p.used > p.limit || p.order.Len() > mostPacks); at = p.order.Back() {
		held, _ := p.order.Remove(at).(*pack)
		delete(p.known, held.id)
		p.used -= int64(len(held.data))
	}
}

const mostPacks = 4096

// exact is a buffer whose size is known beforehand.
type exact struct{ *bytes.Buffer }

// Length implements blob.OutputBuffer.
func (e exact) Length() int { return e.Len() }

// frugal bounds the memory of a restore until its end.
func (r *Repository) frugal() (end func()) {
	r.packs.keep(cacheBytes)
	before := debug.SetMemoryLimit(-1)
	debug.SetMemoryLimit(min(before, heapBytes))
	return func() {
		debug.SetMemoryLimit(before)
		r.packs.keep(0)
	}
}
