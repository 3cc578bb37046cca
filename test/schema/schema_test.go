// SPDX-License-Identifier: Apache-2.0

package schema_test

import (
	"testing"

	"github.com/knowngood/knowngood/test/schema"
)

func TestSchemasBite(t *testing.T) {
	t.Parallel()
	for name, texts := range map[string][2]string{
		schema.SARIF: {
			`{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "x"}}, "results": []}]}`,
			`{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "x"}}, "results": [{"message": {"text": "x"}, "level": "high"}]}]}`,
		},
		schema.GitLab: {
			`{"version": "15.2.1", "vulnerabilities": [], "scan": {"type": "sast", "status": "success", "start_time": "2026-01-02T03:04:05",
			  "end_time": "2026-01-02T03:04:05", "analyzer": {"id": "a", "name": "a", "version": "1", "vendor": {"name": "a"}},
			  "scanner": {"id": "a", "name": "a", "version": "1", "vendor": {"name": "a"}}}}`,
			`{"version": "15.2.1", "vulnerabilities": []}`,
		},
	} {
		s, err := schema.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Check([]byte(texts[0])); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if s.Check([]byte(texts[1])) == nil || s.Check([]byte("{")) == nil {
			t.Errorf("%s takes what is wrong", name)
		}
	}
	if _, err := schema.Parse([]byte(`{"type": 7}`)); err == nil {
		t.Error("7 is a type")
	}
}
