// SPDX-License-Identifier: Apache-2.0

package sarif

import (
	"bytes"
	"encoding/json"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/knowngood/knowngood/pkg/release"
)

var update = flag.Bool("update", false, "write the want files anew")

// A want is what a case's file has to be read as.
type want struct {
	Scans []release.Scan `json:"scans,omitempty"`
	Error string         `json:"error,omitempty"`
}

// TestConformance reads testdata/<case>.sarif and compares with <case>.want.json. A new case
// is two files; -update writes the second, which then wants to be read.
func TestConformance(t *testing.T) {
	t.Parallel()
	options := Options{Root: "/checkout", Folder: folder(t, "testdata"), Source: folder(t, "testdata/source")}
	files, err := filepath.Glob("testdata/*.sarif")
	if err != nil || len(files) < 200 {
		t.Fatalf("found %d cases (%v)", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".sarif")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var got want
			got.Scans, err = Read(bytes.NewReader(data), filepath.Base(file), options)
			if err != nil {
				got.Error = err.Error()
			}
			hold(t, strings.TrimSuffix(file, ".sarif")+".want.json", got)
		})
	}
}

// folder returns what lies in a folder and nothing outside, whatever a link says.
func folder(t testing.TB, name string) fs.FS {
	t.Helper()
	root, err := os.OpenRoot(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root.FS()
}

func hold(t *testing.T, file string, got want) {
	t.Helper()
	text, err := json.MarshalIndent(got, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, '\n')
	if *update {
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	wanted, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(wanted), string(text)); diff != "" {
		t.Errorf("Read (-want +got):\n%s", diff)
	}
}
