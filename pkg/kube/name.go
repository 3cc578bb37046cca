// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
)

// maxName is the length of a DNS-1123 label and of a label's value.
const maxName = 63

// digestLength is how many hex digits tell two texts apart that look alike once they were
// shortened: 40 bits, for the few names that one namespace ever holds.
const digestLength = 10

// Name joins parts into a DNS-1123 label of at most 63 bytes, fit to name any object. It
// ends in a digest of the parts, so ("a-b", "c") and ("a", "b-c") differ, and so do long
// texts that are alike at their beginning. The same parts give the same name for ever.
func Name(parts ...string) string {
	stem := clean(strings.ToLower(strings.Join(parts, "-")), maxName-digestLength-1, isNameByte)
	if stem == "" {
		stem = "x"
	}
	return stem + "-" + digest(parts...)
}

// LabelValue returns text as the value of a label: text itself where that is valid, else
// as much as is valid and fits, and a digest. Keep the whole text in an annotation.
func LabelValue(text string) string {
	if text == "" || validLabel(text) {
		return text
	}
	stem := clean(text, maxName-digestLength-1, isLabelByte)
	if stem == "" {
		return digest(text)
	}
	return stem + "-" + digest(text)
}

func validLabel(text string) bool {
	return len(text) <= maxName && clean(text, maxName, isLabelByte) == text
}

// clean keeps the bytes that are allowed, puts one dash for each run of others, and cuts
// at limit; the result neither begins nor ends with anything but a letter or a digit.
func clean(text string, limit int, allowed func(byte) bool) string {
	kept := make([]byte, 0, len(text))
	for i := range len(text) {
		switch {
		case allowed(text[i]):
			kept = append(kept, text[i])
		case len(kept) > 0 && kept[len(kept)-1] != '-':
			kept = append(kept, '-')
		}
	}
	if result := strings.Trim(string(kept), "-_."); len(result) <= limit {
		return result
	}
	return strings.Trim(strings.Trim(string(kept), "-_.")[:limit], "-_.")
}

func isNameByte(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= '0' && b <= '9' || b == '-'
}

func isLabelByte(b byte) bool {
	return isNameByte(b) || b >= 'A' && b <= 'Z' || b == '_' || b == '.'
}

func digest(parts ...string) string {
	var told strings.Builder
	for _, part := range parts {
		told.WriteString(strconv.Itoa(len(part)) + ":" + part + ",")
	}
	sum := sha256.Sum256([]byte(told.String()))
	return hex.EncodeToString(sum[:])[:digestLength]
}
