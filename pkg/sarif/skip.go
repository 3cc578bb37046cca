// SPDX-License-Identifier: Apache-2.0

package sarif

import (
	"errors"

	"github.com/go-json-experiment/json/jsontext"
)

// skip passes over one value, which is checked all the same. An object or list of ordinary
// size is read whole, which is quickest; a larger one token by token, so that it need not be
// held.
func (w *walker) skip() error {
	w.in.hold(wholeValue)
	_, err := w.dec.ReadValue()
	w.in.hold(w.limits.Value)
	if !errors.Is(err, errHeld) {
		return err
	}
	// The decoder stands where it stood, and has kept what it had read.
	if kind := w.dec.PeekKind(); kind == jsontext.KindBeginObject || kind == jsontext.KindBeginArray {
		return w.skipTokens()
	}
	_, err = w.dec.ReadValue()
	return err
}

// skipTokens passes over an object or list token by token. What it holds are the names of
// the objects that are open, so these are bounded.
func (w *walker) skipTokens() error {
	most := w.limits.Members / objectShare
	names, open := 0, []int{}
	for {
		token, err := w.dec.ReadToken()
		if err != nil {
			return err
		}
		switch token.Kind() { //nolint:exhaustive // values have no inside
		case jsontext.KindBeginObject, jsontext.KindBeginArray:
			open = append(open, 0)
		case jsontext.KindEndObject, jsontext.KindEndArray:
			names -= open[len(open)-1]
			if open = open[:len(open)-1]; len(open) == 0 {
				return nil
			}
		case jsontext.KindString:
			if kind, n := w.dec.StackIndex(w.dec.StackDepth()); kind == jsontext.KindBeginObject && n%2 == 1 {
				open[len(open)-1]++
				if names++; names > most {
					return w.tooMany("members of an object (limits: members)", int64(most))
				}
			}
		}
	}
}
