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

// gate is the workflow of what may be merged. The merge queue and code scanning are GitHub's own.
func gate(seen Seen, permissions []step.Permission) string {
	var b strings.Builder
	queue, scanning := "", ""
	if seen.Forge == GitHubForge {
		queue = "  merge_group: # without it a merge queue waits for ever\n"
		scanning = "  security-events: write # the findings under code scanning\n"
	}
	fmt.Fprintf(&b, "%sname: gate\non:\n  pull_request:\n%spermissions:\n%s%s", made, queue, granted(permissions, "deployments"), scanning)
	fmt.Fprintf(&b, "jobs:\n  gate:\n    runs-on: ubuntu-latest\n    steps:\n      - uses: %s%s\n", seen.host(), checkout)
	b.WriteString("        with:\n          fetch-depth: 0 # the base's configuration, and the commits before this one\n" + seen.scans())
	fmt.Fprintf(&b, "      - id: gate\n        uses: %sknowngood/knowngood/action/gate@%s # better: its commit\n        with:\n          sarif: %s",
		seen.host(), seen.Version, files(seen.Scanners, "            "))
	if queue != "" && seen.Catalog != "" {
		b.WriteString("          baseline: ${{ github.event_name == 'merge_group' && 'ref:HEAD^' || '' }} # what the queue builds on\n")
	}
	if scanning != "" {
		b.WriteString("          out: sarif=knowngood.sarif\n" +
			"      - if: always() && steps.gate.outputs.decision != ''\n        uses: github/codeql-action/upload-sarif@v3 # better: its commit\n" +
			"        continue-on-error: true # not every repository has code scanning\n        with:\n          sarif_file: knowngood.sarif\n")
	}
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
	fmt.Fprintf(&b, "concurrency: release # one release at a time\njobs:\n  release:\n    runs-on: %s\n    steps:\n      - uses: %s%s\n%s",
		runner, seen.host(), checkout, seen.scans())
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

// scans are the steps that write the scanners' files.
func (s Seen) scans() string {
	var b strings.Builder
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
	if seen.Catalog != "" {
		fmt.Fprintf(&b, "  catalog: %s # where the records lie; each job needs its credentials\n", text(seen.Catalog))
	} else {
		b.WriteString("  # catalog: s3://bucket/prefix # without one a record lasts as long as its job, and nothing is compared with it\n")
	}
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
