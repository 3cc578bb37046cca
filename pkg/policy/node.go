// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/knowngood/knowngood/pkg/fault"
)

// largest is the size of a policy file that is read at all, in bytes.
const largest = 1 << 20

// A reader walks the tree of a YAML file and collects what is wrong with it, each with line
// and column. Aliases and merge keys are refused: a policy should read as it acts.
type reader struct {
	name string
	errs []error
}

// where names the line of a node, as decisions quote it.
func (r *reader) where(node ast.Node) string {
	return fmt.Sprintf("%s:%d", r.name, node.GetToken().Position.Line)
}

func (r *reader) fail(node ast.Node, format string, args ...any) {
	at := node.GetToken().Position
	r.errs = append(r.errs, fault.Usagef("%s:%d:%d: %w", r.name, at.Line, at.Column, fmt.Errorf(format, args...)))
}

// root parses the file and returns its one document, nil for an empty file.
func (r *reader) root(data []byte) ast.Node {
	if len(data) > largest {
		r.errs = append(r.errs, fault.Usagef("%s: %d bytes, and at most %d are read", r.name, len(data), largest))
		return nil
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		r.errs = append(r.errs, fault.Usagef("%s:%w", r.name, plain(err)))
		return nil
	}
	var documents []ast.Node
	for _, document := range file.Docs {
		if document.Body != nil {
			documents = append(documents, document.Body)
		}
	}
	switch len(documents) {
	case 0:
		return nil
	case 1:
		return documents[0]
	default:
		r.fail(documents[1], "a second document; a policy is one")
		return nil
	}
}

// plain returns a parser's error as "line:column: why" without the drawing of the source.
func plain(err error) error {
	first, _, _ := strings.Cut(err.Error(), "\n")
	if place, why, found := strings.Cut(strings.TrimPrefix(first, "["), "] "); found {
		return fmt.Errorf("%s: %s", place, why)
	}
	return errors.New(" " + first)
}

// lacks complains of what an item leaves out, unless something else is wrong with it already.
func (r *reader) lacks(before int, node ast.Node, missing bool, complaint string) {
	if missing && len(r.errs) == before {
		r.fail(node, "%s", complaint)
	}
}

// A field reads the value of one key.
type field func(value ast.Node)

// mapping reads a mapping whose keys are known. Unknown and repeated keys are errors.
func (r *reader) mapping(node ast.Node, fields map[string]field) {
	known := make([]string, 0, len(fields))
	for name := range fields {
		known = append(known, name)
	}
	slices.Sort(known)
	r.each(node, func(key string, at, value ast.Node) {
		read, ok := fields[key]
		if !ok {
			hint := "known are " + strings.Join(known, ", ")
			if near := fault.Nearest(key, known); near != "" {
				hint = fmt.Sprintf("did you mean %s?", near)
			}
			r.fail(at, "unknown key %q; %s", key, hint)
			return
		}
		read(value)
	})
}

// each calls do for every key of a mapping, with the node of the key and of its value.
func (r *reader) each(node ast.Node, do func(key string, at, value ast.Node)) {
	var pairs []*ast.MappingValueNode
	switch n := node.(type) {
	case *ast.MappingNode:
		pairs = n.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{n}
	case *ast.NullNode:
		return
	default:
		r.fail(node, "want keys and values here, not %s", kindOf(node))
		return
	}
	seen := map[string]bool{}
	for _, pair := range pairs {
		key, ok := pair.Key.(ast.ScalarNode)
		if !ok {
			r.fail(pair.Key, "want a plain key here, not %s", kindOf(pair.Key))
			continue
		}
		name := key.GetToken().Value
		if seen[name] {
			r.fail(pair.Key, "key %q stands here twice", name)
			continue
		}
		seen[name] = true
		do(name, pair.Key, pair.Value)
	}
}

// items returns the items of a sequence.
func (r *reader) items(node ast.Node) []ast.Node {
	switch n := node.(type) {
	case *ast.SequenceNode:
		return n.Values
	case *ast.NullNode:
		return nil
	}
	r.fail(node, "want a list here, not %s", kindOf(node))
	return nil
}

// text returns a scalar as it is written, without quotes.
func (r *reader) text(node ast.Node) (string, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return node.GetToken().Value, true
	}
	r.fail(node, "want a value here, not %s", kindOf(node))
	return "", false
}

func kindOf(node ast.Node) string {
	switch node.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "keys and values"
	case *ast.SequenceNode:
		return "a list"
	case *ast.NullNode:
		return "nothing"
	case *ast.AliasNode, *ast.AnchorNode, *ast.MergeKeyNode:
		return "an anchor or alias, which a policy does not use"
	case *ast.TagNode:
		return "a tag"
	default:
		return "a value"
	}
}
