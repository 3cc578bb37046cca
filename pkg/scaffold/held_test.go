// SPDX-License-Identifier: Apache-2.0

package scaffold_test

import (
	"encoding/json"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/knowngood/knowngood/pkg/scaffold"
)

func quoted(t *testing.T, text string) []byte {
	t.Helper()
	data, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// held finds what was seen where it belongs, as text.
func held(t *testing.T, file scaffold.File, text string) {
	t.Helper()
	text = strings.ToValidUTF8(text, "\uFFFD") // what YAML can hold
	for one := range strings.SplitSeq("\n"+file.Text, "\n---\n") {
		var object map[string]any
		if err := yaml.Unmarshal([]byte(one), &object); err != nil {
			t.Fatalf("%s with %q: %v\n%s", file.Path, text, err, one)
		}
		for _, path := range [][]string{
			{"inputs", "app"},
			{"inputs", "namespace"},
			{"on", "push", "branches", "0"},
			{"true", "push", "branches", "0"},
			{"jobs", "release", "steps", "2", "with", "deploy"},
			{"spec", "params", "0", "value"},
			{"metadata", "namespace"},
		} {
			if got, there := at(object, path); there && got != text {
				t.Errorf("%s: %v is %q, want %q\n%s", file.Path, path, got, text, one)
			}
		}
	}
}

func at(value any, path []string) (any, bool) {
	for _, key := range path {
		switch inner := value.(type) {
		case map[string]any:
			next, there := inner[key]
			if !there {
				return nil, false
			}
			value = next
		case []any:
			n := int(key[0] - '0')
			if n >= len(inner) {
				return nil, false
			}
			value = inner[n]
		default:
			return nil, false
		}
	}
	return value, true
}
