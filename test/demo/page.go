// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/test/journey"
)

// A page is what the demonstration prints.
type page struct{ out io.Writer }

func (p page) line(format string, args ...any) { fmt.Fprintf(p.out, format+"\n", args...) }

func (p page) title(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	p.line("\n%s\n%s\n", text, strings.Repeat("=", min(len(text), 78)))
}

// timeline prints each step of a release: when it began, how long it took, what of that was
// the program's own work, and what it was about.
func (p page) timeline(result journey.Result) {
	if len(result.Record.Entries) == 0 {
		p.line("  no record")
		return
	}
	start := result.Record.Entries[0].Began
	p.line("  %-15s %8s %8s %9s  %s", "step", "after", "took", "own CPU", "")
	var own float64
	var peak int64
	for _, e := range result.Record.Entries {
		own, peak = own+e.CPUSeconds, max(peak, e.PeakBytes)
		p.line("  %-15s %6.1f s %6.1f s %7.2f s  %s", e.Step, e.Began.Sub(start).Seconds(),
			e.Ended.Sub(e.Began).Seconds(), e.CPUSeconds, about(e))
	}
	p.line("  %-15s %8s %6.1f s %7.2f s  memory at most %d MB", "in all", "",
		result.Took.Seconds(), own, peak>>20)
}

// about says in a few words what a step did or waited for.
func about(e release.Entry) string {
	switch {
	case e.Decision != nil:
		return fmt.Sprintf("%s, risk %s, %s", e.Decision.Outcome, e.Decision.Risk, several(len(e.Decision.Judgements), "finding"))
	case e.Protection != nil:
		return fmt.Sprintf("%s ready, held %.2f s", several(len(e.Protection.Snapshots), "snapshot"), e.Protection.FrozenSeconds)
	case e.TLS != nil && e.Step == "rotate-prepare":
		return several(renewed(e.TLS), "certificate") + " renewed"
	case e.TLS != nil:
		return proofs(e.TLS)
	case e.Deploy != nil && e.State != release.Started:
		return fmt.Sprintf("the deploy command, exit status %d", e.Deploy.ExitStatus)
	case e.Report != nil:
		return "comment and " + strings.Join(e.Report.Statuses, ", ")
	default:
		return string(e.State)
	}
}

// several counts things.
func several(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

func renewed(tls *release.TLS) int {
	count := 0
	for _, rotation := range tls.Rotations {
		if rotation.Renewed {
			count++
		}
	}
	return count
}

func proofs(tls *release.TLS) string {
	proved, all, changed := 0, 0, []string{}
	for _, rotation := range tls.Rotations {
		for _, proof := range rotation.Proofs {
			all++
			if proof.Proved {
				proved++
			}
		}
		for _, workload := range rotation.Workloads {
			if workload.Action != "none" {
				changed = append(changed, workload.Action+" of "+workload.Name)
			}
		}
	}
	text := fmt.Sprintf("%d of %d endpoints proved", proved, all)
	if len(changed) > 0 {
		text += ", " + strings.Join(changed, ", ")
	}
	return text
}

// comment prints a comment as it was posted.
func (p page) comment(number int, body string) {
	p.line("\nThe comment on pull request #%d, as posted:\n", number)
	for line := range strings.SplitSeq(strings.TrimRight(body, "\n"), "\n") {
		p.line("  | %s", line)
	}
}

// look tells how to look around.
func (p page) look(j *journey.Journey) {
	p.line("Look around:")
	p.line("  records     %s", relative(j.Root, j.Catalog()))
	p.line("  the shop    %s --kubeconfig %s -n %s get pods,volumesnapshots,certificates", j.Kubectl, j.Kubeconfig, j.Namespace)
	p.line("  its source  git -C %s log --all --oneline", relative(j.Root, j.Work)+"/shop")
	p.line("  end it      %s", j.End)
}
