// SPDX-License-Identifier: Apache-2.0

// Package mutate asks whether a package's tests would notice a condition that is wrong. It
// wraps each condition of the package's source in a call that can turn it around, builds the
// tests once, and runs them once for each condition with that one turned. A run that passes is
// a survivor: no test knows the condition.
//
// Turned are the conditions of if, for and switch, the operands of && and ||, comparisons
// wherever they stand, && into || and back, and the bounds of < and > with and without =.
package mutate

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
)

// A Mutant is one condition and how it is turned.
type Mutant struct {
	File string
	Line int
	// How is "not", "bound" or "and-or"; Text is the condition's source on one line.
	How, Text string
}

// String names the mutant without its line, so that a list of them outlives edits.
func (m Mutant) String() string { return m.File + ": " + m.How + ": " + m.Text }

// Support is the source that instrumented files call; it stands in their package.
func Support(pkg string) string {
	return "package " + pkg + `

import (
	"cmp"
	"os"
	"strconv"
)

var mutantTurned = func() int {
	n, err := strconv.Atoi(os.Getenv("MUTANT"))
	if err != nil {
		return -1
	}
	return n
}()

func mutantNot[T ~bool](n int, x T) T {
	if n == mutantTurned {
		return !x
	}
	return x
}

func mutantAnd(n int, a bool, b func() bool) bool {
	if n == mutantTurned {
		return a || b()
	}
	return a && b()
}

func mutantOr(n int, a bool, b func() bool) bool {
	if n == mutantTurned {
		return a && b()
	}
	return a || b()
}

func mutantLess[T cmp.Ordered](n int, equal bool, a, b T) bool {
	if n == mutantTurned {
		equal = !equal
	}
	return a < b || equal && a == b
}

func mutantMore[T cmp.Ordered](n int, equal bool, a, b T) bool {
	return mutantLess(n, equal, b, a)
}
`
}

// An edit replaces the text between two offsets. Of edits at one offset the one of the higher
// rank comes first.
type edit struct {
	from, to int
	rank     int
	text     string
}

// A turner instruments one file.
type turner struct {
	name    string
	source  string
	files   *token.FileSet
	mutants *[]Mutant
	edits   []edit
	done    map[ast.Expr]bool
}

// Instrument returns the source with a call around each condition. Numbers go on from the
// mutants that there are.
func Instrument(name, source string, mutants *[]Mutant) (string, error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, source, parser.SkipObjectResolution)
	if err != nil {
		return "", err
	}
	t := &turner{name: name, source: source, files: files, mutants: mutants, done: map[ast.Expr]bool{}}
	ast.Inspect(file, t.visit)
	return t.apply(), nil
}

func (t *turner) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.GenDecl:
		return n.Tok != token.CONST
	case *ast.IfStmt:
		t.not(n.Cond)
	case *ast.ForStmt:
		t.not(n.Cond)
	case *ast.SwitchStmt:
		t.cases(n)
	case *ast.BinaryExpr:
		t.binary(n)
	}
	return true
}

// cases turns the cases of a switch without a value: each is a condition.
func (t *turner) cases(n *ast.SwitchStmt) {
	if n.Tag != nil {
		return
	}
	for _, clause := range n.Body.List {
		for _, condition := range clause.(*ast.CaseClause).List { //nolint:forcetypeassert // the grammar has no other
			t.not(condition)
		}
	}
}

func (t *turner) binary(n *ast.BinaryExpr) {
	switch n.Op {
	case token.LAND, token.LOR:
		t.not(n.X)
		t.not(n.Y)
		call := map[token.Token]string{token.LAND: "mutantAnd", token.LOR: "mutantOr"}[n.Op]
		t.wrap(n, 1, fmt.Sprintf("%s(%d, ", call, t.add(n, "and-or")), ") })")
		t.operator(n, ", func() bool { return (")
	case token.EQL, token.NEQ:
		t.not(n)
	case token.LSS, token.LEQ, token.GTR, token.GEQ:
		t.not(n)
		call := map[bool]string{true: "mutantLess", false: "mutantMore"}[n.Op == token.LSS || n.Op == token.LEQ]
		t.wrap(n, 1, fmt.Sprintf("%s(%d, %t, ", call, t.add(n, "bound"), n.Op == token.LEQ || n.Op == token.GEQ), ")")
		t.operator(n, ", ")
	}
}

func (t *turner) not(x ast.Expr) {
	if x == nil || t.done[x] {
		return
	}
	t.done[x] = true
	t.wrap(x, 2, fmt.Sprintf("mutantNot(%d, ", t.add(x, "not")), ")")
}

func (t *turner) add(x ast.Expr, how string) int {
	from, to := t.offset(x.Pos()), t.offset(x.End())
	*t.mutants = append(*t.mutants, Mutant{
		File: t.name, Line: t.files.Position(x.Pos()).Line, How: how, Text: strings.Join(strings.Fields(t.source[from:to]), " "),
	})
	return len(*t.mutants) - 1
}

// wrap puts text around an expression. Of two that begin or end together the longer, and of
// those that are the same the one of the higher rank, stands outside.
func (t *turner) wrap(x ast.Expr, rank int, before, after string) {
	from, to := t.offset(x.Pos()), t.offset(x.End())
	outer := 4*(to-from) + rank
	t.edits = append(t.edits, edit{from, from, outer, before}, edit{to, to, -outer, after})
}

func (t *turner) operator(n *ast.BinaryExpr, text string) {
	at := t.offset(n.OpPos)
	t.edits = append(t.edits, edit{at, at + len(n.Op.String()), 0, text})
}

func (t *turner) offset(p token.Pos) int { return t.files.Position(p).Offset }

func (t *turner) apply() string {
	// What ends at an offset comes before what begins there; ends, whose rank is negative,
	// come shortest first.
	slices.SortStableFunc(t.edits, func(a, b edit) int {
		ends := func(e edit) int {
			if e.rank < 0 {
				return 0
			}
			return 1
		}
		return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(ends(a), ends(b)), cmp.Compare(b.rank, a.rank))
	})
	var b strings.Builder
	last := 0
	for _, e := range t.edits {
		b.WriteString(t.source[last:e.from])
		b.WriteString(e.text)
		last = e.to
	}
	return b.String() + t.source[last:]
}
