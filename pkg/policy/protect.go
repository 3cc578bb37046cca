// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"

	"github.com/goccy/go-yaml/ast"

	"github.com/knowngood/knowngood/pkg/release"
)

// A protection is how much is kept before a commit of one risk ships, and the line that says so.
type protection struct {
	how release.Protect
	at  string
}

// risks and ways come least first.
func risks() []release.Risk {
	return []release.Risk{release.RiskNone, release.RiskLow, release.RiskMedium, release.RiskHigh, release.RiskCritical}
}

func ways() []release.Protect {
	return []release.Protect{release.ProtectNothing, release.ProtectSnapshot, release.ProtectBackup, release.ProtectVerify}
}

func wayRank(p release.Protect) int { return slices.Index(ways(), p) }

// protect reads how each risk is protected. One that is higher is never protected less.
func (r *reader) protect(n ast.Node, p *Policy) {
	given := map[release.Risk]ast.Node{}
	var fields []field
	for _, risk := range risks() {
		fields = append(fields, field{string(risk), func(n ast.Node) {
			how := release.Protect(r.choice(n, "protect."+string(risk), words(ways())...))
			given[risk], p.protect[risk] = n, protection{how, r.where(n)}
		}})
	}
	r.mapping(n, "protect", fields...)
	most := -1
	for _, risk := range risks() {
		how := wayRank(p.protect[risk].how)
		if how >= 0 && how < most {
			r.errorf(given[risk], "protect.%s: %s is less than the %s of a lower risk", risk, ways()[how], ways()[most])
		}
		most = max(most, how)
	}
}

// protects says how a commit of a risk is protected: as the policy says of that risk or, where
// it is silent, of the highest one below it.
func (p *Policy) protects(risk release.Risk) protection {
	var found protection
	for _, below := range risks()[:riskRank(risk)+1] {
		if said, ok := p.protect[below]; ok {
			found = said
		}
	}
	return found
}
