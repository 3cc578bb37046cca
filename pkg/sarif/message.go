// SPDX-License-Identifier: Apache-2.0

package sarif

import (
	"strconv"
	"strings"
)

// A message is a SARIF message (§3.11): a text, or an id of one with arguments.
type message struct {
	text, id  string
	arguments []string
}

// maxArguments is how many arguments of one message are kept, unless their text is too much
// before.
const maxArguments = 100

func (r *run) readMessage(into *message) error {
	var markdown string
	room := maxText
	err := r.object(lenient, func(name []byte) error {
		switch string(name) {
		case "text":
			return r.keepWord(&into.text)
		case "markdown":
			return r.keep(&markdown)
		case "id":
			return r.keepWord(&into.id)
		case "arguments":
			return r.array(lenient, func(i int) error {
				argument, err := r.text()
				if room -= len(argument); i < maxArguments && room >= 0 {
					into.arguments = append(into.arguments, argument)
				}
				return err
			})
		default:
			return r.skip()
		}
	})
	if into.text == "" {
		into.text = markdown
	}
	return err
}

// say returns the message as plain text: its own, else that of its id among the rule's
// strings, else among the component's. "" when it has none of them.
func (m *message) say(d *rule, home *component) string {
	text := m.text
	if text == "" && m.id != "" {
		if d != nil {
			text = d.messages[m.id]
		}
		if text == "" {
			text = home.messages[m.id]
		}
	}
	if len(m.arguments) > 0 {
		text = fill(text, m.arguments)
	}
	return cut(withoutLinks(text), maxText)
}

// fill replaces {0} and so on by the arguments (§3.11.5), and doubled braces by single ones.
// A placeholder without an argument stays as it is.
func fill(text string, arguments []string) string {
	if !strings.ContainsAny(text, "{}") {
		return text
	}
	var out strings.Builder
	for i := 0; i < len(text) && out.Len() <= maxText; i++ {
		c := text[i]
		if (c == '{' || c == '}') && i+1 < len(text) && text[i+1] == c {
			out.WriteByte(c)
			i++
			continue
		}
		if end := strings.IndexByte(text[i:], '}'); c == '{' && end > 1 {
			if n, err := strconv.ParseUint(text[i+1:i+end], 10, 16); err == nil && int(n) < len(arguments) {
				out.WriteString(arguments[n])
				i += end
				continue
			}
		}
		out.WriteByte(c)
	}
	return out.String()
}

// withoutLinks drops the targets of links to places inside the file, [text](1) and
// [text](sarif:/runs/0), which mean nothing outside of it (§3.11.6). Other links stay as the
// tool wrote them.
func withoutLinks(text string) string {
	if !strings.Contains(text, "](") {
		return text
	}
	var out strings.Builder
	for {
		open := strings.IndexByte(text, '[')
		if open < 0 {
			break
		}
		label, target, rest, ok := link(text[open:])
		escaped := open > 0 && text[open-1] == '\\'
		inside := strings.HasPrefix(target, "sarif:") || (target != "" && strings.Trim(target, "0123456789") == "")
		if !ok || escaped || !inside {
			out.WriteString(text[:open+1])
			text = text[open+1:]
			continue
		}
		out.WriteString(text[:open])
		out.WriteString(label)
		text = rest
	}
	out.WriteString(text)
	return out.String()
}

// link takes [label](target) apart; text begins with the bracket.
func link(text string) (label, target, rest string, ok bool) {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '[':
			return "", "", "", false
		case ']':
			if i+1 >= len(text) || text[i+1] != '(' {
				return "", "", "", false
			}
			end := strings.IndexByte(text[i:], ')')
			if end < 0 {
				return "", "", "", false
			}
			return text[1:i], text[i+2 : i+end], text[i+end+1:], true
		}
	}
	return "", "", "", false
}
