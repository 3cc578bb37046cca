// SPDX-License-Identifier: Apache-2.0

package kube_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/knowngood/knowngood/pkg/kube"
)

func TestNameTellsPartsApart(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("very-long-claim-name-", 5)
	seen := map[string]string{}
	for _, parts := range [][]string{
		{"a-b", "c"},
		{"a", "b-c"},
		{"a-b-c"},
		{"A-b", "c"},
		{"a_b", "c"},
		{"a", "", "b-c"},
		{long + "1", "x"},
		{long + "2", "x"},
		{"größe"},
		{"grüße"},
		{""},
		{"-"},
		{"feature/x"},
		{"feature-x"},
	} {
		name := kube.Name(parts...)
		if other, taken := seen[name]; taken {
			t.Errorf("Name(%q) = %s, which is also Name(%s)", parts, name, other)
		}
		seen[name] = strings.Join(parts, "|")
	}
	if got, want := kube.Name("data-db-0", "0123456789ab"), kube.Name("data-db-0", "0123456789ab"); got != want {
		t.Errorf("Name is not the same twice: %s, %s", got, want)
	}
	if name := kube.Name("data-db-0", "0123456789ab"); !strings.HasPrefix(name, "data-db-0-0123456789ab-") {
		t.Errorf("Name = %s, which a person cannot read", name)
	}
}

func TestLabelValueKeepsWhatIsValid(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":              "",
		"shop":          "shop",
		"A_b.c-1":       "A_b.c-1",
		"feature/x":     "feature-x-",
		"-x-":           "x-",
		"ünï":           "n-",
		"///":           "",
		"1234567890/42": "1234567890-42-",
	} {
		got := kube.LabelValue(text)
		if want == text && got != want || !strings.HasPrefix(got, want) {
			t.Errorf("LabelValue(%q) = %q, want %q and a digest", text, got, want)
		}
	}
}

func FuzzName(f *testing.F) {
	for _, seed := range [][2]string{{"data", "run-1"}, {"", ""}, {"Größe", "a/b"}, {strings.Repeat("x", 300), "-"}, {"a.b", "\x00"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		name := kube.Name(a, b)
		if wrong := validation.IsDNS1123Label(name); len(wrong) > 0 {
			t.Errorf("Name(%q, %q) = %q: %v", a, b, name, wrong)
		}
		if a+b != "" && name == kube.Name(a+b, "") && b != "" {
			t.Errorf("Name(%q, %q) = Name(%q, %q) = %q", a, b, a+b, "", name)
		}
	})
}

func FuzzLabelValue(f *testing.F) {
	for _, seed := range []string{"", "shop", "feature/x", strings.Repeat("a", 64), strings.Repeat("-", 80), "Ünï", "a\nb", "."} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		value := kube.LabelValue(text)
		if wrong := validation.IsValidLabelValue(value); len(wrong) > 0 {
			t.Errorf("LabelValue(%q) = %q: %v", text, value, wrong)
		}
		if len(validation.IsValidLabelValue(text)) == 0 && value != text {
			t.Errorf("LabelValue(%q) = %q, which changes a valid value", text, value)
		}
		if len(validation.IsValidLabelValue(text)) > 0 && value == text {
			t.Errorf("LabelValue(%q) keeps an invalid value", text)
		}
	})
}
