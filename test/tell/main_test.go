// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

func TestTell(t *testing.T) {
	t.Parallel()
	const stream = `{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:7: set SWITCH=1 to run this\n"}
{"Action":"skip","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Test":"TestB"}
{"Action":"pass","Package":"p","Elapsed":1.5}
{"Action":"output","Package":"q","Test":"TestC","Output":"    c_test.go:9: broken\n"}
{"Action":"fail","Package":"q","Test":"TestC"}
`
	var out strings.Builder
	failed, err := tell(strings.NewReader(stream), &out, nil)
	if err != nil || !failed {
		t.Errorf("failed %t, %v", failed, err)
	}
	for _, want := range []string{"p TestA: set SWITCH=1 to run this", "FAIL  q TestC", "broken", "1 passed, 1 failed, 1 skipped", "1.5 s"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
	if failed, _ := tell(strings.NewReader(strings.SplitAfter(stream, "1.5}\n")[0]), &out, nil); failed {
		t.Error("a skipped test is a failure")
	}
	if failed, _ := tell(strings.NewReader(""), &out, nil); !failed {
		t.Error("silence is a success")
	}
}

func TestWhatIsKept(t *testing.T) {
	t.Parallel()
	const stream = `{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:7: 100 kills\n"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"BenchmarkB","Output":"BenchmarkB\n"}
{"Action":"output","Package":"p","Test":"BenchmarkB","Output":"BenchmarkB-2 \t       3\t  52000 ns/op\t 12.1 cpu-ms/start\n"}
{"Action":"output","Package":"p","Test":"FuzzC","Output":"fuzz: elapsed: 3s, execs: 12 (4/sec)\n"}
{"Action":"output","Package":"p","Test":"FuzzC","Output":"fuzz: elapsed: 6s, execs: 25 (4/sec)\n"}
{"Action":"pass","Package":"p","Elapsed":1.5}
`
	var out, kept strings.Builder
	if failed, err := tell(strings.NewReader(stream), &out, &kept); failed || err != nil {
		t.Errorf("failed %t, %v", failed, err)
	}
	want := "    a_test.go:7: 100 kills\nBenchmarkB-2 \t       3\t  52000 ns/op\t 12.1 cpu-ms/start\n    fuzz: elapsed: 6s, execs: 25 (4/sec)\n2 passed, 0 failed, 0 skipped\n"
	if kept.String() != want {
		t.Errorf("kept\n%s\nwant\n%s", &kept, want)
	}
}

// What ends between two packages has told of passes alone.
func TestACommandThatIsKilledFails(t *testing.T) {
	t.Parallel()
	const passes = `echo '{"Action":"pass","Package":"p","Test":"TestA"}'; echo '{"Action":"pass","Package":"p"}'; `
	for end, fails := range map[string]bool{"exit 0": false, "exit 1": true, "kill -9 $$": true} {
		var out strings.Builder
		failed, err := follow([]string{"sh", "-c", passes + end}, &out, nil)
		if failed != fails || (err != nil) != fails {
			t.Errorf("%s: failed %t, %v\n%s", end, failed, err, &out)
		}
	}
}
