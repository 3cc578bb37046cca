// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/checker"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/interpreter"

	"github.com/knowngood/knowngood/pkg/release"
)

const (
	// maxExpression is the length of the longest condition, in characters.
	maxExpression = 2000
	// maxCost is what one evaluation may cost, in CEL's units: one is a step, or ten
	// characters of a text that is looked through. A condition that could cost more over a
	// finding of usual size is refused when the file is read.
	maxCost = 1_000_000
	// entry is what an evaluation costs before its first step.
	entry = 100
	// maxTotal is what all evaluations of a decision may cost together: some seconds.
	maxTotal = 200_000_000
)

// A condition is an expression of the Common Expression Language about one finding: what the
// other keys of a policy cannot say.
type condition struct {
	text    string
	program cel.Program
}

// vocabulary are the names that a condition knows, each with its type. A score and a rank that
// no tool gave are optional values: comparing one without saying what counts where there is
// none is an error when the file is read.
func vocabulary() []cel.EnvOption {
	options := []cel.EnvOption{
		cel.OptionalTypes(),
		cel.CrossTypeNumericComparisons(true),
		cel.ParserExpressionSizeLimit(maxExpression),
		cel.Variable("cwe", cel.ListType(cel.IntType)),
		cel.Variable("line", cel.IntType),
		cel.Variable("secret", cel.BoolType),
		cel.Variable("score", cel.OptionalType(cel.DoubleType)),
		cel.Variable("rank", cel.OptionalType(cel.DoubleType)),
	}
	for _, name := range []string{"tool", "category", "rule", "path", "message", "severity", "level", "kind", "baseline", "fingerprint"} {
		options = append(options, cel.Variable(name, cel.StringType))
	}
	return options
}

// condition compiles and checks an expression. One that is wrong comes back without a program,
// and never gets into a policy.
func (r *reader) condition(n ast.Node) *condition {
	c := &condition{text: r.text(n, "when")}
	if c.text == "" {
		return c
	}
	for _, wrong := range r.compile(c) {
		r.errorf(n, "when: %s", wrong)
	}
	return c
}

// compile returns what is wrong with the condition.
func (r *reader) compile(c *condition) (wrong []string) {
	if r.language == nil {
		var err error
		if r.language, err = cel.NewEnv(vocabulary()...); err != nil {
			return []string{err.Error()}
		}
	}
	checked, issues := r.language.Compile(c.text)
	for _, issue := range issues.Errors() {
		wrong = append(wrong, fmt.Sprintf("at character %d: %s", issue.Location.Column()+1, plainly(issue.Message)))
	}
	if len(wrong) > 0 {
		return wrong
	}
	if checked.OutputType() != cel.BoolType {
		return []string{fmt.Sprintf("want true or false, and this yields %s", checked.OutputType())}
	}
	if cost, err := r.language.EstimateCost(checked, sizes{}); err != nil || cost.Max > maxCost {
		return []string{fmt.Sprintf("it may take too long: its cost is up to %d, and %d is allowed", cost.Max, maxCost)}
	}
	var err error
	if c.program, err = r.language.Program(checked, cel.CostLimit(maxCost), cel.EvalOptions(cel.OptOptimize)); err != nil {
		return []string{oneLine(err.Error())}
	}
	return nil
}

// plainly adds to the compiler's message what a person may not know.
func plainly(message string) string {
	message = oneLine(message)
	if strings.Contains(message, "optional_type(double)") {
		message += "; a score or a rank may be missing: say what counts then, as in score.orValue(10.0) >= 7.0"
	}
	return message
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// sizes are what a finding of usual size holds, for the estimate of what a condition may cost.
type sizes struct{}

// EstimateSize implements checker.CostEstimator.
func (sizes) EstimateSize(element checker.AstNode) *checker.SizeEstimate {
	switch path := element.Path(); {
	case len(path) != 1:
		return nil
	case path[0] == "cwe":
		return &checker.SizeEstimate{Max: 50}
	case path[0] == "message":
		return &checker.SizeEstimate{Max: 20_000}
	default:
		return &checker.SizeEstimate{Max: 1000}
	}
}

// EstimateCallCost implements checker.CostEstimator.
func (sizes) EstimateCallCost(string, string, *checker.AstNode, []checker.AstNode) *checker.CallEstimate {
	return nil
}

// A purse bounds what the conditions of one decision cost together.
type purse struct{ spent uint64 }

// holds evaluates the condition. An error means that it is not known whether it holds.
func (c *condition) holds(s *sighting, p *purse) (bool, error) {
	if p.spent > maxTotal {
		return false, fmt.Errorf("the conditions of this policy take too long over these findings")
	}
	value, details, err := c.program.Eval(s)
	p.spent += entry
	if details != nil && details.ActualCost() != nil {
		p.spent += *details.ActualCost()
	}
	if err != nil {
		return false, fmt.Errorf("when %s: %s", clip(c.text), oneLine(err.Error()))
	}
	held, ok := value.Value().(bool)
	if !ok {
		return false, fmt.Errorf("when %s: it yields %v", clip(c.text), value.Type())
	}
	return held, nil
}

// A sighting is a finding with what the scan and the policy add to it.
type sighting struct {
	*release.Finding
	category string
	worth    release.Severity // severity by the policy
}

// ResolveName implements interpreter.Activation.
func (s *sighting) ResolveName(name string) (any, bool) {
	switch name {
	case "cwe":
		numbers := make([]int64, len(s.CWE))
		for i, n := range s.CWE {
			numbers[i] = int64(n)
		}
		return numbers, true
	case "line":
		return int64(s.Location.Line), true
	case "secret":
		return s.Secret, true
	case "score":
		if !scored(s.Finding) {
			return types.OptionalNone, true
		}
		return optional(s.Score), true
	case "rank":
		return optional(s.Rank), true
	}
	return s.text(name)
}

func (s *sighting) text(name string) (any, bool) {
	switch name {
	case "tool":
		return s.Tool, true
	case "category":
		return s.category, true
	case "rule":
		return s.Rule, true
	case "path":
		return s.Location.Path, true
	case "message":
		return s.Message, true
	case "severity":
		return string(s.worth), true
	case "level":
		return string(s.Level), true
	case "kind":
		return string(s.Kind), true
	case "baseline":
		return string(stateOf(s.Finding)), true
	case "fingerprint":
		return s.Fingerprint, true
	}
	return nil, false
}

// Parent implements interpreter.Activation.
func (*sighting) Parent() interpreter.Activation { return nil }

func optional(number *float64) *types.Optional {
	if number == nil {
		return types.OptionalNone
	}
	return types.OptionalOf(types.Double(*number))
}
