// SPDX-License-Identifier: Apache-2.0

package scaffold

import (
	"fmt"
	"strings"

	"github.com/knowngood/knowngood/pkg/step"
)

const checkout = "actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683 # v4.2.2"

func workflow(seen Seen, permissions []step.Permission) string {
	var b strings.Builder
	b.WriteString(made)
	fmt.Fprintf(&b, "name: release\non:\n  push:\n    branches: [%s]\npermissions:\n", text(seen.Branch))
	scopes := map[string]bool{}
	for _, p := range permissions {
		if !scopes[p.Scope] {
			scopes[p.Scope] = true
			fmt.Fprintf(&b, "  %s: %s # %s\n", p.Scope, p.Access, p.Why)
		}
	}
	runner, host := "[self-hosted, linux] # with a kubeconfig, or in the cluster", ""
	if seen.Forge != GitHubForge { // whose own Actions lie elsewhere
		runner, host = "ubuntu-latest # a label of your runner, which needs a kubeconfig or runs in the cluster", "https://github.com/"
	}
	fmt.Fprintf(&b, "concurrency: release # one release at a time\njobs:\n  release:\n    runs-on: %s\n    steps:\n      - uses: %s%s\n", runner, host, checkout)
	for _, scanner := range seen.Scanners {
		fmt.Fprintf(&b, "      - run: %s # %s has to be on the runner\n", text(scanner.Command), scanner.Name)
	}
	fmt.Fprintf(&b, "      - uses: %sknowngood/knowngood@%s # better: the commit of that tag\n        with:\n          sarif: %s          deploy: %s\n",
		host, seen.Version, files(seen.Scanners, "            "), text(seen.Deploy))
	return b.String()
}

// files names what the scanners write, one a line where there are more.
func files(scanners []Scanner, indent string) string {
	if len(scanners) == 1 {
		return text(scanners[0].File) + "\n"
	}
	lines := "|\n"
	for _, scanner := range scanners {
		lines += indent + scanner.File + "\n"
	}
	return lines
}

func config(seen Seen) File {
	var b strings.Builder
	b.WriteString(made + "# yaml-language-server: $schema=https://raw.githubusercontent.com/knowngood/knowngood/main/pkg/policy/schema.json\n")
	fmt.Fprintf(&b, "inputs: # defaults of every step's inputs\n  app: %s\n  namespace: %s\n", text(seen.App), text(seen.Namespace))
	if len(seen.Skip) > 0 {
		for _, skip := range seen.Skip {
			fmt.Fprintf(&b, "  # no %s: %s\n", skip.Step, comment(skip.Why))
		}
		b.WriteString("  skip: |\n")
		for _, skip := range seen.Skip {
			b.WriteString("    " + skip.Step + "\n")
		}
	}
	b.WriteString("gate:\n  fail:\n    severity: high # from a security-severity of 7.0\n    level: error # where a tool gives no score\n")
	return File{Config, b.String(), "defaults of inputs, and the policy: what closes the gate"}
}
