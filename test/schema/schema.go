// SPDX-License-Identifier: Apache-2.0

// Package schema holds what we write for other programs to what they say they read.
package schema

import (
	"bytes"
	"embed"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// sarif-2.1.0.json is that of the npm package @microsoft/sarif-multitool-linux 5.7.0 (MIT licence,
// see LICENSE) without its prose. gitlab-sast-15.2.1.json is our own reading of GitLab's schema of
// that version: the members that we write, and no other.
//
//go:embed *.json
var files embed.FS

// A Schema is a JSON Schema against which documents are held.
type Schema struct{ compiled *jsonschema.Schema }

// Names of the schemas that the package holds.
const (
	SARIF  = "sarif-2.1.0.json"
	GitLab = "gitlab-sast-15.2.1.json"
)

// Open returns one of the package's own schemas.
func Open(name string) (*Schema, error) {
	text, err := files.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return Parse(text)
}

// Parse returns the schema that a text is. Formats such as uri and date-time count.
func Parse(text []byte) (*Schema, error) {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	return compile(document)
}

func compile(document any) (*Schema, error) {
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource("schema.json", document); err != nil {
		return nil, err
	}
	compiled, err := compiler.Compile("schema.json")
	if err != nil {
		return nil, fmt.Errorf("not a schema: %w", err)
	}
	return &Schema{compiled}, nil
}

// Check says where a JSON document is not as the schema says.
func (s *Schema) Check(text []byte) error {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return s.compiled.Validate(document)
}

// Noun returns the schema of one of the nouns that text, the project's own schema, holds under
// $defs; "[]NAME" is a list of them. It takes no member that the schema does not know.
func Noun(text []byte, name string) (*Schema, error) {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	whole, _ := document.(map[string]any)
	defs, _ := whole["$defs"].(map[string]any)
	bare, list := strings.CutPrefix(name, "[]")
	if defs[bare] == nil {
		return nil, fmt.Errorf("the schema knows no %s", bare)
	}
	for _, def := range defs {
		if def, ok := def.(map[string]any); ok {
			def["additionalProperties"] = false
		}
	}
	wanted := map[string]any{"$defs": defs, "$ref": "#/$defs/" + bare}
	if list {
		wanted = map[string]any{"$defs": defs, "type": "array", "items": map[string]any{"$ref": "#/$defs/" + bare}}
	}
	return compile(wanted)
}
