// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/oklog/ulid/v2"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
)

const (
	root        = "v1/"
	probePrefix = root + ".probe/" // no application: a leading dot is escaped
	extension   = ".json"

	// File systems hold 255 bytes in a name. The longest file name is a run's with the
	// id, a SHA-256 commit, the step and what a driver adds to a temporary file.
	maxFolder = 200
	maxRun    = 100
	maxStep   = 32
)

// A key is an object's name, taken apart.
type key struct {
	app, environment string
	id               ulid.ULID
	run              string
	commit           release.Commit
	step             string
}

func keyOf(e release.Entry) key {
	id, err := ulid.ParseStrict(e.ID)
	if err != nil {
		id = ulid.ULID{}
	}
	return key{app: e.App, environment: e.Environment, id: id, run: e.Run, commit: e.Commit, step: e.Step}
}

// String returns the key as the bucket has it.
func (k key) String() string {
	return prefixOf(k.app, k.environment) +
		k.id.String() + "-" + encode(k.run) + "-" + string(k.commit) + "-" + k.step + extension
}

// prefixOf returns what all keys of an application, or of one environment of it, begin with.
func prefixOf(app, environment string) string {
	switch {
	case app == "":
		return root
	case environment == "":
		return root + encode(app) + "/"
	}
	return root + encode(app) + "/" + encode(environment) + "/"
}

var errNotAnEntry = errors.New("its name is not that of an entry")

// parseKey takes a key apart. It accepts exactly what String makes.
func parseKey(text string) (key, error) {
	rest, rooted := strings.CutPrefix(text, root)
	rest, extended := strings.CutSuffix(rest, extension)
	folders := strings.SplitN(rest, "/", 3)
	if !rooted || !extended || len(folders) < 3 || len(folders[2]) <= ulid.EncodedSize {
		return key{}, errNotAnEntry
	}
	name := folders[2]
	id, err := ulid.ParseStrict(name[:ulid.EncodedSize])
	if err != nil {
		return key{}, errNotAnEntry
	}
	run, commit, step := cut(name[ulid.EncodedSize+1:])
	k := key{id: id, commit: release.Commit(commit), step: step}
	var errs [3]error
	k.app, errs[0] = decode(folders[0])
	k.environment, errs[1] = decode(folders[1])
	k.run, errs[2] = decode(run)
	if errors.Join(errs[:]...) != nil || k.run == "" || !isStep(step) || k.String() != text {
		return key{}, errNotAnEntry
	}
	return k, nil
}

// cut finds the commit in <run>-<commit>-<step>: the last part that looks like one, because
// no step does (it has no digits and is shorter).
func cut(text string) (run, commit, step string) {
	for dash := strings.LastIndexByte(text, '-'); dash > 0; dash = strings.LastIndexByte(text[:dash], '-') {
		start := strings.LastIndexByte(text[:dash], '-') + 1
		if id := text[start:dash]; start > 1 && (len(id) == 40 || len(id) == 64) && strings.Trim(id, "0123456789abcdef") == "" {
			return text[:start-1], id, text[dash+1:]
		}
	}
	return "", "", ""
}

// isStep tells whether a step can bear the name: words of the letters a to z with dashes
// between them.
func isStep(name string) bool {
	for word := range strings.SplitSeq(name, "-") {
		if strings.Trim(word, "abcdefghijklmnopqrstuvwxyz") != "" || word == "" {
			return false
		}
	}
	return len(name) <= maxStep
}

func checkStep(step string) error {
	if !isStep(step) {
		return fault.Usagef("step %.80q: want words of the letters a to z, joined by dashes, at most %d bytes", step, maxStep)
	}
	return nil
}

// checkName tells why a text that a person gave cannot be part of a key.
func checkName(text string, limit int) error {
	switch {
	case strings.TrimSpace(text) == "":
		return errors.New("it is empty")
	case text != strings.TrimSpace(text):
		return errors.New("it begins or ends with a space")
	case !utf8.ValidString(text):
		return errors.New("it is not UTF-8")
	case strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }):
		return errors.New("it holds a control character")
	case len(encode(text)) > limit:
		return fmt.Errorf("it is too long: %d bytes in a key, at most %d", len(encode(text)), limit)
	}
	return nil
}

// encode writes any text with letters, digits, "-", "_" and "." of ASCII, and "!" followed by
// two hexadecimal digits for every other byte. Dots at the ends are escaped: "..", hidden
// files and names that end in a dot mean something to some store. So is an underscore behind
// another: the file driver escapes with "__0x". No two texts share a form.
func encode(text string) string {
	var b strings.Builder
	for i := range len(text) {
		switch c := text[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-',
			c == '_' && (i == 0 || text[i-1] != '_'),
			c == '.' && i > 0 && i < len(text)-1:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "!%02x", c)
		}
	}
	return b.String()
}

// decode is the inverse of encode. Forms that encode does not make are errors or differ when
// they are encoded again.
func decode(text string) (string, error) {
	var b strings.Builder
	for rest := text; rest != ""; {
		before, after, found := strings.Cut(rest, "!")
		b.WriteString(before)
		if !found {
			break
		}
		if len(after) < 2 {
			return "", errNotAnEntry
		}
		raw, err := hex.DecodeString(after[:2])
		if err != nil {
			return "", errNotAnEntry
		}
		b.Write(raw)
		rest = after[2:]
	}
	return b.String(), nil
}
