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
	failed, err := tell(strings.NewReader(stream), &out)
	if err != nil || !failed {
		t.Errorf("failed %t, %v", failed, err)
	}
	for _, want := range []string{"p TestA: set SWITCH=1 to run this", "FAIL  q TestC", "broken", "1 passed, 1 failed, 1 skipped", "1.5 s"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
	if failed, _ := tell(strings.NewReader(strings.SplitAfter(stream, "1.5}\n")[0]), &out); failed {
		t.Error("a skipped test is a failure")
	}
	if failed, _ := tell(strings.NewReader(""), &out); !failed {
		t.Error("silence is a success")
	}
}
