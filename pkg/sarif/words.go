// SPDX-License-Identifier: Apache-2.0

package sarif

// recentWords is how many of the last words are looked at before all of them.
const recentWords = 256

// slot is where a word stands among the recent ones, which spares most a look into the map.
func slot(b []byte) int {
	if len(b) == 0 {
		return 0
	}
	return (len(b) + int(b[0])*3 + int(b[len(b)/2])*5 + int(b[len(b)-1])*7) % recentWords
}

func (w *walker) intern(b []byte) (string, error) {
	if len(b) > maxText {
		return w.keeping(cut(string(b), maxText))
	}
	recent := &w.recent[slot(b)]
	if *recent == string(b) {
		return *recent, nil
	}
	if s, ok := w.seen[string(b)]; ok {
		*recent = s
		return s, nil
	}
	s := string(b)
	*recent = s
	if len(w.seen) < 1<<16 {
		w.seen[s] = s
	}
	return w.keeping(s)
}
