// SPDX-License-Identifier: Apache-2.0

package report

import "strings"

// A block is a part of the text whose items may be left out one by one, from the end.
type block struct {
	open  string // before the items; always kept
	items []string
	// beyond is how many more items there are that need not be made: they cannot be shown.
	beyond int
	close  string // after the items; always kept
	// more tells how many items were left out, before close.
	more func(cut int) string
	// rank says whose items are kept first: a smaller one.
	rank int
	// most is how many items are shown at most; 0 is all that fit.
	most int
}

// assemble joins blocks to a text of at most limit bytes. What a block always keeps must fit;
// its items are kept by rank as far as they do.
func assemble(limit int, blocks []block) string {
	left := limit
	for _, b := range blocks {
		left -= len(b.open) + len(b.close)
		if len(b.items) > 0 {
			left -= len(b.more(len(b.items) + b.beyond))
		}
	}
	kept := make([]int, len(blocks))
	for rank := 0; rank <= lastRank; rank++ {
		for i, b := range blocks {
			for b.rank == rank && kept[i] < len(b.items) && (b.most == 0 || kept[i] < b.most) {
				if len(b.items[kept[i]]) > left {
					break
				}
				left -= len(b.items[kept[i]])
				kept[i]++
			}
		}
	}
	var text strings.Builder
	for i, b := range blocks {
		text.WriteString(b.open)
		for _, item := range b.items[:kept[i]] {
			text.WriteString(item)
		}
		if n := len(b.items) + b.beyond - kept[i]; n > 0 {
			text.WriteString(b.more(n))
		}
		text.WriteString(b.close)
	}
	return text.String()
}
