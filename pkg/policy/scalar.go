// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// text reads a word or a number as it is written.
func (r *reader) text(n ast.Node, what string) string {
	text, ok := scalar(n)
	if !ok || strings.TrimSpace(text) == "" {
		r.errorf(n, "%s: want a text, found %s", what, kindOf(n))
		return ""
	}
	return strings.TrimSpace(text)
}

func (r *reader) texts(n ast.Node, what string) (all []string) {
	r.list(n, func(n ast.Node) { all = append(all, r.text(n, what)) })
	return all
}

// choice reads one of the given words.
func (r *reader) choice(n ast.Node, what string, words ...string) string {
	text := r.text(n, what)
	if text == "" || slices.Contains(words, text) {
		return text
	}
	r.errorf(n, "%s %q: want %s", what, clip(text), oneOf(words))
	return ""
}

func (r *reader) number(n ast.Node, what string, low, high float64) float64 {
	value, err := strconv.ParseFloat(figures(n), 64)
	if err != nil || !(value >= low && value <= high) {
		r.errorf(n, "%s: want a number from %g to %g, found %s", what, low, high, kindOf(n))
		return low
	}
	return value
}

func (r *reader) whole(n ast.Node, what string, low, high int) int {
	value, err := strconv.Atoi(figures(n))
	if err != nil || value < low || value > high {
		r.errorf(n, "%s: want a whole number from %d to %d, found %s", what, low, high, kindOf(n))
		return low
	}
	return value
}

func (r *reader) truth(n ast.Node, what string) bool {
	if b, ok := n.(*ast.BoolNode); ok {
		return b.Value
	}
	r.errorf(n, "%s: want true or false, found %s", what, kindOf(n))
	return false
}

// scalar returns the text of a value that is one.
func scalar(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	default:
		return "", false
	}
}

// figures returns the text of a value that is a number, "" of others.
func figures(n ast.Node) string {
	switch n.(type) {
	case *ast.IntegerNode, *ast.FloatNode:
		return n.GetToken().Value
	default:
		return ""
	}
}

// kindOf names a value for an error.
func kindOf(n ast.Node) string {
	if text, ok := scalar(n); ok {
		return fmt.Sprintf("%q", clip(text))
	}
	switch n.(type) {
	case nil, *ast.NullNode:
		return "nothing"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "keys and values"
	case *ast.SequenceNode:
		return "a list"
	case *ast.AliasNode, *ast.AnchorNode, *ast.MergeKeyNode:
		return "an anchor or alias, which a policy has none of"
	case *ast.TagNode:
		return "a tag, which a policy has none of"
	default:
		return "something else"
	}
}

func clip(text string) string {
	if len(text) > 60 {
		return strings.ToValidUTF8(text[:60], "") + "…"
	}
	return text
}

func oneOf(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}
