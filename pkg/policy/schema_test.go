// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
)

func loadSchema(t *testing.T) map[string]any {
	t.Helper()
	data, err := os.ReadFile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(data, &schema); err != nil {
		t.Fatal(err)
	}
	return schema
}

// TestSchemaAndParserAgree holds both to the same files. What the schema cannot say (that a
// day exists, how YAML is written) is marked by the name of the file.
func TestSchemaAndParserAgree(t *testing.T) {
	t.Parallel()
	schema := loadSchema(t)
	files, err := filepath.Glob("testdata/file/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, parseErr := Parse("x", data)
		var value any
		if yaml.Unmarshal(data, &value) != nil || strings.HasSuffix(file, ".semantic.yaml") {
			continue
		}
		if schemaErr := validate(schema, schema, plainJSON(t, value)); (schemaErr == nil) != (parseErr == nil) {
			t.Errorf("%s: the schema says %v, the parser %v", file, schemaErr, parseErr)
		}
	}
}

// TestSchemaKnowsTheKeys asks the parser, by a key that there is not, which keys there are.
func TestSchemaKnowsTheKeys(t *testing.T) {
	t.Parallel()
	schema := loadSchema(t)
	known := regexp.MustCompile(`unknown key "q{40}"; [^,]* has (.*)`)
	for path, doc := range map[string]string{
		"properties":                            "%s",
		"properties/protect":                    "protect: {%s}",
		"$defs/gate/properties":                 "gate: {%s}",
		"$defs/threshold/properties":            "gate: {fail: {%s}}",
		"$defs/rule/properties":                 "gate: {rules: [{%s}]}",
		"$defs/waiver/properties":               "gate: {waivers: [{%s}]}",
		"$defs/gate/properties/severities":      "gate: {severities: {%s}}",
		"$defs/gate/properties/suppressions/1":  "gate: {suppressions: {%s}}",
		"$defs/gate/properties/grace":           "gate: {grace: {%s}}",
		"$defs/gate/properties/limits":          "gate: {limits: {%s}}",
		"$defs/gate/properties/budgets/items":   "gate: {budgets: [{%s}]}",
		"$defs/gate/properties/require/items/1": "gate: {require: [{%s}]}",
	} {
		_, err := Parse("x", fmt.Appendf(nil, doc, strings.Repeat("q", 40)+": 1"))
		if err == nil {
			t.Errorf("%s: the key was taken", path)
			continue
		}
		match := known.FindStringSubmatch(err.Error())
		if match == nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		got := strings.Split(match[1], ", ")
		slices.Sort(got)
		if diff := cmp.Diff(got, keys(t, schema, path)); diff != "" {
			t.Errorf("%s (-parser +schema):\n%s", path, diff)
		}
	}
}

func keys(t *testing.T, schema map[string]any, path string) []string {
	t.Helper()
	node := any(schema)
	for part := range strings.SplitSeq(path, "/") {
		object := node.(map[string]any)
		if part == "1" {
			node = object["anyOf"].([]any)[1]
			continue
		}
		node = object[part]
	}
	object := node.(map[string]any)
	if inner, ok := object["properties"].(map[string]any); ok && !strings.HasSuffix(path, "/properties") {
		object = inner
	}
	return slices.Sorted(maps.Keys(object))
}

func plainJSON(t *testing.T, value any) any {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	var plain any
	if err := json.Unmarshal(data, &plain); err != nil {
		t.Fatal(err)
	}
	return plain
}

// validate knows as much of JSON Schema as the schema uses; what it does not know is an error.
func validate(root, schema map[string]any, value any) error {
	for keyword, argument := range schema {
		var err error
		switch keyword {
		case "$schema", "$id", "$defs", "title", "description", "properties":
		case "$ref":
			target := root["$defs"].(map[string]any)[strings.TrimPrefix(argument.(string), "#/$defs/")]
			err = validate(root, target.(map[string]any), value)
		case "type":
			err = validateType(argument, value)
		case "anyOf":
			err = fmt.Errorf("fits none of %d", len(argument.([]any)))
			for _, one := range argument.([]any) {
				if validate(root, one.(map[string]any), value) == nil {
					err = nil
				}
			}
		case "not":
			if validate(root, argument.(map[string]any), value) == nil {
				err = fmt.Errorf("fits what it must not")
			}
		case "enum":
			if !slices.Contains(argument.([]any), value) {
				err = fmt.Errorf("%v is none of %v", value, argument)
			}
		default:
			err = validateContent(root, schema, keyword, argument, value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func validateContent(root, schema map[string]any, keyword string, argument, value any) error {
	object, isObject := value.(map[string]any)
	number, isNumber := value.(float64)
	switch keyword {
	case "additionalProperties":
		for key, member := range object {
			properties, _ := schema["properties"].(map[string]any)
			property, known := properties[key].(map[string]any)
			if !known && argument == false {
				return fmt.Errorf("key %q", key)
			}
			if !known {
				property = argument.(map[string]any)
			}
			if err := validate(root, property, member); err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
		}
	case "items":
		list, _ := value.([]any)
		for _, item := range list {
			if err := validate(root, argument.(map[string]any), item); err != nil {
				return err
			}
		}
	case "required":
		for _, key := range argument.([]any) {
			if _, there := object[key.(string)]; isObject && !there {
				return fmt.Errorf("lacks %v", key)
			}
		}
		if !isObject {
			return fmt.Errorf("no object")
		}
	case "minProperties":
		if isObject && len(object) < int(argument.(float64)) {
			return fmt.Errorf("%d members", len(object))
		}
	case "minimum":
		if isNumber && number < argument.(float64) {
			return fmt.Errorf("%v is too small", number)
		}
	case "maximum":
		if isNumber && number > argument.(float64) {
			return fmt.Errorf("%v is too large", number)
		}
	case "maxLength":
		if text, ok := value.(string); ok && len(text) > int(argument.(float64)) {
			return fmt.Errorf("%d characters", len(text))
		}
	case "pattern":
		if text, ok := value.(string); ok && !regexp.MustCompile(argument.(string)).MatchString(text) {
			return fmt.Errorf("%q", text)
		}
	default:
		return fmt.Errorf("the schema uses %q, which this test does not know", keyword)
	}
	return nil
}

func validateType(want, value any) error {
	kind := "object"
	switch v := value.(type) {
	case nil:
		kind = "null"
	case string:
		kind = "string"
	case bool:
		kind = "boolean"
	case []any:
		kind = "array"
	case float64:
		kind = "number"
		if v == float64(int64(v)) && (want == "integer" || fmt.Sprint(want) == "[integer]") {
			kind = "integer"
		}
	}
	if list, ok := want.([]any); ok && slices.Contains(list, any(kind)) || want == kind {
		return nil
	}
	return fmt.Errorf("%s, want %v", kind, want)
}
