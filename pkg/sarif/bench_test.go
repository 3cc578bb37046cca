// SPDX-License-Identifier: Apache-2.0

package sarif

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	gosarif "github.com/owenrumney/go-sarif/v2/sarif"

	"github.com/knowngood/knowngood/pkg/release"
)

// The benchmarks compare on a generated log that looks like what CodeQL writes: compact,
// rules in an extension, and code flows that make up most of it. For instance
//
//	go test ./pkg/sarif -run '^$' -bench . -benchtime 5x -megabytes 100
var megabytes = flag.Int("megabytes", 10, "size of the generated log in the benchmarks")

// generate writes a log of about the given size and returns the number of its results.
func generate(w io.Writer, bytes int64) (results int, err error) {
	out := &counter{w: bufio.NewWriterSize(w, 1<<20)}
	random := rand.New(rand.NewPCG(1, 2))
	fmt.Fprint(out, `{"$schema":"https://json.schemastore.org/sarif-2.1.0.json","version":"2.1.0","runs":[{"tool":{"driver":{"name":"CodeQL","semanticVersion":"2.20.1"},"extensions":[{"name":"codeql/go-queries","rules":[`)
	for i := range 300 {
		fmt.Fprintf(out, `%s{"id":"go/rule-%d","name":"go/rule-%d","shortDescription":{"text":"Rule number %d"},"fullDescription":{"text":"What rule %d is about, at some length, so that it is read past."},"defaultConfiguration":{"enabled":true,"level":"%s"},"help":{"text":"# Help\nA page of help for rule %d. %0512d"},"properties":{"tags":["security","external/cwe/cwe-%03d"],"precision":"high","security-severity":"%.1f"}}`,
			comma(i), i, i, i, i, []string{"error", "warning", "note"}[i%3], i, 0, i, random.Float64()*10)
	}
	fmt.Fprint(out, `]}]},"invocations":[{"executionSuccessful":true}],"results":[`)
	for ; out.n < bytes; results++ {
		writeResult(out, random, results)
	}
	fmt.Fprint(out, `],"columnKind":"utf16CodeUnits"}]}`)
	return results, errors.Join(out.err, out.w.Flush())
}

func writeResult(out *counter, random *rand.Rand, i int) {
	rule := random.IntN(300)
	fmt.Fprintf(out, `%s{"ruleId":"go/rule-%d","ruleIndex":%d,"rule":{"id":"go/rule-%d","index":%d,"toolComponent":{"index":0}},"message":{"text":"This query depends on a [user-provided value](1)."},"locations":[%s],"partialFingerprints":{"primaryLocationLineHash":"%016x:1","primaryLocationStartColumnFingerprint":"%d"},"codeFlows":[`,
		comma(i), rule, rule, rule, rule, location(random, i), random.Uint64(), random.IntN(40))
	for flow := range 1 + random.IntN(4) {
		fmt.Fprintf(out, `%s{"threadFlows":[{"locations":[`, comma(flow))
		for step := range 2 + random.IntN(12) {
			fmt.Fprintf(out, `%s{"location":%s}`, comma(step), location(random, step))
		}
		fmt.Fprint(out, `]}]}`)
	}
	fmt.Fprintf(out, `],"relatedLocations":[%s]}`, location(random, 0))
}

func location(random *rand.Rand, id int) string {
	line := 1 + random.IntN(3000)
	return fmt.Sprintf(`{"id":%d,"physicalLocation":{"artifactLocation":{"uri":"internal/service%d/handler_%d.go","uriBaseId":"%%SRCROOT%%","index":%d},"region":{"startLine":%d,"startColumn":%d,"endColumn":%d},"contextRegion":{"startLine":%d,"endLine":%d,"snippet":{"text":"\tvalue := request.FormValue(\"name\")\n\trows, err := db.Query(\"SELECT * FROM users WHERE name = '\" + value + \"'\")\n\tif err != nil {\n"}}},"message":{"text":"call to FormValue : string"}}`,
		id, random.IntN(40), random.IntN(200), random.IntN(8000), line, 1+random.IntN(80), 81+random.IntN(40), line-1, line+1)
}

func comma(i int) string {
	if i == 0 {
		return ""
	}
	return ","
}

type counter struct {
	w   *bufio.Writer
	n   int64
	err error
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	c.err = errors.Join(c.err, err)
	return n, err
}

// generated returns the path of a log of the size asked for, made once for all benchmarks.
func generated(b *testing.B) (file string, results int) {
	b.Helper()
	dir, err := os.UserCacheDir()
	if err != nil {
		b.Fatal(err)
	}
	dir = filepath.Join(dir, "knowngood", "bench")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.Fatal(err)
	}
	file = filepath.Join(dir, "generated-"+strconv.Itoa(*megabytes)+".sarif")
	if text, err := os.ReadFile(file + ".count"); err == nil {
		results, err = strconv.Atoi(string(text))
		if err == nil {
			return file, results
		}
	}
	out, err := os.Create(file)
	if err != nil {
		b.Fatal(err)
	}
	defer out.Close()
	if results, err = generate(out, int64(*megabytes)<<20); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(file+".count", []byte(strconv.Itoa(results)), 0o644); err != nil {
		b.Fatal(err)
	}
	return file, results
}

