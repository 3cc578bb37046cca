// SPDX-License-Identifier: Apache-2.0

package sarif

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"github.com/knowngood/knowngood/pkg/release"
)

func hashesOf(t *testing.T, text string) (hashes []string) {
	t.Helper()
	err := lineHashes(strings.NewReader(text), func(line int, hash string) {
		if line != len(hashes)+1 {
			t.Fatalf("line %d came after %d lines", line, len(hashes))
		}
		hashes = append(hashes, hash)
	})
	if err != nil {
		t.Fatal(err)
	}
	return hashes
}

// TestLineHashIsGitHubs holds to the values that the tests of github/codeql-action publish
// (src/fingerprints.test.ts).
func TestLineHashIsGitHubs(t *testing.T) {
	t.Parallel()
	greeting := []string{
		"e9496ae3ebfced30:1", "fb7c023a8b9ccb3f:1", "ce8ba1a563dcdaca:1", "e20e36e16fcb0cc8:1", "b3edc88f2938467e:1",
		"c8e28b0b4002a3a0:1", "c129715d7a2bc9a3:1",
	}
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"nothing", "", []string{"c129715d7a2bc9a3:1"}},
		{"white space does not count", " a\nb\n  \t\tc\n d", []string{"271789c17abda88f:1", "54703d4cd895b18:1", "180aee12dab6264:1", "a23a3dc5e078b07b:1"}},
		{"no line feed at the end", " hello; \t\nworld!!!\n\n\n  \t\tGreetings\n End", []string{
			"8b7cf3e952e7aeb2:1", "b1ae1287ec4718d9:1", "bff680108adb0fcc:1", "c6805c5e1288b612:1", "b86d3392aea1be30:1", "e6ceba753e1a442:1",
		}},
		{"line feeds", " hello; \t\nworld!!!\n\n\n  \t\tGreetings\n End\n", greeting},
		{"carriage returns", " hello; \t\nworld!!!\r\r\r  \t\tGreetings\r End\r", greeting},
		{"both", " hello; \t\r\nworld!!!\r\n\r\n\r\n  \t\tGreetings\r\n End\r\n", greeting},
		{"mixed", " hello; \t\nworld!!!\r\n\n\r  \t\tGreetings\r End\r\n", greeting},
		{"the same line again", strings.Repeat("Lorem ipsum dolor sit amet.\n", 10), []string{
			"a7f2ff13bc495cf2:1", "a7f2ff13bc495cf2:2", "a7f2ff13bc495cf2:3", "a7f2ff13bc495cf2:4", "a7f2ff13bc495cf2:5", "a7f2ff13bc495cf2:6",
			"a7f2ff1481e87703:1", "a9cf91f7bbf1862b:1", "55ec222b86bcae53:1", "cc97dc7b1d7d8f7b:1", "c129715d7a2bc9a3:1",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, hashesOf(t, test.text)); diff != "" {
				t.Errorf("hashes (-want +got):\n%s", diff)
			}
		})
	}
}

// TestLineHashIsAPolynomial computes each line's hash from its definition, without a window.
func TestLineHashIsAPolynomial(t *testing.T) {
	t.Parallel()
	dice := rand.New(rand.NewPCG(3, 4))
	alphabet := []string{"a", "b", " ", "\t", "\n", "\r", "\r\n", "é", "𝄞", "{", strings.Repeat("x", 60)}
	for range 300 {
		var text strings.Builder
		for range dice.IntN(80) {
			text.WriteString(alphabet[dice.IntN(len(alphabet))])
		}
		if diff := cmp.Diff(byDefinition(text.String()), hashesOf(t, text.String())); diff != "" {
			t.Fatalf("hashes of %q (-want +got):\n%s", text.String(), diff)
		}
	}
}

func byDefinition(text string) (hashes []string) {
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	text = strings.NewReplacer(" ", "", "\t", "").Replace(text)
	units := append(utf16.Encode([]rune(text)), endOfFile)
	counts := map[uint64]int{}
	for start := range units {
		if start > 0 && units[start-1] != '\n' {
			continue
		}
		sum := uint64(0)
		for i := range hashWindow {
			sum *= hashBase
			if start+i < len(units) {
				sum += uint64(units[start+i])
			}
		}
		counts[sum]++
		hashes = append(hashes, strconv.FormatUint(sum, 16)+":"+strconv.Itoa(counts[sum]))
	}
	return hashes
}

// sourceAt returns the finding of a tool that tells nothing but a line.
func sourceAt(t *testing.T, dir string, line int) release.Finding {
	t.Helper()
	result := `{"ruleId":"A","message":{"text":"m"},"locations":[{"physicalLocation":{"artifactLocation":{"uri":"a.go"},"region":{"startLine":` +
		strconv.Itoa(line) + `}}}]}`
	scans, err := Read(strings.NewReader(log(result)), "x.sarif", Options{Source: folder(t, dir)})
	if err != nil {
		t.Fatal(err)
	}
	return scans[0].Findings[0]
}

// A finding is known again by its source when the lines above it have moved it.
func TestFindingsSurviveMovedLines(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	body := "\tunsafe(x)\n" + strings.Repeat("\tmore(of, the, same)\n", 10)
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "a.go"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("package a\n" + body)
	before := sourceAt(t, dir, 2)
	write("package a\n\n// A comment.\n" + body)
	after := sourceAt(t, dir, 4)
	if before.Fingerprint != after.Fingerprint || after.FingerprintKind != kindLineHash {
		t.Errorf("%+v\n%+v", before, after)
	}
	write("package a\n\tother(x)\n" + body)
	if other := sourceAt(t, dir, 2); other.Fingerprint == before.Fingerprint {
		t.Error("another line has the same fingerprint")
	}
}

// A link that leads out of the checkout is not followed.
func TestSourceOutsideOfTheCheckoutIsNotRead(t *testing.T) {
	t.Parallel()
	dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "b.go")
	if err := os.WriteFile(outside, []byte("package b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "a.go")); err != nil {
		t.Fatal(err)
	}
	if f := sourceAt(t, dir, 1); f.FingerprintKind != kindWeak {
		t.Errorf("%+v", f)
	}
}
