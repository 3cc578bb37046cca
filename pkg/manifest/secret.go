// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"math"
	"regexp"
	"strings"
)

// Withheld stands in the place of a value that looks like a secret.
const Withheld = "<withheld by knowngood: looks like a secret>"

// secretNames is how things are called whose value is a secret.
var secretNames = regexp.MustCompile(`(?i)pass(word|wd|phrase|code)?($|[^a-z])|pass(word|wd|phrase)|pwd|secret|token|api[-_.]?key|access[-_.]?key|` +
	`private[-_.]?key|(encryption|master|signing|session|account|shared)[-_.]?key|credential|(^|[^a-z])auth$|authorization|cookie|(^|[^a-z])salt($|[^a-z])|` +
	`(^|[^a-z])dsn($|[^a-z])|conn(ection)?[-_.]?(str|string|url|uri)|database[-_.]?ur[li]|licen[sc]e[-_.]?key|(^|[-_.])(key|pin|jwt)$|netrc|pgpass|htpasswd|dockerconfig`)

// pointers are names of what only says where a secret is.
var pointers = regexp.MustCompile(`(?i)([-_.](file|path|dir|name|ref)|File|Path|Dir|Name|Ref)$`)

// secretForms are what secrets look like, whatever they are called.
var secretForms = regexp.MustCompile(strings.Join([]string{
	`-----BEGIN [A-Z0-9 ]*(PRIVATE KEY|PGP MESSAGE)`,
	`[a-zA-Z][a-zA-Z0-9+.-]*://[^/\s:@]*:[^/\s@]+@`, // scheme://user:password@host
	`eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}`,       // a JSON web token
	`\b(AKIA|ASIA)[0-9A-Z]{16}\b`,
	`\bgh[pousr]_[A-Za-z0-9]{20,}`, `github_pat_[A-Za-z0-9_]{20,}`, `glpat-[A-Za-z0-9_-]{16,}`,
	`\bxox[abeprs]-[A-Za-z0-9-]{8,}`, `\b[rs]k[-_](live|test|ant|proj)[-_][A-Za-z0-9_-]{8,}`, `\bsk-[A-Za-z0-9]{16,}`,
	`AIza[0-9A-Za-z_-]{30,}`, `\bya29\.[0-9A-Za-z_-]{16,}`, `\bSG\.[A-Za-z0-9_-]{16,}`, `\bnpm_[A-Za-z0-9]{20,}`, `dckr_pat_[A-Za-z0-9_-]{16,}`,
	`\bhv[sbr]\.[A-Za-z0-9_-]{16,}`, `AGE-SECRET-KEY-1`, `\bdop_v1_[a-f0-9]{32,}`, `\bpypi-[A-Za-z0-9_-]{16,}`,
	`\$(2[abxy]|1|5|6|apr1|argon2(i|d|id)|scrypt|pbkdf2[a-z0-9-]*)\$`, // a hashed password
	`SCRAM-SHA-256\$`,
	`(?i)\b(bearer|basic)\s+[A-Za-z0-9+/_=.-]{8,}`,
	`(?i)[\w.-]*(password|passwd|passphrase|pwd|secret|token|api[-_.]?key|access[-_.]?key|private[-_.]?key|account[-_.]?key|credential)[\w.-]*["']?\s*(:=|=>|[:=])\s*["']?[^\s"'$({<,;]`,
	`(?i)<[\w:.-]*(password|passwd|secret|token|apikey|credential)[\w:.-]*>\s*[^<\s]`,
	`(?i)\b(login|user)\s+\S+\s+password\s+\S`,              // .netrc
	`(?i)\bidentified\s+(with\s+\S+\s+)?by\s+['"]`,          // SQL
	`(?i)\b(encrypted\s+)?password\s+['"]`,                  // SQL, and configurations alike
	`(?m)^[^:\s#]*:(\d+|\*):[^:\s]*:[^:\s]*:[^\s:]+$`,       // .pgpass
	`(?i)--?(password|passwd|secret|token|api-?key)[= ]+\S`, // in a script
}, "|"))

// harmless are values that no secret has, even under the name of one.
var harmless = regexp.MustCompile(`^(?i:|true|false|yes|no|on|off|none|null|enabled|disabled)$`)

// secret tells whether a value that has a name looks like a secret.
func secret(name, value string) bool {
	switch {
	case harmless.MatchString(value):
		return false
	case secretForms.MatchString(value):
		return true
	case pointers.MatchString(name):
		return random(value)
	}
	return secretNames.MatchString(name) || random(value)
}

// certificates are public, however random they look.
var certificates = regexp.MustCompile(`(?s)-----BEGIN (TRUSTED )?CERTIFICATE-----.*?-----END (TRUSTED )?CERTIFICATE-----`)

// words are the runs of characters in which keys are written.
var words = regexp.MustCompile(`[A-Za-z0-9+/_=-]{20,}`)

// bits a character has at least in a key: English words joined by dashes have fewer, and base64
// of chance has more.
const (
	bits      = 3.6
	hexDigits = 32
)

var hexadecimal = regexp.MustCompile(`^[0-9a-fA-F]+$`)

// random tells whether a text holds a run of characters as chance makes it.
func random(text string) bool {
	text = certificates.ReplaceAllString(text, "")
	for _, word := range words.FindAllString(text, -1) {
		if hexadecimal.MatchString(word) {
			if len(word) >= hexDigits {
				return true
			}
			continue
		}
		if strings.Contains(word, "/") && strings.Count(word, "/") >= len(word)/12 {
			continue // a path
		}
		mixed := strings.ContainsAny(word, "0123456789") && strings.ToLower(word) != strings.ToUpper(word)
		if mixed && entropy(word) >= bits {
			return true
		}
	}
	return false
}

// entropy is how many bits each character tells, by how often each occurs.
func entropy(text string) float64 {
	counts := map[rune]int{}
	for _, r := range text {
		counts[r]++
	}
	sum := 0.0
	for _, n := range counts {
		p := float64(n) / float64(len(text))
		sum -= p * math.Log2(p)
	}
	return sum
}
