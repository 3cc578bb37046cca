// SPDX-License-Identifier: Apache-2.0

package sarif

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// generate writes a log of about the given size and returns the number of its results. It
// looks like what CodeQL writes: compact, rules in an extension with their help, artifacts, and
// code flows that make up most of it. Asked for snippets it writes one in every step of them.
func generate(w io.Writer, bytes int64, snippets bool) (results int, err error) {
	out := &counter{w: bufio.NewWriterSize(w, 1<<20), snippets: snippets}
	random := rand.New(rand.NewPCG(1, 2))
	// As many files as such a log may be about.
	out.files = int(min(200, max(10, bytes*200/(100<<20))))
	fmt.Fprint(out, `{"$schema":"https://json.schemastore.org/sarif-2.1.0.json","version":"2.1.0","runs":[{"tool":{"driver":{"name":"CodeQL","semanticVersion":"2.20.1"},"extensions":[{"name":"codeql/go-queries","rules":[`)
	for i := range 300 {
		fmt.Fprintf(out, `%s{"id":"go/rule-%d","name":"go/rule-%d","shortDescription":{"text":"Rule number %d"},"fullDescription":{"text":"What rule %d is about, at some length, so that it is read past."},"defaultConfiguration":{"enabled":true,"level":"%s"},"help":{"text":"# Help\nA page of help for rule %d. %0512d"},"properties":{"tags":["security","external/cwe/cwe-%03d"],"precision":"high","security-severity":"%.1f"}}`,
			comma(i), i, i, i, i, []string{"error", "warning", "note"}[i%3], i, 0, i, random.Float64()*10)
	}
	fmt.Fprint(out, `]}]},"invocations":[{"executionSuccessful":true}],"results":[`)
	for ; out.n < bytes; results++ {
		writeResult(out, random, results)
	}
	fmt.Fprint(out, `],"artifacts":[`)
	writeArtifacts(out)
	fmt.Fprint(out, `],"columnKind":"utf16CodeUnits"}]}`)
	return results, errors.Join(out.err, out.w.Flush())
}

func writeResult(out *counter, random *rand.Rand, i int) {
	rule := random.IntN(300)
	fmt.Fprintf(out, `%s{"ruleId":"go/rule-%d","ruleIndex":%d,"rule":{"id":"go/rule-%d","index":%d,"toolComponent":{"index":0}},"message":{"text":"This query depends on a [user-provided value](1)."},"locations":[{"physicalLocation":%s}],"partialFingerprints":{"primaryLocationLineHash":"%016x:1","primaryLocationStartColumnFingerprint":"%d"},"codeFlows":[`,
		comma(i), rule, rule, rule, rule, physical(random, out, i%4 == 0), random.Uint64(), random.IntN(40))
	for flow := range 1 + random.IntN(4) {
		fmt.Fprintf(out, `%s{"threadFlows":[{"locations":[`, comma(flow))
		for step := range 2 + random.IntN(22) {
			fmt.Fprintf(out, `%s{"location":{"physicalLocation":%s,"message":{"text":"%s"}}}`, comma(step), physical(random, out, out.snippets), steps[random.IntN(len(steps))])
		}
		fmt.Fprint(out, `]}]}`)
	}
	fmt.Fprintf(out, `],"relatedLocations":[{"id":1,"physicalLocation":%s,"message":{"text":"user-provided value"}}]}`, physical(random, out, out.snippets))
}

var steps = []string{
	"call to FormValue : string", "name : string", "query : string", "[post-update] builder [Buffer] : string", "definition of value : *Request", "... + ...",
}

// folders is in how many folders the files lie.
const folders = 40

// physical is a physical location. Without snippets only a result's own ones have context, and
// not all of them.
func physical(random *rand.Rand, out *counter, context bool) string {
	files := out.files
	folder, file, line := random.IntN(folders), random.IntN(files), 1+random.IntN(3000)
	around := ""
	if context {
		around = fmt.Sprintf(`,"contextRegion":{"startLine":%d,"endLine":%d,"snippet":{"text":"\tvalue := request.FormValue(\"name\")\n\trows, err := db.Query(\"SELECT * FROM users WHERE name = '\" + value + \"'\")\n\tif err != nil {\n"}}`, line-1, line+1)
	}
	return fmt.Sprintf(`{"artifactLocation":{"uri":"internal/service%d/handler_%d.go","uriBaseId":"%%SRCROOT%%","index":%d},"region":{"startLine":%d,"startColumn":%d,"endColumn":%d}%s}`,
		folder, file, folder*files+file, line, 1+random.IntN(80), 81+random.IntN(40), around)
}

func writeArtifacts(out *counter) {
	for i := range folders * out.files {
		fmt.Fprintf(out, `%s{"location":{"uri":"internal/service%d/handler_%d.go","uriBaseId":"%%SRCROOT%%","index":%d}}`, comma(i), i/out.files, i%out.files, i)
	}
}

func comma(i int) string {
	if i == 0 {
		return ""
	}
	return ","
}

type counter struct {
	w        *bufio.Writer
	n        int64
	err      error
	files    int
	snippets bool
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	c.err = errors.Join(c.err, err)
	return n, err
}

// generated returns the path of a log of the size asked for, made once for all measurements.
func generated(t testing.TB, megabytes int, snippets bool) (file string, results int) {
	t.Helper()
	dir, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(dir, "knowngood", "bench")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	kind := "codeql-like-"
	if snippets {
		kind = "codeql-snippets-"
	}
	file = filepath.Join(dir, kind+strconv.Itoa(megabytes)+".sarif")
	if text, err := os.ReadFile(file + ".count"); err == nil {
		results, err = strconv.Atoi(string(text))
		if err == nil {
			return file, results
		}
	}
	out, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if results, err = generate(out, int64(megabytes)<<20, snippets); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file+".count", []byte(strconv.Itoa(results)), 0o644); err != nil {
		t.Fatal(err)
	}
	return file, results
}
