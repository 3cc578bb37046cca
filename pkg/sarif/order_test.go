// SPDX-License-Identifier: Apache-2.0

package sarif

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/knowngood/knowngood/pkg/release"
)

// TestOrderOfTheFileDoesNotMatter reads every case once more with the members of all objects,
// and the results of all runs, in the opposite order.
func TestOrderOfTheFileDoesNotMatter(t *testing.T) {
	t.Parallel()
	options := Options{Root: "/checkout", Folder: folder(t, "testdata"), Source: folder(t, "testdata/source")}
	files, err := filepath.Glob("testdata/*.sarif")
	if err != nil {
		t.Fatal(err)
	}
	turned := 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want, err := Read(bytes.NewReader(data), "x", options)
		if err != nil || json.Valid(data) == false {
			continue
		}
		turned++
		back := backwards(t, data)
		got, err := Read(bytes.NewReader(back), "x", options)
		if diff := cmp.Diff(unordered(t, want), unordered(t, got)); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", file, err, diff)
		}
	}
	if turned < 150 {
		t.Errorf("%d cases were read backwards", turned)
	}
}

// backwards rewrites JSON with members and results in the opposite order.
func backwards(t *testing.T, data []byte) []byte {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var turn func(results bool) string
	turn = func(results bool) string {
		token, err := decoder.Token()
		if err != nil {
			t.Fatal(err)
		}
		var parts []string
		open, nested := token.(json.Delim)
		if !nested {
			text, err := json.Marshal(token)
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		}
		for decoder.More() {
			part := ""
			if open == '{' {
				name := turn(false)
				part = name + ":" + turn(name == `"results"`)
			} else {
				part = turn(false)
			}
			parts = append(parts, part)
		}
		if _, err := decoder.Token(); err != nil {
			t.Fatal(err)
		}
		if results || open == '{' {
			slices.Reverse(parts)
		}
		return string(open) + strings.Join(parts, ",") + string(open+2)
	}
	return []byte(turn(false))
}

// unordered is what may not depend on the order: the findings of each scan, sorted, and how
// complete it is.
func unordered(t *testing.T, scans []release.Scan) (all []string) {
	t.Helper()
	for _, scan := range scans {
		var lines []string
		for _, f := range scan.Findings {
			text, err := json.Marshal(f)
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, string(text))
		}
		slices.Sort(lines)
		all = append(all, string(scan.Completeness)+" "+scan.Tool+" "+strings.Join(scan.Rules, " "))
		all = append(all, lines...)
	}
	return all
}