// measure runs a reader on the generated log; the reader returns how many results it saw.
func measure(b *testing.B, read func(file *os.File) (int, error)) {
	b.Helper()
	path, want := generated(b)
	b.SetBytes(int64(*megabytes) << 20)
	b.ReportAllocs()
	began := cpu(b)
	for b.Loop() {
		file, err := os.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		got, err := read(file)
		file.Close()
		if err != nil || got != want {
			b.Fatalf("%d results, want %d: %v", got, want, err)
		}
	}
	b.ReportMetric((cpu(b)-began)*1000/float64(b.N), "cpu-ms/op")
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	b.ReportMetric(float64(memory.HeapSys)/(1<<20), "MB-heap")
}

// cpu returns the seconds of CPU that the process has used: on a busy machine the time on the
// clock says little.
func cpu(b *testing.B) float64 {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano()).Seconds()
}

func BenchmarkRead(b *testing.B) {
	measure(b, func(file *os.File) (int, error) {
		scans, err := Read(file, "generated", Options{Limits: Limits{Findings: 10_000_000}})
		if err != nil {
			return 0, err
		}
		return count(scans), nil
	})
}

func count(scans []release.Scan) (n int) {
	for i := range scans {
		n += len(scans[i].Findings)
	}
	return n
}

// walk goes down to the results with the strict decoder, and hands each of them on.
func walk(b *testing.B, result func(w *walker) error) {
	b.Helper()
	limits := Limits{}.withDefaults()
	measure(b, func(file *os.File) (int, error) {
		w := newWalker(&text{from: bufio.NewReaderSize(file, readBuffer), limits: limits, most: limits.Value}, limits)
		results := 0
		err := w.object(strict, only("runs", w, func() error {
			return w.array(strict, func(int) error {
				return w.object(strict, only("results", w, func() error {
					return w.array(strict, func(int) error { results++; return result(w) })
				}))
			})
		}))
		return results, err
	})
}

// only passes over all members but one.
func only(name string, w *walker, value func() error) func([]byte) error {
	return func(found []byte) error {
		if string(found) == name {
			return value()
		}
		return w.skip()
	}
}

// BenchmarkFloor passes over each result as one value: nobody who checks every byte of a file
// with this decoder can be faster.
func BenchmarkFloor(b *testing.B) {
	walk(b, (*walker).skip)
}

// BenchmarkWalk is a bare walk: rule, level, message and place of each result, as they stand.
func BenchmarkWalk(b *testing.B) {
	type bare struct {
		rule, level, message, uri string
		line                      int
	}
	var kept []bare
	walk(b, func(w *walker) error {
		if len(kept) == cap(kept) {
			kept = make([]bare, 0, 1024)
		}
		kept = append(kept, bare{})
		p := &kept[len(kept)-1]
		place := func() error {
			return w.object(lenient, func(name []byte) error {
				switch string(name) {
				case "artifactLocation":
					return w.object(lenient, only("uri", w, func() error { return w.keepWord(&p.uri) }))
				case "region":
					return w.object(lenient, only("startLine", w, func() error { return w.keepNumber(&p.line) }))
				}
				return w.skip()
			})
		}
		return w.object(strict, func(name []byte) error {
			switch string(name) {
			case "ruleId":
				return w.keepWord(&p.rule)
			case "level":
				return w.keepWord(&p.level)
			case "message":
				return w.object(lenient, only("text", w, func() error { return w.keepWord(&p.message) }))
			case "locations":
				return w.array(lenient, func(int) error { return w.object(lenient, only("physicalLocation", w, place)) })
			}
			return w.skip()
		})
	})
}

// BenchmarkTokens reads the file token by token and keeps nothing.
func BenchmarkTokens(b *testing.B) {
	measure(b, func(file *os.File) (int, error) {
		decoder := jsontext.NewDecoder(file)
		for {
			if _, err := decoder.ReadToken(); errors.Is(err, io.EOF) {
				_, want := generated(b)
				return want, nil
			} else if err != nil {
				return 0, err
			}
		}
	})
}

func BenchmarkGoSarif(b *testing.B) {
	measure(b, func(file *os.File) (int, error) {
		report, err := gosarif.Open(file.Name())
		if err != nil {
			return 0, err
		}
		return len(report.Runs[0].Results), nil
	})
}

func BenchmarkEncodingJSON(b *testing.B) {
	type minimal struct {
		Runs []struct {
			Results []struct {
				RuleID    string `json:"ruleId"`
				Level     string
				Message   struct{ Text string }
				Locations []struct {
					PhysicalLocation struct {
						ArtifactLocation struct{ URI string }
						Region           struct{ StartLine int }
					}
				}
			}
		}
	}
	measure(b, func(file *os.File) (int, error) {
		var log minimal
		if err := json.NewDecoder(file).Decode(&log); err != nil {
			return 0, err
		}
		return len(log.Runs[0].Results), nil
	})
}
