// SPDX-License-Identifier: Apache-2.0

// Package house checks that the module is built as ARCHITECTURE.md says.
package house

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/knowngood/knowngood/"

// A room is one row of the floor plan.
type room struct {
	floor   string
	allowed []string
	outside []string
}

var (
	rowForm  = regexp.MustCompile("^\\| ([0-9]) \\| `([^`]+)` \\| [^|]* \\| ([^|]*) \\| ([^|]*) \\|$")
	codeForm = regexp.MustCompile("`([^`]+)`")
	spanForm = regexp.MustCompile(`floors? ([0-9])(?:-([0-9]))?`)
)

// plan reads the table of ARCHITECTURE.md.
func plan(t *testing.T) map[string]room {
	t.Helper()
	file, err := os.Open("../../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rooms, permits := map[string]room{}, map[string]string{}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		row := rowForm.FindStringSubmatch(lines.Text())
		if row == nil {
			continue
		}
		rooms[row[2]] = room{floor: row[1], outside: codes(row[4])}
		permits[row[2]] = row[3]
	}
	for name, permit := range permits {
		r := rooms[name]
		r.allowed = codes(permit)
		for _, span := range spanForm.FindAllStringSubmatch(permit, -1) {
			low, high := span[1], span[2]
			if high == "" {
				high = low
			}
			for other, o := range rooms {
				if low <= o.floor && o.floor <= high {
					r.allowed = append(r.allowed, other)
				}
			}
		}
		rooms[name] = r
	}
	if len(rooms) < 10 {
		t.Fatalf("read %d rows of the floor plan: the table's form has changed", len(rooms))
	}
	return rooms
}

func codes(cell string) []string {
	var names []string
	for _, match := range codeForm.FindAllStringSubmatch(cell, -1) {
		names = append(names, match[1])
	}
	return names
}

type goPackage struct {
	ImportPath string
	Imports    []string
}

func packages(t *testing.T, pattern ...string) []goPackage {
	t.Helper()
	args := append([]string{"list", "-json=ImportPath,Imports"}, pattern...)
	command := exec.CommandContext(t.Context(), "go", args...)
	command.Dir = "../.."
	command.Stderr = os.Stderr
	output, err := command.Output()
	if err != nil {
		t.Fatalf("go %s: %v", strings.Join(args, " "), err)
	}
	var all []goPackage
	decoder := json.NewDecoder(strings.NewReader(string(output)))
	for decoder.More() {
		var p goPackage
		if err := decoder.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

func TestEveryImportKeepsTheFloorPlan(t *testing.T) {
	t.Parallel()
	rooms := plan(t)
	guarded := map[string][]string{} // outside module -> rooms that may import it
	for name, r := range rooms {
		for _, outside := range r.outside {
			guarded[outside] = append(guarded[outside], name)
		}
	}
	seen := map[string]bool{}
	for _, p := range packages(t, "./...") {
		name := strings.TrimPrefix(p.ImportPath, module)
		if strings.HasPrefix(name, "test/") {
			continue
		}
		r, ok := rooms[name]
		if !ok {
			t.Errorf("%s has no row in ARCHITECTURE.md", name)
			continue
		}
		seen[name] = true
		for _, imported := range p.Imports {
			if why := forbidden(name, r, imported, rooms, guarded); why != "" {
				t.Errorf("%s imports %s: %s", name, imported, why)
			}
		}
	}
	for name := range rooms {
		if !seen[name] {
			t.Errorf("ARCHITECTURE.md has a row for %s, which does not exist", name)
		}
	}
}

func forbidden(name string, r room, imported string, rooms map[string]room, guarded map[string][]string) string {
	if local, ok := strings.CutPrefix(imported, module); ok {
		switch {
		case strings.HasPrefix(local, "test/"):
			return "only tests import tests"
		case !slices.Contains(r.allowed, local):
			return fmt.Sprintf("its row allows %v", r.allowed)
		case rooms[local].floor == r.floor && r.floor != "0":
			return "neighbours on a floor do not import each other"
		}
		return ""
	}
	for outside, homes := range guarded {
		if (imported == outside || strings.HasPrefix(imported, outside+"/")) && !slices.Contains(homes, name) {
			return fmt.Sprintf("%s is the outside world of %v", outside, homes)
		}
	}
	return ""
}
