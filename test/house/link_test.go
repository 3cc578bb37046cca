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

// zones is linked where time zones come with the program.
const zones = "time/tzdata."

// TestBinaryRunsNoTemplates reads the symbols of the built program. Executing a template calls
// methods by name, after which the linker must keep every exported method of every reachable
// type, and the program doubles. cobra, go-githubactions and, by way of net/rpc, Google's
// client import the packages; what they do not run, the linker drops. Tekton's types belong to
// the generator alone. The time zones have to be there: the image has none.
func TestBinaryRunsNoTemplates(t *testing.T) {
	t.Parallel()
	binary := filepath.Join(t.TempDir(), "knowngood")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-tags=grpcnotrace,disable_grpc_modules,nopshufb", "-o", binary, "./cmd/knowngood")
	build.Dir, build.Env = "../..", append(os.Environ(), "CGO_ENABLED=0") // as make build does
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, output)
	}
	symbols, err := exec.CommandContext(t.Context(), "go", "tool", "nm", binary).Output()
	if err != nil {
		t.Fatalf("go tool nm: %v", err)
	}
	lines, found, zoned := 0, map[string]string{}, false
	scanner := bufio.NewScanner(bytes.NewReader(symbols))
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		lines++
		fields := strings.Fields(scanner.Text())
		name := fields[len(fields)-1]
		zoned = zoned || strings.HasPrefix(name, zones)
		for _, ban := range []string{"text/template.(*state).", "html/template.(*escaper).", "github.com/tektoncd/pipeline/"} {
			if strings.HasPrefix(name, ban) {
				found[ban] = name
			}
		}
	}
	if lines < 10000 {
		t.Fatalf("read %d symbols: the program is stripped or nm's form has changed", lines)
	}
	if !zoned {
		t.Errorf("the program links nothing of %s: --time-zone fails in the image", zones)
	}
	for ban, name := range found {
		t.Errorf("the program links %s (%s); `make lint` shows by which path", ban, name)
	}
}
