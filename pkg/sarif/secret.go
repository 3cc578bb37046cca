// SPDX-License-Identifier: Apache-2.0

package sarif

import (
	"slices"
	"strings"

	"github.com/knowngood/knowngood/pkg/release"
)

// masked stands where a secret stood.
const masked = "***"

// secretTools find secrets and nothing else; their names in lower case.
var secretTools = []string{ //nolint:gochecknoglobals // a table that nobody changes
	"betterleaks", "credscan", "detect-secrets", "detect_secrets", "ggshield", "gitguardian", "git-secrets", "gitleaks",
	"kingfisher", "noseyparker", "nosey parker", "poutine-secrets", "repo-supervisor", "ripsecrets", "secretlint",
	"secret-scan", "shhgit", "talisman", "titus", "trufflehog", "whispers",
}

// secretWords in a rule's id, name or tags say that what it finds is a secret.
var secretWords = []string{ //nolint:gochecknoglobals // a table that nobody changes
	"secret", "credential", "password", "passwd", "api-key", "apikey", "api_key", "private-key", "private_key",
	"privatekey", "access-key", "access_key", "accesskey", "access-token", "access_token", "accesstoken", "hardcoded",
	"hard-coded", "hard_coded",
}

// secretCWE are the weaknesses that are an open secret.
var secretCWE = []int{259, 321, 547, 798} //nolint:gochecknoglobals // a table that nobody changes

// secretWord is asked of each rule several times, and looks further only where one of the words
// may begin.
func secretWord(text string) bool {
	for i := range len(text) {
		switch text[i] | 0x20 {
		case 'a', 'c', 'h', 'p', 's':
			for _, word := range secretWords {
				if len(text)-i >= len(word) && text[i]|0x20 == word[0] && strings.EqualFold(text[i:i+len(word)], word) {
					return true
				}
			}
		}
	}
	return false
}

func secretTool(name string) bool {
	name = strings.ToLower(name)
	for _, tool := range secretTools {
		if strings.Contains(name, tool) {
			return true
		}
	}
	return false
}

// secret tells whether a finding is a secret that lies open in the source. Where in doubt
// it is: what that costs is that its text is masked and its source is not shown.
func (r *run) secret(f *release.Finding, d *rule) bool {
	for _, number := range f.CWE {
		if slices.Contains(secretCWE, number) {
			return true
		}
	}
	if d != nil && f.Rule == d.shown {
		return d.isSecret
	}
	key := secretKey{f.Rule, d}
	known, ok := r.secrets[key]
	if !ok {
		known = secretTool(f.Tool) || secretWord(f.Rule) || (d != nil && (d.secret || secretWord(d.name)))
		r.secrets[key] = known
	}
	return known
}

// A secretKey is what tells whether a finding is a secret, its weaknesses aside.
type secretKey struct {
	id   string
	rule *rule
}

// maxSecretWords bounds how many words of a snippet are looked for in a text.
const maxSecretWords = 300

// maskSecret takes out of a text about a secret whatever of the snippet it repeats: the
// snippet, what stands between quotes in it, and each of its words that looks made up.
//
// Words that look random are taken out even when the snippet has none of them.
func maskSecret(text, snippet string) string {
	if whole, wasCut := strings.CutSuffix(text, "…"); wasCut {
		// The last word may be the first half of the secret.
		text = whole[:max(strings.LastIndexAny(whole, " \t\n"), 0)] + "…"
	}
	text = maskRandom(text)
	snippet = strings.TrimSpace(snippet)
	if snippet == "" || text == "" {
		return text
	}
	if len(snippet) >= 4 {
		text = strings.ReplaceAll(text, snippet, masked)
	}
	for _, quote := range []string{`"`, "'", "`"} {
		parts := strings.Split(snippet, quote)
		for i := 1; i < len(parts)-1; i += 2 {
			if len(parts[i]) >= 4 {
				text = strings.ReplaceAll(text, parts[i], masked)
			}
		}
	}
	words := 0
	for word := range strings.FieldsFuncSeq(snippet, betweenWords) {
		if words++; words > maxSecretWords {
			break
		}
		if len(word) >= 6 && strings.Trim(word, "abcdefghijklmnopqrstuvwxyz_.") != "" {
			text = strings.ReplaceAll(text, word, masked)
		}
	}
	return text
}

func betweenWords(r rune) bool { return strings.ContainsRune(" \t\r\n\"'`=:;,()[]{}<>", r) }

