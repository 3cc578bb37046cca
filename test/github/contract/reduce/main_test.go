// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// whole is a description with every operation that is wanted and one that is not, with prose
// and a component that nothing refers to.
func whole(t *testing.T) string {
	t.Helper()
	answer := object{"description": "said", "content": object{"application/json": object{"schema": object{"$ref": "#/components/schemas/used"}}}}
	paths := object{"/not/wanted": object{"get": object{}}}
	for path, methods := range operations {
		item := object{"trace": object{"summary": "not wanted"}}
		for _, method := range methods {
			item[method] = object{"summary": "prose", "operationId": "x", "responses": object{"200": answer}}
		}
		paths[path] = item
	}
	data, err := json.Marshal(object{
		"openapi": "3.0.3", "info": object{"title": "T", "version": "1", "license": object{"name": "MIT"}}, "paths": paths,
		"components": object{"schemas": object{
			"used":   object{"type": "object", "properties": object{"description": object{"$ref": "#/components/schemas/deep"}}},
			"deep":   object{"type": "string", "description": "prose"},
			"unused": object{"type": "string"},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "whole.json")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestOnlyWhatIsUsedIsLeft(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := run(whole(t), &out); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		"/not/wanted": false, "trace": false, "prose": false, "operationId": false, `"unused"`: false,
		`"used"`: true, `"deep"`: true, `"description": {`: true, `"description": ""`: true, "/repos/{owner}/{repo}/check-runs": true, "MIT": true,
	} {
		if strings.Contains(out.String(), text) != want {
			t.Errorf("%s is in it: %t, want %t", text, !want, want)
		}
	}
}

func TestADescriptionWithoutAnOperation(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "empty.json")
	if err := os.WriteFile(file, []byte(`{"openapi":"3.0.3","info":{},"paths":{}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(file, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "the description has no /") {
		t.Errorf("error %v", err)
	}
}
