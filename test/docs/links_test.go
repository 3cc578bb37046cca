// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	fenced  = regexp.MustCompile("(?ms)^```.*?^```$")
)

// anchors are the headings of a page as GitHub names them.
func anchors(text string) map[string]bool {
	all := map[string]bool{}
	for _, found := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		name := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789-_", r):
				return r
			}
			return -1
		}, strings.ToLower(found[1]))
		all[name] = true
	}
	return all
}

// TestLinksLeadSomewhere follows the links of what people read, within the project.
func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	followed := 0
	for _, page := range []string{"README.md", "REFERENCE.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "tekton/README.md", "test/results/README.md"} {
		text, err := os.ReadFile(filepath.Join(root, page))
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range link.FindAllStringSubmatch(fenced.ReplaceAllString(string(text), ""), -1) {
			if strings.Contains(found[1], "://") {
				continue
			}
			followed++
			file, anchor, _ := strings.Cut(found[1], "#")
			there := string(text)
			if file != "" {
				info, err := os.Stat(filepath.Join(root, filepath.Dir(page), file))
				if err != nil {
					t.Errorf("%s: %v", page, err)
					continue
				}
				if info.IsDir() || anchor == "" {
					continue
				}
				data, err := os.ReadFile(filepath.Join(root, filepath.Dir(page), file))
				if err != nil {
					t.Fatal(err)
				}
				there = string(data)
			}
			if !anchors(there)[anchor] {
				t.Errorf("%s: nothing is called #%s", page, anchor)
			}
		}
	}
	if followed < 15 {
		t.Errorf("%d links: the form of the documentation has changed", followed)
	}
}
