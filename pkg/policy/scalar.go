// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"strconv"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/goccy/go-yaml/ast"
)

func (r *reader) string(node ast.Node, into *string) {
	if text, ok := r.text(node); ok {
		if text == "" {
			r.fail(node, "want a value here, not nothing")
		}
		*into = text
	}
}

func (r *reader) glob(node ast.Node, into *string) {
	r.string(node, into)
	if !doublestar.ValidatePattern(*into) {
		r.fail(node, "%q is no glob", *into)
	}
}

func (r *reader) yes(node ast.Node, into *bool) {
	if value, ok := node.(*ast.BoolNode); ok {
		*into = value.Value
		return
	}
	r.fail(node, "want true or false here")
}

func (r *reader) number(node ast.Node, low, high float64) (float64, bool) {
	text, ok := r.text(node)
	if !ok {
		return 0, false
	}
	number, err := strconv.ParseFloat(text, 64)
	if err != nil || !(number >= low && number <= high) {
		r.fail(node, "%q: want a number from %g to %g", text, low, high)
		return 0, false
	}
	return number, true
}

func (r *reader) duration(node ast.Node, into *time.Duration) {
	text, ok := r.text(node)
	if !ok {
		return
	}
	length, err := time.ParseDuration(text)
	if err != nil || length <= 0 {
		r.fail(node, "%q: want a length of time above zero, e.g. 24h", text)
	}
	*into = length
}

// cwe reads 89, "89" or CWE-89.
func (r *reader) cwe(node ast.Node, into *int) {
	text, ok := r.text(node)
	if !ok {
		return
	}
	number, err := strconv.Atoi(strings.TrimPrefix(strings.ToUpper(text), "CWE-"))
	if err != nil || number <= 0 {
		r.fail(node, "cwe %q: want a number, e.g. 89 or CWE-89", text)
	}
	*into = number
}

// oneOf reads a word out of a few.
func oneOf[T ~string](r *reader, node ast.Node, into *T, words ...T) {
	text, ok := r.text(node)
	if !ok {
		return
	}
	known := make([]string, len(words))
	for i, word := range words {
		if text == string(word) {
			*into = word
			return
		}
		known[i] = string(word)
	}
	r.fail(node, "%q: want one of %s", text, strings.Join(known, ", "))
}
