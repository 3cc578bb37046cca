// SPDX-License-Identifier: Apache-2.0

package sarif

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/knowngood/knowngood/pkg/release"
)

// log wraps results, given as JSON, into a log of one run.
func log(results ...string) string {
	return `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"t","rules":[{"id":"A"},{"id":"B"}]}},` +
		`"invocations":[{"executionSuccessful":true}],"results":[` + strings.Join(results, ",") + `]}]}`
}

func read(text string, limits Limits) ([]release.Scan, error) {
	return Read(strings.NewReader(text), "x.sarif", Options{Limits: limits})
}

// many is a list's inside of n equal elements.
func many(element string, n int) string {
	return strings.TrimSuffix(strings.Repeat(element+",", n), ",")
}

func TestReadKeepsItsLimits(t *testing.T) {
	t.Parallel()
	result := `{"message":{"text":"m"},"ruleId":"A"}`
	long := `{"message":{"text":"` + strings.Repeat("x", 5000) + `"}}`
	flows := `{"message":{"text":"m"},"codeFlows":[{"threadFlows":[{"locations":[` +
		many(`{"location":{"id":1}}`, 400) + `]}]}]}`
	for _, test := range []struct {
		name, text string
		limits     Limits
		says       string // "" when it has to be read
	}{
		{"findings at the limit", log(result, result), Limits{Findings: 2}, ""},
		{"findings above", log(result, result, result), Limits{Findings: 2}, "3 findings, where 2 are allowed"},
		{"file at the limit", log(result), Limits{File: int64(len(log(result)))}, ""},
		{"file above", log(result), Limits{File: 100}, "more than 100 bytes of text"},
		{"value below", log(long), Limits{Value: 6000}, ""},
		{"value above", log(long), Limits{Value: 5000}, "one value is longer than 5000 bytes"},
		{"passed over value above", `{"x":"` + strings.Repeat("x", 9000) + `","version":"2.1.0","runs":[]}`, Limits{Value: 8000}, "longer than 8000"},
		{"flows are not one value", log(flows), Limits{Value: 5000}, ""},
		{"text kept above", log(long), Limits{Kept: 4000}, "more than 4000 bytes of text to keep (limits: kept)"},
		{"suppressions kept above", log(`{"message":{"text":"m"},"suppressions":[` + many("{}", 100) + `]}`), Limits{Kept: 4000}, "limits: kept"},
		{"runs kept above", `{"version":"2.1.0","runs":[` + many("{}", 100) + `]}`, Limits{Kept: 100_000}, "limits: kept"},
		{"rules kept above", `{"version":"2.1.0","runs":[{"tool":{"driver":{"rules":[` + many("{}", 100) + `]}}}]}`, Limits{Kept: 100_000}, "limits: kept"},
		{"extensions kept above", `{"version":"2.1.0","runs":[{"tool":{"extensions":[` + many("{}", 100) + `]}}]}`, Limits{Kept: 100_000}, "limits: kept"},
		{"inline properties kept above", `{"version":"2.1.0","runs":[],"inlineExternalProperties":[` + many("{}", 100) + `]}`, Limits{Kept: 100_000}, "limits: kept"},
		{"members above", log(result), Limits{Members: 1}, "more than"},
		{"defaults", log(result), Limits{}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			scans, err := read(test.text, test.limits)
			if test.says == "" {
				if err != nil || len(scans) == 0 {
					t.Fatalf("Read: %v", err)
				}
				return
			}
			if !errors.Is(err, ErrLimit) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("Read: %v, want ErrLimit and %q", err, test.says)
			}
			if scans != nil {
				t.Error("Read returned scans beside an error")
			}
		})
	}
}

// A file that ends early is an error wherever it ends: no prefix of a log is a log.
func TestReadRefusesEveryPrefix(t *testing.T) {
	t.Parallel()
	whole := log(`{"message":{"text":"größe"},"level":"error","locations":[{"physicalLocation":{"artifactLocation":{"uri":"a"},"region":{"startLine":12}}}]}`)
	if _, err := read(whole, Limits{}); err != nil {
		t.Fatal(err)
	}
	for n := range len(whole) {
		scans, err := read(whole[:n], Limits{})
		if err == nil || scans != nil {
			t.Fatalf("the first %d bytes were read: %v", n, scans)
		}
		if n > 0 && whole[n-1] < 0x80 && !errors.Is(err, ErrTruncated) {
			t.Fatalf("the first %d bytes: %v, want ErrTruncated", n, err)
		}
	}
}

func TestReadIsTheSameHoweverBytesCome(t *testing.T) {
	t.Parallel()
	for _, file := range []string{
		"flow-01-passed-over", "encoding-02-utf16-little", "encoding-06-gzip", "scan-15-several-runs", "bad-26-syntax-in-what-is-passed-over",
	} {
		data, err := os.ReadFile("testdata/" + file + ".sarif")
		if err != nil {
			t.Fatal(err)
		}
		want, wantErr := Read(bytes.NewReader(data), file, Options{})
		for name, reader := range map[string]io.Reader{
			"one byte":          iotest.OneByteReader(bytes.NewReader(data)),
			"half":              iotest.HalfReader(bytes.NewReader(data)),
			"data with the end": iotest.DataErrReader(bytes.NewReader(data)),
		} {
			got, err := Read(reader, file, Options{})
			if diff := cmp.Diff(want, got); diff != "" || fmt.Sprint(err) != fmt.Sprint(wantErr) {
				t.Errorf("%s, %s: %v, want %v\n%s", file, name, err, wantErr, diff)
			}
		}
	}
}

func TestReadPassesErrorsOfTheReaderOn(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk on fire")
	text := log(`{"message":{"text":"m"}}`)
	for _, n := range []int{0, 1, 10, len(text) - 1} {
		r := io.MultiReader(strings.NewReader(text[:n]), iotest.ErrReader(broken))
		if _, err := Read(r, "x.sarif", Options{}); !errors.Is(err, broken) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
}

func TestErrorNamesFileByteAndPointer(t *testing.T) {
	t.Parallel()
	_, err := read(`{"version":"2.1.0","runs":[{"results":[{"level":"a","level":"b"}]}]}`, Limits{})
	var located *Error
	if !errors.As(err, &located) {
		t.Fatalf("%T: %v", err, err)
	}
	if located.File != "x.sarif" || located.Offset != 52 || located.Pointer != "/runs/0/results/0/level" || !errors.Is(err, ErrDuplicate) {
		t.Errorf("%+v", located)
	}
}

// Memory is bounded by the findings kept, so they share what repeats.
func TestFindingsShareWhatRepeats(t *testing.T) {
	const n = 2000
	result := `{"ruleId":"A","message":{"text":"m"},"locations":[{"physicalLocation":{"artifactLocation":{"uri":"some/path"}}}]}`
	text := log(strings.TrimSuffix(strings.Repeat(result+",", n), ","))
	var scans []release.Scan
	var err error
	allocations := testing.AllocsPerRun(1, func() { scans, err = read(text, Limits{}) })
	if err != nil || len(scans[0].Findings) != n || allocations > n*8 {
		t.Errorf("%v: %d findings, %.0f allocations", err, len(scans[0].Findings), allocations)
	}
}
