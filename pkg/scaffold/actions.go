// SPDX-License-Identifier: Apache-2.0

package scaffold

import (
	"fmt"
	"strings"

	"github.com/knowngood/knowngood/pkg/step"
)

const checkout = "actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683 # v4.2.2"

// Whose Actions are not GitHub's names those of GitHub by their address.
func (s Seen) host() string {
	if s.Forge == GitHubForge {
		return ""
	}
	return "https://github.com/"
}

func gate(seen Seen, permissions []step.Permission) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%sname: gate\non:\n  pull_request:\n  merge_group:\npermissions:\n%s", made, granted(permissions, "deployments"))
	fmt.Fprintf(&b, "jobs:\n  gate:\n    runs-on: ubuntu-latest\n    steps:\n%s", seen.scans())
	fmt.Fprintf(&b, "      - id: gate\n        uses: %sknowngood/knowngood/action/gate@%s # better: its commit\n        with:\n          sarif: %s",
		seen.host(), seen.Version, files(seen.Scanners, "            "))
	fmt.Fprintf(&b, "      - if: always()\n        uses: %sknowngood/knowngood/action/report@%s # better: its commit\n        with:\n"+
		"          token: ${{ github.token }}\n          run: ${{ steps.gate.outputs.run }}\n", seen.host(), seen.Version)
	return b.String()
}

func workflow(seen Seen, permissions []step.Permission) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%sname: release\non:\n  push:\n    branches: [%s]\npermissions:\n%s", made, text(seen.Branch), granted(permissions, ""))
	runner := "[self-hosted, linux] # with a kubeconfig, or in the cluster"
	if seen.Forge != GitHubForge {
		runner = "ubuntu-latest # a label of your runner, which needs a kubeconfig or runs in the cluster"
	}
	fmt.Fprintf(&b, "concurrency: release # one release at a time\njobs:\n  release:\n    runs-on: %s\n    steps:\n%s", runner, seen.scans())
	fmt.Fprintf(&b, "      - uses: %sknowngood/knowngood@%s # better: its commit\n        with:\n          sarif: %s          deploy: %s\n",
		seen.host(), seen.Version, files(seen.Scanners, "            "), text(seen.Deploy))
	return b.String()
}

// granted lists each scope once, with what it is for.
func granted(permissions []step.Permission, without string) string {
	var b strings.Builder
	scopes := map[string]bool{without: true}
	for _, p := range permissions {
		if !scopes[p.Scope] {
			scopes[p.Scope] = true
			fmt.Fprintf(&b, "  %s: %s # %s\n", p.Scope, p.Access, p.Why)
		}
	}
	return b.String()
}

// scans are the steps up to the scanners' files.
func (s Seen) scans() string {
	var b strings.Builder
	fmt.Fprintf(&b, "      - uses: %s%s\n", s.host(), checkout)
	for _, scanner := range s.Scanners {
		fmt.Fprintf(&b, "      - run: %s # %s has to be on the runner\n", text(scanner.Command), scanner.Name)
	}
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
