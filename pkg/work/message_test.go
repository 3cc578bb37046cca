// SPDX-License-Identifier: Apache-2.0

package work

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"unicode"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
)

func TestAMessageFitsWhateverTheErrorSays(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"plain", strings.Repeat("\x00\"\\", 3000), strings.Repeat("ü", 3000), strings.Repeat("<&>", 2000)} {
		err := fault.Hint(fault.Hint(fault.Hint(errors.New(text), "%s", text), "b"), "c")
		data, wrong := Encode(err, strings.Repeat("r", ResultLimit-2))
		if wrong != nil || len(data) > messageLimit {
			t.Fatalf("%d bytes, error %v", len(data), wrong)
		}
		m, wrong := Parse(string(data))
		if wrong != nil || m.Err() == nil || fault.StatusOf(m.Err()) != fault.Failed {
			t.Errorf("read back as %v, %v", m.Err(), wrong)
		}
	}
	if _, err := Encode(nil, strings.Repeat("r", ResultLimit)); err == nil {
		t.Error("a result that is too long was taken")
	}
}

func TestParseTakesNothingButAMessage(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"nothing":                 "",
		"words":                   "panic: runtime error",
		"two values":              `{"status":0}{"status":0}`,
		"an unknown field":        `{"status":0,"more":1}`,
		"an unknown status":       `{"status":77,"error":"x"}`,
		"success with an error":   `{"status":0,"error":"x"}`,
		"failure without a cause": `{"status":3}`,
		"too much":                `{"status":3,"error":"` + strings.Repeat("x", messageLimit) + `"}`,
	} {
		if m, err := Parse(text); err == nil {
			t.Errorf("%s was taken: %+v", name, m)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`{"status":4,"error":"half","hints":["h"],"result":{"backups":[]}}`)
	f.Add("{\"status\":3,\"error\":\"a\u009b2Jb\\u0085c\\u202ed\xff\",\"hints\":[\"\\u009dx\"]}")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := Parse(text)
		if err != nil {
			return
		}
		if (m.Err() == nil) != (m.Status == fault.Done) {
			t.Errorf("%q ends as %v", text, m.Err())
		}
		if m.Err() == nil {
			return
		}
		for _, said := range append(fault.Hints(m.Err()), m.Err().Error()) {
			if strings.ContainsFunc(said, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("%q says %q", text, said)
			}
		}
	})
}

func TestProgressIsToldAndNothingElseIsBelieved(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		`{"level":"INFO","msg":"saving","percent":12,"entries":3,"read":"1.0MB","rate":"2.0MB/s","left":"3s","evil":"x"}`: "level=INFO msg=saving volume=db percent=12 left=3s read=1.0MB rate=2.0MB/s entries=3\n",
		`{"level":"INFO","msg":"saving","percent":990,"read":"a\nb","rate":"=x"}`:                                         "level=INFO msg=saving volume=db percent=100\n",
		`{"level":"WARN","msg":"clock\u001b[2J\nfake line"}`:                                                              `level=WARN msg="the Job says" about=db text="clock [2J fake line"` + "\n",
		`{"level":"INFO","msg":"cluster"}`:                                                                                "",
		`::error::forged`:                                                                                                 "",
		`{"msg":"saving","percent":"many"}`:                                                                               "",
	} {
		var out bytes.Buffer
		log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}}))
		r := &running{cluster: &kube.Cluster{Log: log}, job: Job{About: "db"}}
		if n := r.read(strings.NewReader(line + "\n")); n != 1 || out.String() != want {
			t.Errorf("%s told (%d lines)\n%swant\n%s", line, n, out.String(), want)
		}
	}
}

func TestALineWithoutEndFillsNoMemory(t *testing.T) {
	t.Parallel()
	r := &running{cluster: &kube.Cluster{Log: slog.New(slog.DiscardHandler)}}
	if n := r.read(strings.NewReader(strings.Repeat("x", 10*lineLimit) + "\nlast\n")); n != 2 || len(r.lastLines[0]) > 500 {
		t.Errorf("%d lines, the first has %d bytes", n, len(r.lastLines[0]))
	}
}
