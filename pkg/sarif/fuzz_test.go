// SPDX-License-Identifier: Apache-2.0

package sarif

import (
	"bytes"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime/metrics"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/knowngood/knowngood/pkg/release"
)

// FuzzRead holds Read to a plain decode of the same bytes: what Read accepts, the other one
// reads too, and with the same number of runs and results, levels and suppressions.
func FuzzRead(f *testing.F) {
	files, err := filepath.Glob("testdata/*.sarif")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<17 {
			t.Skip("a large input shows nothing that a small one does not, and takes long")
		}
		options := Options{Root: "/checkout", Limits: Limits{File: 1 << 20, Findings: 1000}}
		before := allocated()
		scans, err := Read(bytes.NewReader(data), "x", options)
		if took := allocated() - before; took > boundOf(data) {
			t.Fatalf("took %d bytes of memory for %d", took, len(data))
		}
		again, errAgain := Read(bytes.NewReader(data), "x", options)
		if !reflect.DeepEqual(scans, again) || (err == nil) != (errAgain == nil) {
			t.Fatalf("two reads differ: %v, %v\n%s", err, errAgain, cmp.Diff(scans, again))
		}
		if err != nil {
			if scans != nil || strings.ContainsAny(err.Error(), "\x1b\n\r") {
				t.Fatalf("scans %v beside %q", scans, err)
			}
			return
		}
		against(t, scans, plain(t, data))
	})
}

// allocated is how much memory the process has taken from its heap so far, in bytes.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// boundOf is what reading may take, all told: room of a fixed size, and so much for each byte
// of the text, which gzip may have made small.
func boundOf(data []byte) uint64 {
	text := uint64(len(data))
	if bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
		text = 1 << 20
	}
	return 4<<20 + 400*text
}

// plain decodes the bytes without any of the code under test except for the encoding.
func plain(t *testing.T, data []byte) map[string]any {
	t.Helper()
	text, err := open(bytes.NewReader(data), Limits{}.withDefaults())
	if err != nil {
		t.Fatalf("Read took what cannot be opened: %v", err)
	}
	text.used = func() int64 { return text.given }
	all, err := io.ReadAll(text)
	if err != nil {
		t.Fatalf("Read took what cannot be read: %v", err)
	}
	var doc map[string]any
	if err := json.Unmarshal(all, &doc); err != nil {
		t.Fatalf("Read took what is no JSON: %v", err)
	}
	return doc
}

func against(t *testing.T, scans []release.Scan, doc map[string]any) {
	t.Helper()
	runs, _ := doc["runs"].([]any)
	if len(scans) != max(len(runs), 1) {
		t.Fatalf("%d scans of %d runs", len(scans), len(runs))
	}
	if got, wanted := count(scans), resultsOf(runs)+resultsOf(doc["inlineExternalProperties"]); got < wanted {
		t.Fatalf("%d findings of %d results", got, wanted)
	}
	for i, run := range runs {
		results, present := run.(map[string]any)["results"].([]any)
		_, external := run.(map[string]any)["externalPropertyFileReferences"].(map[string]any)
		if n := len(scans[i].Findings); n < len(results) || (n > len(results) && !external) {
			t.Fatalf("run %d: %d findings of %d results", i, n, len(results))
		}
		if !present && !external && scans[i].Completeness != release.ScanAbsent {
			t.Fatalf("run %d has no results and is %s", i, scans[i].Completeness)
		}
		for j, result := range results {
			finding(t, scans[i].Findings[j], result.(map[string]any))
		}
	}
}

// resultsOf counts the results of runs, or of external properties.
func resultsOf(list any) (n int) {
	parts, _ := list.([]any)
	for _, part := range parts {
		members, _ := part.(map[string]any)
		results, _ := members["results"].([]any)
		n += len(results)
	}
	return n
}

// allAccepted tells whether there are suppressions, and none of them is under review, rejected
// or of a status that nobody knows. "state" is what drafts called the status.
func allAccepted(suppressions []any) bool {
	for _, s := range suppressions {
		members, _ := s.(map[string]any)
		for _, name := range []string{"status", "state"} {
			if status, _ := members[name].(string); status != "" && status != "accepted" {
				return false
			}
		}
	}
	return len(suppressions) > 0
}

func finding(t *testing.T, f release.Finding, result map[string]any) {
	t.Helper()
	switch level, _ := result["level"].(string); level {
	case "none", "note", "warning", "error":
		if string(f.Level) != level {
			t.Fatalf("level %s became %q", level, f.Level)
		}
	}
	suppressions, _ := result["suppressions"].([]any)
	if f.Suppressed != allAccepted(suppressions) {
		t.Fatalf("suppressed is %t by %v", f.Suppressed, suppressions)
	}
	if len(f.Suppressions) != len(suppressions) {
		t.Fatalf("%d suppressions of %d", len(f.Suppressions), len(suppressions))
	}
	if f.Level == "" || f.Kind == "" || f.Severity == "" || f.Fingerprint == "" || f.FingerprintKind == "" {
		t.Fatalf("a finding lacks what all have: %+v", f)
	}
	if f.Score != nil && !(*f.Score >= 0 && *f.Score <= 10) {
		t.Fatalf("score %v", *f.Score)
	}
	if f.Location.Line < 0 || f.Location.Column < 0 || (f.Location.Line > 0 && f.Location.EndLine < f.Location.Line) {
		t.Fatalf("location %+v", f.Location)
	}
}

// FuzzPath: a path is what the tool wrote, or a clean one, which leads out by its beginning alone.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{"a/b.go", "../x", "%2e%2e/x", `..\..\x`, "file:///checkout/../etc/passwd", "C:/x", "/etc/passwd", "file://h/x", "a//../../b", "."} {
		f.Add(seed, "", "")
		f.Add(seed, "B", "file:///checkout/sub/")
		f.Add(seed, "B", "sub/../..")
	}
	f.Fuzz(func(t *testing.T, uri, base, baseURI string) {
		r := &run{document: &document{root: "/checkout"}, bases: map[string]place{"B": {uri: baseURI, base: base}}}
		got := r.path(place{uri: uri, base: base, index: -1})
		if got == "" || got == cut(uri, maxText) {
			return
		}
		out := got
		for strings.HasPrefix(out, "../") {
			out = out[len("../"):]
		}
		if out != ".." && !fs.ValidPath(out) && fs.ValidPath(strings.ToValidUTF8(out, "")) {
			t.Errorf("path(%q, %q -> %q) = %q", uri, base, baseURI, got)
		}
	})
}

// FuzzMask: a token of a known form does not survive, whatever stands around it.
func FuzzMask(f *testing.F) {
	const token = "ghp_0123456789abcdefghijABCDEFGHIJ012345"
	f.Add("see ", " there")
	f.Add("https://user:", "@example.com")
	f.Add("-----BEGIN RSA PRIVATE KEY-----", "-----END RSA PRIVATE KEY-----")
	f.Add("x://a:b@", "://")
	f.Fuzz(func(t *testing.T, before, after string) {
		if before != "" && isAlphanumeric(before[len(before)-1]) {
			before += " "
		}
		if got := mask(before + token + after); strings.Contains(got, token) {
			t.Errorf("mask(%q) = %q", before+token+after, got)
		}
		secret := "correct-Horse-9"
		text := before + secret + after
		if got := maskSecret(text, "key = '"+secret+"'"); strings.Contains(got, secret) {
			t.Errorf("maskSecret(%q) = %q", text, got)
		}
	})
}
