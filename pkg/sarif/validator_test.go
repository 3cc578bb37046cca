// SPDX-License-Identifier: Apache-2.0

package sarif_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/knowngood/knowngood/pkg/sarif"
)

// validatorSwitch names the program Sarif.Multitool, of the npm package
// @microsoft/sarif-multitool-linux, which knows GitHub's rules for uploads.
const validatorSwitch = "KNOWNGOOD_TEST_SARIF_VALIDATOR"

// TestMicrosoftsValidatorFindsNoError asks software that we did not write.
func TestMicrosoftsValidatorFindsNoError(t *testing.T) {
	t.Parallel()
	program := os.Getenv(validatorSwitch)
	if program == "" {
		t.Skip(validatorSwitch + " names no validator")
	}
	folder := t.TempDir()
	for name, form := range map[string]sarif.Form{"upload.sarif": sarif.Upload, "comparison.sarif": sarif.Comparison} {
		var text bytes.Buffer
		if err := sarif.Write(&text, decided(), form); err != nil {
			t.Fatal(err)
		}
		if output := validate(t, program, folder, name, text.Bytes()); strings.Contains(output, ": error ") {
			t.Errorf("%s:\n%s", name, output)
		}
	}
	bare := []byte(`{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "x"}}, "results": [{"message": {"text": "x"}}]}]}`)
	if output := validate(t, program, folder, "bare.sarif", bare); !strings.Contains(output, ": error GH") {
		t.Errorf("the validator takes a result without a place:\n%s", output)
	}
}

func validate(t *testing.T, program, folder, name string, text []byte) string {
	t.Helper()
	file := filepath.Join(folder, name)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), program, "validate", "--rule-kind", "Sarif;Ghas",
		"--json-schema", filepath.Join(filepath.Dir(program), "sarif-2.1.0.json"), "--log", "ForceOverwrite", "--output", file+".log", file)
	command.Env = append(os.Environ(), "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1")
	output, _ := command.CombinedOutput() // it ends with 1 when it finds anything
	if !strings.Contains(string(output), "Analysis completed") {
		t.Fatalf("the validator did not come to its end:\n%s", output)
	}
	return string(output)
}