// maskRandom takes out words of 16 and more characters that mix letters and digits, unless
// they are a path or follow the word commit.
func maskRandom(text string) string {
	before := ""
	for word := range strings.FieldsFuncSeq(text, betweenWords) {
		bare := strings.TrimRight(word, ".!?")
		if len(bare) >= 16 && !strings.Contains(bare, "/") && before != "commit" &&
			strings.ContainsAny(bare, "0123456789") && strings.ContainsFunc(bare, func(r rune) bool { return r < 0x80 && isLetter(byte(r)) }) { //nolint:gosec // below 0x80
			text = strings.ReplaceAll(text, bare, masked)
		}
		before = strings.ToLower(word)
	}
	return text
}

// tokenPrefixes begin secrets that are known by their form, with how long such a one is.
var tokenPrefixes = []struct { //nolint:gochecknoglobals // a table that nobody changes
	prefix string
	length int
}{
	{"AKIA", 20},
	{"ASIA", 20},
	{"ABIA", 20},
	{"ACCA", 20},
	{"ghp_", 20},
	{"gho_", 20},
	{"ghu_", 20},
	{"ghs_", 20},
	{"ghr_", 20},
	{"github_pat_", 30},
	{"glpat-", 20},
	{"gldt-", 20},
	{"glrt-", 20},
	{"glptt-", 20},
	{"xoxb-", 20},
	{"xoxp-", 20},
	{"xoxa-", 20},
	{"xoxr-", 20},
	{"xoxs-", 20},
	{"xapp-", 20},
	{"sk_live_", 20},
	{"rk_live_", 20},
	{"pk_live_", 20},
	{"sk_test_", 20},
	{"whsec_", 20},
	{"sk-", 30},
	{"AIza", 35},
	{"ya29.", 20},
	{"GOCSPX-", 20},
	{"npm_", 30},
	{"pypi-", 30},
	{"SG.", 30},
	{"dop_v1_", 30},
	{"hf_", 30},
	{"shpat_", 30},
	{"dckr_pat_", 20},
	{"AGE-SECRET-KEY-", 30},
	{"hvs.", 20},
	{"lin_api_", 30},
	{"sq0csp-", 20},
	{"eyJ", 40},
}

// Mask takes out of any text what is a secret by its form, as Read does with what it keeps.
func Mask(text string) string { return mask(text) }

// mask takes out of any text what is a secret by its form: well-known tokens, private keys,
// and passwords in URLs.
func mask(text string) string {
	if len(text) < 8 {
		return text
	}
	text = maskPEM(text)
	if strings.Contains(text, "://") {
		text = maskURL(text)
	}
	for i := 0; i < len(text); i++ {
		start := i
		for i < len(text) && tokenByte(text[i]) {
			i++
		}
		if i-start >= 20 && secretToken(text[start:i]) {
			return text[:start] + masked + mask(text[i:])
		}
	}
	return text
}

func tokenByte(c byte) bool {
	return isLetter(c) || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.'
}

// secretToken tells whether a run of token bytes is, or ends in, a token known by its form.
func secretToken(run string) bool {
	for _, t := range tokenPrefixes {
		for rest, offset := run, 0; len(rest) >= t.length; {
			at := strings.Index(rest, t.prefix)
			if at < 0 || len(rest)-at < t.length {
				break
			}
			if edge := offset + at; edge == 0 || !isAlphanumeric(run[edge-1]) {
				return true
			}
			offset += at + 1
			rest = run[offset:]
		}
	}
	return false
}

func isAlphanumeric(c byte) bool { return isLetter(c) || (c >= '0' && c <= '9') }

// maskPEM takes private keys out, also one that is cut off.
func maskPEM(text string) string {
	begin := strings.Index(text, "-----BEGIN ")
	if begin < 0 || !strings.Contains(text[begin:], "PRIVATE KEY") {
		return text
	}
	const end = "-----END "
	tail := ""
	if at := strings.Index(text[begin:], end); at >= 0 {
		tail = text[begin+at+len(end):]
		if close := strings.Index(tail, "-----"); close >= 0 {
			tail = tail[close+len("-----"):]
		}
	}
	return text[:begin] + masked + maskPEM(tail)
}

// maskURL takes the password out of scheme://user:password@host.
func maskURL(text string) string {
	var out strings.Builder
	for {
		at := strings.Index(text, "://")
		if at < 0 {
			break
		}
		at += len("://")
		out.WriteString(text[:at])
		text = text[at:]
		host := strings.IndexAny(text, "/?# \t\r\n\"'<>")
		if host < 0 {
			host = len(text)
		}
		sign := strings.LastIndexByte(text[:host], '@')
		colon := strings.IndexByte(text[:host], ':')
		if sign > 0 && colon >= 0 && colon < sign {
			out.WriteString(text[:colon+1] + masked)
			text = text[sign:]
		}
	}
	out.WriteString(text)
	return out.String()
}
