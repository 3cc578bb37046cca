// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
	"github.com/google/cel-go/cel"

	"github.com/knowngood/knowngood/pkg/fault"
)

// A file is limited in size and nesting, beyond which the YAML parser takes too long.
const (
	maxSize       = 512 << 10
	maxNesting    = 50
	maxIndicators = 200
)

// A reader takes the YAML tree apart. It goes on after an error, so that a person sees all of
// them at once.
type reader struct {
	name     string
	errs     []positioned
	language *cel.Env // of conditions; nil until there is one
}

type positioned struct {
	line, column int
	err          error
}

// tree parses the text into the tree of its one document; nil for an empty file.
func (r *reader) tree(data []byte) ast.Node {
	if err := r.checkForm(data); err != nil {
		r.errs = append(r.errs, positioned{err: err})
		return nil
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		r.syntax(err)
		return nil
	}
	switch {
	case len(file.Docs) > 1 && file.Docs[1].Body != nil:
		r.errorf(file.Docs[1].Body, "a second document: want one")
		return nil
	case len(file.Docs) == 0:
		return nil
	}
	return file.Docs[0].Body
}

// checkForm refuses what the parser would take long over.
func (r *reader) checkForm(data []byte) error {
	if len(data) > maxSize {
		return fmt.Errorf("%s: %d bytes: a policy has at most %d", r.name, len(data), maxSize)
	}
	depth, line, indicators := 0, 1, 0
	for _, c := range data {
		switch c {
		case '\n':
			line, indicators = line+1, 0
		case '[', '{':
			depth++
		case ']', '}':
			depth = max(depth-1, 0)
		case '-', '?', '&':
			indicators++ // "- - -" nests as well
		case ' ', '\t':
		default:
			indicators = 0
		}
		if depth > maxNesting || indicators > maxIndicators {
			return fmt.Errorf("%s:%d: nested deeper than %d levels", r.name, line, maxNesting)
		}
	}
	return nil
}

func (r *reader) syntax(err error) {
	var located yaml.Error
	if errors.As(err, &located) && located.GetToken() != nil {
		at := located.GetToken().Position
		r.at(at, "%s", located.GetMessage())
		return
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	r.errs = append(r.errs, positioned{err: fmt.Errorf("%s: %s", r.name, first)})
}

// errorf keeps an error of the node.
func (r *reader) errorf(n ast.Node, format string, args ...any) {
	r.at(start(n), format, args...)
}

func (r *reader) at(at *token.Position, format string, args ...any) {
	line, column := 1, 1
	if at != nil {
		line, column = at.Line, at.Column
	}
	text := fmt.Sprintf(format, args...)
	r.errs = append(r.errs, positioned{line, column, fmt.Errorf("%s:%d:%d: %s", r.name, line, column, text)})
}

// err returns all errors in the order of the file, as an error of usage.
func (r *reader) err() error {
	slices.SortStableFunc(r.errs, func(a, b positioned) int {
		return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.column, b.column))
	})
	var all []error
	for _, e := range r.errs {
		all = append(all, e.err)
	}
	return fault.Exit(fault.Usage, errors.Join(all...))
}

// where returns "file:line" of a node.
func (r *reader) where(n ast.Node) string {
	if at := start(n); at != nil {
		return fmt.Sprintf("%s:%d", r.name, at.Line)
	}
	return r.name
}

// start returns where a node begins; nil when that is not known. The token of a mapping is
// its first colon.
func start(n ast.Node) *token.Position {
	switch m := n.(type) {
	case *ast.MappingNode:
		if !m.IsFlowStyle && len(m.Values) > 0 {
			return start(m.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return start(m.Key)
	}
	if t := n.GetToken(); t != nil {
		return t.Position
	}
	return nil
}

// A field is one key of a mapping and what reads its value.
type field struct {
	key  string
	read func(n ast.Node)
}

// mapping reads a mapping of known keys. Null stands for an empty one.
func (r *reader) mapping(n ast.Node, what string, fields ...field) {
	r.pairs(n, what, func(key, value ast.Node, name string) {
		for _, f := range fields {
			if f.key == name {
				f.read(value)
				return
			}
		}
		r.errorf(key, "%s", unknown(what, name, fields))
	})
}

func unknown(what, name string, fields []field) string {
	var known []string
	for _, f := range fields {
		known = append(known, f.key)
	}
	if near := fault.Nearest(name, known); near != "" {
		return fmt.Sprintf("unknown key %q; did you mean %s?", clip(name), near)
	}
	return fmt.Sprintf("unknown key %q; %s has %s", clip(name), what, strings.Join(known, ", "))
}

// pairs calls each for the members of a mapping.
func (r *reader) pairs(n ast.Node, what string, each func(key, value ast.Node, name string)) {
	var values []*ast.MappingValueNode
	switch n := n.(type) {
	case nil, *ast.NullNode:
		return
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	default:
		r.errorf(n, "%s: want keys and values, found %s", what, kindOf(n))
		return
	}
	for _, pair := range values {
		key, ok := scalar(pair.Key)
		if !ok {
			r.errorf(pair.Key, "%s: want a plain key, found %s", what, kindOf(pair.Key))
			continue
		}
		each(pair.Key, pair.Value, key)
	}
}

// list calls each for the elements of a list; a value that is no list is its only element.
func (r *reader) list(n ast.Node, each func(n ast.Node)) {
	switch n := n.(type) {
	case *ast.NullNode:
	case *ast.SequenceNode:
		for _, element := range n.Values {
			each(element)
		}
	default:
		each(n)
	}
}

// sequence is list for values that must be lists.
func (r *reader) sequence(n ast.Node, what string, each func(n ast.Node)) {
	switch n.(type) {
	case *ast.NullNode, *ast.SequenceNode:
		r.list(n, each)
	default:
		r.errorf(n, "%s: want a list, found %s", what, kindOf(n))
	}
}
