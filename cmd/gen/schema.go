// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"

	"github.com/knowngood/knowngood/pkg/release"
)

// schemaPath is where the schema of what --json prints and of the catalog's objects lies.
const schemaPath = "pkg/release/schema.json"

const schemaID = "https://raw.githubusercontent.com/knowngood/knowngood/main/" + schemaPath

// object is JSON with its members in the order of their names.
type object map[string]any

// nounSchema makes the schema of the nouns from their Go source, comments included: an entry by
// itself, and under $defs everything else that --json prints.
func nounSchema(root string) ([]byte, error) {
	n := &nouns{structs: map[string]*ast.StructType{}, docs: map[string]string{}, underlying: map[string]string{}, words: map[string][]string{}}
	if err := n.read(filepath.Join(root, "pkg", "release")); err != nil {
		return nil, err
	}
	defs := object{}
	for name, fields := range n.structs {
		def, err := n.object(fields)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		def["description"] = n.docs[name]
		defs[name] = def
	}
	return json.MarshalIndent(object{
		"$schema": "https://json-schema.org/draft/2020-12/schema",
		"$id":     schemaID,
		"title":   fmt.Sprintf("What knowngood writes, format %d", release.Format),
		"description": "An entry, as a step prints it with --json and as the catalog holds it. history --json is a list of Record, " +
			"release --json a Record, gate diff --json a Comparison. Members may be added; a change that would break a reader raises format.",
		"$ref":  "#/$defs/Entry",
		"$defs": defs,
	}, "", "  ")
}

// nouns are the types of package release as its source has them.
type nouns struct {
	structs    map[string]*ast.StructType
	docs       map[string]string
	underlying map[string]string   // of named types that are no structs: string, or []Name
	words      map[string][]string // the constants of a named string type
}

func (n *nouns) read(folder string) error {
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("no source in %s: %w", folder, fs.ErrNotExist)
	}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		for _, declaration := range file.Decls {
			if general, ok := declaration.(*ast.GenDecl); ok {
				n.declaration(general)
			}
		}
	}
	return nil
}

func (n *nouns) declaration(d *ast.GenDecl) {
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			doc := spec.Doc
			if doc == nil {
				doc = d.Doc
			}
			n.docs[spec.Name.Name] = prose(doc)
			switch t := spec.Type.(type) {
			case *ast.StructType:
				n.structs[spec.Name.Name] = t
			case *ast.Ident:
				n.underlying[spec.Name.Name] = t.Name
			case *ast.ArrayType:
				if element, ok := t.Elt.(*ast.Ident); ok {
					n.underlying[spec.Name.Name] = "[]" + element.Name
				}
			}
		case *ast.ValueSpec:
			if kind, ok := spec.Type.(*ast.Ident); ok && d.Tok == token.CONST && len(spec.Values) == 1 {
				if literal, ok := spec.Values[0].(*ast.BasicLit); ok && literal.Kind == token.STRING {
					n.words[kind.Name] = append(n.words[kind.Name], constant.StringVal(constant.MakeFromLiteral(literal.Value, token.STRING, 0)))
				}
			}
		}
	}
}

// prose is a comment as one paragraph.
func prose(comment *ast.CommentGroup) string {
	return strings.Join(strings.Fields(comment.Text()), " ")
}

// object describes a struct. Members of an embedded struct are the struct's own.
func (n *nouns) object(fields *ast.StructType) (object, error) {
	members, required := object{}, []string{}
	for _, field := range fields.Fields.List {
		if len(field.Names) == 0 {
			name, ok := field.Type.(*ast.Ident)
			if !ok || n.structs[name.Name] == nil {
				return nil, fmt.Errorf("embeds what is no noun")
			}
			inner, err := n.object(n.structs[name.Name])
			if err != nil {
				return nil, err
			}
			for key, member := range inner["properties"].(object) { //nolint:forcetypeassert // made below
				members[key] = member
			}
			required = append(required, inner["required"].([]string)...) //nolint:forcetypeassert // made below
			continue
		}
		name, always, err := tagOf(field)
		if err != nil {
			return nil, err
		}
		member, err := n.typeOf(field.Type, always)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if doc := strings.TrimSpace(prose(field.Doc) + " " + prose(field.Comment)); doc != "" {
			member["description"] = doc
		}
		members[name] = member
		if always {
			required = append(required, name)
		}
	}
	return object{"type": "object", "properties": members, "required": required}, nil
}

// tagOf returns a field's name in JSON, and whether it is always written.
func tagOf(field *ast.Field) (name string, always bool, err error) {
	if field.Tag != nil {
		text, _ := strconv.Unquote(field.Tag.Value)
		tag := reflect.StructTag(text).Get("json")
		name, options, _ := strings.Cut(tag, ",")
		if name != "" {
			return name, !strings.Contains(options, "omit"), nil
		}
	}
	return "", false, fmt.Errorf("field %s has no name in JSON", field.Names[0].Name)
}

func (n *nouns) typeOf(t ast.Expr, always bool) (object, error) {
	switch t := t.(type) {
	case *ast.Ident:
		return n.named(t.Name)
	case *ast.StarExpr:
		return n.typeOf(t.X, false)
	case *ast.SelectorExpr:
		if t.Sel.Name == "Time" {
			return object{"type": "string", "format": "date-time"}, nil
		}
	case *ast.ArrayType:
		items, err := n.typeOf(t.Elt, true)
		if always {
			return object{"type": []string{"array", "null"}, "items": items}, err
		}
		return object{"type": "array", "items": items}, err
	case *ast.MapType:
		values, err := n.typeOf(t.Value, true)
		return object{"type": "object", "additionalProperties": values}, err
	}
	return nil, fmt.Errorf("a type that the schema does not know: %T", t)
}

func (n *nouns) named(name string) (object, error) {
	switch name {
	case "string":
		return object{"type": "string"}, nil
	case "bool":
		return object{"type": "boolean"}, nil
	case "int", "int64":
		return object{"type": "integer"}, nil
	case "float64":
		return object{"type": "number"}, nil
	}
	if n.structs[name] != nil {
		return object{"$ref": "#/$defs/" + name}, nil
	}
	kind, known := n.underlying[name]
	if element, list := strings.CutPrefix(kind, "[]"); list {
		items, err := n.named(element)
		return object{"type": "array", "items": items}, err
	}
	if !known {
		return nil, fmt.Errorf("no type %s", name)
	}
	described, err := n.named(kind)
	if err == nil && len(n.words[name]) > 0 {
		described["description"] = n.docs[name] + " One of: " + strings.Join(n.words[name], ", ") + "."
		// The zero value, "", says that nothing is known.
		described["enum"] = append([]string{""}, n.words[name]...)
	}
	return described, err
}
