// SPDX-License-Identifier: Apache-2.0

package sarif

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A measurement is what one reader took for one file, in a process of its own.
type measurement struct {
	CPU  float64 // milliseconds
	Peak float64 // MB of memory, at most
}

// rounds is how often a reader runs on a file of so many MB: the slow ones need minutes for a
// large one, and jq ten times the file in memory.
func rounds(name string, mb int) int {
	quick := name == "read" || name == "walk" || name == "floor"
	switch {
	case mb > 200 && name == "jq":
		return 0
	case mb > 200 && !quick:
		return 1
	case mb > 200:
		return 6
	case quick, mb < 50: // short runs vary most
		return 15
	default:
		return 3
	}
}

// TestCompare measures the readers one after the other, round by round, and prints a table.
// The smallest figure of each counts: what else the machine does only ever adds.
func TestCompare(t *testing.T) {
	sizes := os.Getenv("KNOWNGOOD_BENCH")
	if sizes == "" {
		t.Skip("set KNOWNGOOD_BENCH=10,100,100s,1024 to compare the readers on files of so many MB, s for those with snippets: minutes of CPU, GBs of memory")
	}
	for size := range strings.SplitSeq(sizes, ",") {
		number, snippets := strings.CutSuffix(size, "s")
		mb, err := strconv.Atoi(number)
		if err != nil {
			t.Fatal(err)
		}
		path, want := generated(t, mb, snippets)
		all := map[string][]measurement{}
		for round := range 15 {
			for _, name := range []string{"read", "walk", "floor", "encoding-json", "go-sarif", "jq"} {
				if round < rounds(name, mb) {
					all[name] = append(all[name], contend(t, name, path, want))
				}
			}
		}
		for row := range strings.Lines(table(size, mb, want, all)) {
			t.Log(strings.TrimRight(row, "\n")) // a line each: that is what a soak keeps
		}
		read, bare, other := best(all["read"]), best(all["walk"]), best(all["go-sarif"])
		// The aim is 1.15 times the bare walk. Of a file of 10 MB, which is read in 25 ms, the
		// rules and artifacts are a larger share, which the walk passes over.
		most := 1.15
		if mb < 100 {
			most = 1.2
		}
		// The aim is a seventh of go-sarif. Snippets in every step are text that both pass over
		// at about the same speed.
		least := 7.0
		if snippets {
			least = 6
		}
		if read.CPU > most*bare.CPU || other.CPU < least*read.CPU {
			t.Errorf("%s MB: %.2f times the bare walk, go-sarif %.1f times as much", size, read.CPU/bare.CPU, other.CPU/read.CPU)
		}
	}
}

func best(all []measurement) measurement {
	if len(all) == 0 {
		return measurement{}
	}
	return slices.MinFunc(all, func(a, b measurement) int {
		if a.CPU < b.CPU {
			return -1
		}
		return 1
	})
}

func table(size string, mb, results int, all map[string][]measurement) string {
	var out strings.Builder
	title := strconv.Itoa(mb) + " MB"
	if strings.HasSuffix(size, "s") {
		title += " with snippets in every step"
	}
	fmt.Fprintf(&out, "%s, %d results\n%-14s %10s %10s %10s %10s %8s\n", title, results, "", "cpu ms", "median", "MB/s", "peak MB", "x read")
	read := best(all["read"])
	for _, name := range []string{"read", "walk", "floor", "encoding-json", "go-sarif", "jq"} {
		runs := all[name]
		if len(runs) == 0 {
			fmt.Fprintf(&out, "%-14s %10s\n", name, "not run")
			continue
		}
		var times []float64
		for _, m := range runs {
			times = append(times, m.CPU)
		}
		slices.Sort(times)
		b := best(runs)
		fmt.Fprintf(&out, "%-14s %10.0f %10.0f %10.0f %10.0f %8.2f\n", name, b.CPU, times[len(times)/2], float64(mb)/b.CPU*1000, b.Peak, b.CPU/read.CPU)
	}
	return out.String()
}

// contend runs a reader in a process of its own: this test binary, or jq.
func contend(t *testing.T, name, path string, want int) measurement {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestContender$", "-test.v")
	if name == "jq" {
		if _, err := exec.LookPath("jq"); err != nil {
			t.Fatal("jq is not installed")
		}
		command = exec.CommandContext(t.Context(), "jq", "[.runs[].results | length] | add", path)
	}
	command.Env = append(os.Environ(), "KNOWNGOOD_CONTENDER="+name, "KNOWNGOOD_CONTENDER_FILE="+path)
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	used := command.ProcessState.SysUsage().(*syscall.Rusage)
	m := measurement{Peak: float64(used.Maxrss) / 1024}
	if name == "jq" {
		m.CPU = float64((command.ProcessState.UserTime() + command.ProcessState.SystemTime()) / time.Millisecond)
		if got := strings.TrimSpace(string(out)); got != strconv.Itoa(want) {
			t.Fatalf("jq counted %s results of %d", got, want)
		}
		return m
	}
	_, line, _ := bytes.Cut(out, []byte("contender "))
	var told struct {
		Results int
		CPU     float64
	}
	if err := json.NewDecoder(bytes.NewReader(line)).Decode(&told); err != nil || told.Results != want {
		t.Fatalf("%s: %v, %d results of %d", name, err, told.Results, want)
	}
	m.CPU = told.CPU
	return m
}

// TestContender is the other process.
func TestContender(t *testing.T) {
	name := os.Getenv("KNOWNGOOD_CONTENDER")
	if name == "" {
		t.Skip("runs for TestCompare alone, which KNOWNGOOD_BENCH asks for")
	}
	for _, c := range contenders() {
		if c.name != name {
			continue
		}
		file, err := os.Open(os.Getenv("KNOWNGOOD_CONTENDER_FILE"))
		if err != nil {
			t.Fatal(err)
		}
		began := cpu(t)
		results, err := c.read(file)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("contender {\"Results\":%d,\"CPU\":%f}\n", results, (cpu(t)-began)*1000)
	}
}
