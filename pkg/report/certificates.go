// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"strings"

	"github.com/knowngood/knowngood/pkg/release"
)

// rotations joins what prepare and prove say of the same certificates.
func (s story) rotations() []release.Rotation {
	var all []release.Rotation
	at := map[string]int{}
	for _, id := range []string{"rotate-prepare", "rotate-prove"} {
		e := s.record.Last(id)
		if e == nil || e.TLS == nil {
			continue
		}
		for _, r := range e.TLS.Rotations {
			key := r.Namespace + "/" + r.Name
			i, known := at[key]
			if !known {
				at[key] = len(all)
				all = append(all, r)
				continue
			}
			all[i] = joined(all[i], r)
		}
	}
	return all
}

// joined is a rotation as prepare left it, with what prove found.
func joined(before, after release.Rotation) release.Rotation {
	r := before
	r.Workloads, r.Proofs = after.Workloads, after.Proofs
	if r.After.Serial == "" {
		r.After = after.After
	}
	if after.Error != "" {
		r.Error = after.Error
	}
	return r
}

func (s story) certificates(most int) []block {
	rotations := s.rotations()
	head := "| certificate | serial | valid until | workloads | proved |\n|:--|:--|:--|:--|:--|\n"
	b := table("#### Certificates\n\n", head, rankCertificates, most, 5)
	failed := section("", rankProblems, most, "endpoint that is not proved")
	failed.more = func(n int) string { return fmt.Sprintf("- and %s more are not proved\n", thousands(n)) }
	for _, r := range rotations {
		b.items = append(b.items, rotationRow(r))
		for _, p := range r.Proofs {
			if !p.Proved {
				failed.items = append(failed.items, fmt.Sprintf("- %s %s does not prove %s: %s\n", bad.sign(),
					code(fmt.Sprintf("%s:%d", p.Pod, p.Port), pathLength), code(r.Name, pathLength), said(p.Error)))
			}
		}
		if r.Error != "" {
			failed.items = append(failed.items, fmt.Sprintf("- %s %s: %s\n", bad.sign(), code(r.Name, pathLength), said(r.Error)))
		}
	}
	return []block{b.orNothing(), failed.orNothing()}
}

func rotationRow(r release.Rotation) string {
	serial := serialOf(r.Before) + " → " + serialOf(r.After)
	if !r.Renewed {
		serial = "not renewed"
		if r.Why != "" {
			serial += ": " + prose(r.Why, messageLength)
		}
	}
	until := r.After.NotAfter
	if until.IsZero() {
		until = r.Before.NotAfter
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s |\n",
		code(r.Name, pathLength), serial, day(until), workloadWords(r.Workloads), proofWords(r.Proofs))
}

func serialOf(c release.Certificate) string {
	if c.Serial == "" {
		return "none"
	}
	return code(c.Serial, 12)
}

func workloadWords(changes []release.WorkloadChange) string {
	var words []string
	for i, w := range changes {
		if i == 5 {
			words = append(words, fmt.Sprintf("and %d more", len(changes)-i))
			break
		}
		word := "left alone"
		switch w.Action {
		case "restart":
			word = "restarted"
		case "reload":
			word = "reloaded"
		}
		words = append(words, code(w.Name, pathLength)+" "+word)
	}
	return strings.Join(words, ", ")
}

func proofWords(proofs []release.Proof) string {
	proved := 0
	for _, p := range proofs {
		if p.Proved {
			proved++
		}
	}
	switch {
	case len(proofs) == 0:
		return "not asked"
	case proved == len(proofs):
		return fmt.Sprintf("%s %d of %d", good.sign(), proved, len(proofs))
	}
	return fmt.Sprintf("%s %d of %d", bad.sign(), proved, len(proofs))
}
