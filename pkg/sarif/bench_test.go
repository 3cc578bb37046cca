// SPDX-License-Identifier: Apache-2.0

package sarif

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	gosarif "github.com/owenrumney/go-sarif/v2/sarif"

	"github.com/knowngood/knowngood/pkg/release"
)

// The benchmarks read a generated log. For instance
//
//	go test ./pkg/sarif -run '^$' -bench . -benchtime 5x -megabytes 100
var (
	megabytes = flag.Int("megabytes", 10, "size of the generated log in the benchmarks")
	snippets  = flag.Bool("snippets", false, "whether each step of its code flows has a snippet")
)

// A contender reads a log in one of several ways and tells how many results it saw.
type contender struct {
	name string
	read func(file *os.File) (int, error)
}

func contenders() []contender {
	return []contender{
		{"read", readAll},
		{"walk", walk},
		{"floor", floor},
		{"encoding-json", decode},
		{"go-sarif", func(file *os.File) (int, error) {
			report, err := gosarif.Open(file.Name())
			if err != nil {
				return 0, err
			}
			return len(report.Runs[0].Results), nil
		}},
	}
}

func BenchmarkReaders(b *testing.B) {
	path, want := generated(b, *megabytes, *snippets)
	for _, c := range contenders() {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(*megabytes) << 20)
			b.ReportAllocs()
			began := cpu(b)
			for b.Loop() {
				file, err := os.Open(path)
				if err != nil {
					b.Fatal(err)
				}
				got, err := c.read(file)
				file.Close()
				if err != nil || got != want {
					b.Fatalf("%d results, want %d: %v", got, want, err)
				}
			}
			b.ReportMetric((cpu(b)-began)*1000/float64(b.N), "cpu-ms/op")
		})
	}
}

// cpu returns the seconds of CPU that the process has used: on a busy machine the time on the
// clock says little.
func cpu(t testing.TB) float64 {
	t.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano()).Seconds()
}

// readAll is Read, the one that counts.
func readAll(file *os.File) (int, error) {
	scans, err := Read(file, "generated", Options{Limits: Limits{Findings: 10_000_000}})
	n := count(scans)
	runtime.KeepAlive(scans)
	return n, err
}

func count(scans []release.Scan) (n int) {
	for i := range scans {
		n += len(scans[i].Findings)
	}
	return n
}

// down goes to the results with the strict decoder, and hands each of them on.
func down(file io.Reader, result func(w *walker) error) (results int, err error) {
	limits := Limits{}.withDefaults()
	w := newWalker(&text{from: bufio.NewReaderSize(file, peekBuffer), limits: limits, most: limits.Value}, limits)
	err = w.object(strict, only("runs", w, func() error {
		return w.array(strict, func(int) error {
			return w.object(strict, only("results", w, func() error {
				return w.array(strict, func(int) error { results++; return result(w) })
			}))
		})
	}))
	return results, err
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

// floor passes over each result as one value: nobody who checks every byte of a file with this
// decoder can be faster.
func floor(file *os.File) (int, error) { return down(file, (*walker).skip) }

// walk is a bare walk: rule, level, message and place of each result, as they stand.
func walk(file *os.File) (int, error) {
	type bare struct {
		rule, level, message, uri string
		line                      int
	}
	var kept []bare
	defer func() { runtime.KeepAlive(kept) }()
	return down(file, func(w *walker) error {
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

// decode is the standard library's decoder, which keeps as little as the bare walk does.
func decode(file *os.File) (int, error) {
	var log struct {
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
	if err := json.NewDecoder(file).Decode(&log); err != nil {
		return 0, err
	}
	if len(log.Runs) != 1 {
		return 0, errors.New("want one run")
	}
	return len(log.Runs[0].Results), nil
}
