// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/knowngood/knowngood/pkg/release"
)

// Probe returns what a bucket was seen to do as text for a terminal.
func Probe(probe release.Probe) string {
	p := &page{}
	p.blank()
	p.field("  bucket", fmt.Sprintf("can be written, read and listed; refuses to overwrite what is written once: %s; deletes: %s; its clock is ahead by %s",
		yes(probe.Creates), yes(probe.Deletes), seconds(probe.Ahead)))
	p.field("  its rules", fmt.Sprintf("locks: %s; older versions: %s; deletes objects: %s", Clean(probe.Locks), Clean(probe.Versions), Clean(probe.Expiry)))
	p.concerns(probe)
	return p.String()
}

func yes(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}

// mostConcerns is how many concerns about a bucket are told beside other things.
const mostConcerns = 5

func (p *page) concerns(probe release.Probe) {
	for i, concern := range probe.Concerns {
		if i == mostConcerns {
			return
		}
		p.field("! the bucket", cut(Clean(oneLine(concern)), errorLength))
	}
}

func bucketWarnings(probe release.Probe) string {
	var b strings.Builder
	for i, concern := range probe.Concerns {
		if i == mostConcerns {
			break
		}
		b.WriteString(caution.sign() + " the bucket: " + prose(concern, messageLength) + "\n\n")
	}
	return b.String()
}

// consoles are the hosts of the providers' own consoles; a record may name any other.
func consoles() []string {
	return []string{"console.aws.amazon.com", "console.amazonaws.cn", "console.amazonaws-us-gov.com", "console.cloud.google.com", "portal.azure.com"}
}

// consolePage returns the address of a page of a provider's console as it may be linked, "" for
// anything else.
func consolePage(address string) string {
	at, err := url.Parse(address)
	if err != nil || at.Scheme != "https" || at.User != nil || !slices.Contains(consoles(), at.Host) ||
		strings.ContainsAny(address, "{}()<>[]\"'`\\ |*") || Clean(address) != address || len(address) > pathLength*4 {
		return ""
	}
	return address
}
