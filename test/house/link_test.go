// SPDX-License-Identifier: Apache-2.0

package house

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestBinaryRunsNoTemplates reads the symbols of the built program. Executing a template calls
// methods by name, after which the linker must keep every exported method of every reachable
// type, and the program doubles. cobra, go-githubactions and, by way of net/rpc, Google's
// client import the packages; what they do not run, the linker drops. Tekton's types belong to
// the generator alone.
func TestBinaryRunsNoTemplates(t *testing.T) {
	t.Parallel()
	binary := filepath.Join(t.TempDir(), "knowngood")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-tags=grpcnotrace,disable_grpc_modules", "-o", binary, "./cmd/knowngood")
	build.Dir, build.Env = "../..", append(os.Environ(), "CGO_ENABLED=0") // as make build does
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, output)
	}
	symbols, err := exec.CommandContext(t.Context(), "go", "tool", "nm", binary).Output()
	if err != nil {
		t.Fatalf("go tool nm: %v", err)
	}
	lines, found := 0, map[string]string{}
	scanner := bufio.NewScanner(bytes.NewReader(symbols))
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		lines++
		fields := strings.Fields(scanner.Text())
		name := fields[len(fields)-1]
		for _, ban := range []string{"text/template.(*state).", "html/template.(*escaper).", "github.com/tektoncd/pipeline/"} {
			if strings.HasPrefix(name, ban) {
				found[ban] = name
			}
		}
	}
	if lines < 10000 {
		t.Fatalf("read %d symbols: the program is stripped or nm's form has changed", lines)
	}
	for ban, name := range found {
		t.Errorf("the program links %s (%s); `make lint` shows by which path", ban, name)
	}
}
