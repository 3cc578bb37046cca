// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"bytes"
	"container/list"
	"context"
	"sync"

	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/content"
)

// pages keep parts of the packs in which manifests and folders lie. The pieces of one manifest
// lie in the packs of many saves, in order in each: a page of each pack is enough to read them
// side by side, where whole packs would push each other out.
type pages struct {
	mu    sync.Mutex
	uses  int       // of those who want them kept
	order list.List // of *page, the last used in front
	known map[pageID]*list.Element
	sizes map[blob.ID]int64
}

type pageID struct {
	pack   blob.ID
	number int64
}

// A page is kept, or being read by whoever holds its lock.
type page struct {
	id   pageID
	once sync.Mutex
	data []byte
}

const (
	pageBytes = 256 << 10
	mostPages = 64
)

// keepPages keeps pages until release is called, by the last of those who asked.
func (p *packs) keepPages() (release func()) {
	p.pages.mu.Lock()
	defer p.pages.mu.Unlock()
	if p.pages.uses++; p.pages.uses == 1 {
		p.pages.known, p.pages.sizes = map[pageID]*list.Element{}, map[blob.ID]int64{}
	}
	return sync.OnceFunc(func() {
		p.pages.mu.Lock()
		defer p.pages.mu.Unlock()
		if p.pages.uses--; p.pages.uses == 0 {
			p.pages.known, p.pages.sizes = nil, nil
			p.pages.order.Init()
		}
	})
}

// isPaged tells whether a pack is one of manifests and folders, and pages are kept.
func (p *packs) isPaged(id blob.ID) bool {
	p.pages.mu.Lock()
	defer p.pages.mu.Unlock()
	return p.pages.uses > 0 && len(id) > 0 && id[:1] == content.PackBlobIDPrefixSpecial
}

// getPaged reads a part of a pack by its pages. Whatever is the matter with them, the part itself
// may be well, and its own error says more.
func (p *packs) getPaged(ctx context.Context, id blob.ID, offset, length int64, output blob.OutputBuffer) error {
	size, err := p.sizeOf(ctx, id)
	if err != nil || length > pageBytes || offset+length > size {
		return p.Storage.GetBlob(ctx, id, offset, length, output)
	}
	output.Reset()
	for number := offset / pageBytes; number*pageBytes < offset+length; number++ {
		begin := number * pageBytes
		data, err := p.page(ctx, pageID{id, number}, min(pageBytes, size-begin))
		if err != nil {
			return p.Storage.GetBlob(ctx, id, offset, length, output)
		}
		if _, err := output.Write(data[max(offset-begin, 0):min(offset+length-begin, int64(len(data)))]); err != nil {
			return err
		}
	}
	return nil
}

func (p *packs) sizeOf(ctx context.Context, id blob.ID) (int64, error) {
	p.pages.mu.Lock()
	size, ok := p.pages.sizes[id]
	p.pages.mu.Unlock()
	if ok {
		return size, nil
	}
	found, err := p.GetMetadata(ctx, id)
	if err != nil {
		return 0, err
	}
	p.pages.mu.Lock()
	defer p.pages.mu.Unlock()
	if p.pages.sizes != nil {
		p.pages.sizes[id] = found.Length
	}
	return found.Length, nil
}

// page returns a page of so many bytes.
func (p *packs) page(ctx context.Context, id pageID, length int64) ([]byte, error) {
	held := p.pages.find(id)
	held.once.Lock()
	defer held.once.Unlock()
	if held.data != nil {
		return held.data, nil
	}
	read := exact{bytes.NewBuffer(make([]byte, 0, length))}
	if err := p.Storage.GetBlob(ctx, id.pack, id.number*pageBytes, length, read); err != nil {
		return nil, err
	}
	held.data = read.Bytes()
	return held.data, nil
}

// find returns the place of a page among those kept.
func (p *pages) find(id pageID) *page {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at, ok := p.known[id]; ok {
		p.order.MoveToFront(at)
		held, _ := at.Value.(*page)
		return held
	}
	held := &page{id: id}
	if p.known == nil { // nobody wants them any more
		return held
	}
	p.known[id] = p.order.PushFront(held)
	if p.order.Len() > mostPages {
		last, _ := p.order.Remove(p.order.Back()).(*page)
		delete(p.known, last.id)
	}
	return held
}
