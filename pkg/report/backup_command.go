// SPDX-License-Identifier: Apache-2.0

package report

import (
	"regexp"
	"slices"
	"strings"

	"github.com/knowngood/knowngood/pkg/release"
)

// plainWord is what a shell reads as it is written.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9/][A-Za-z0-9/._:@%+,=-]{0,300}$`)

// longestWord is how many bytes a word may have that is put on a line of a shell.
const longestWord = 1000

// shellWord writes text so that a shell reads it as one word, "" where it cannot stand on a line
// as it is.
func shellWord(text string) string {
	switch {
	case plainWord.MatchString(text):
		return text
	case text == "" || text[0] == '-' || len(text) > longestWord || Clean(text) != text || defuse(text) != text:
		return ""
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// restoreCommand is the command that restores a backup, "" where its place cannot be put on a line
// of a shell. What was allowed for the save has to be allowed again.
func restoreCommand(c release.Copies, id string) string {
	place := shellWord(c.Given())
	if place == "" || !plainWord.MatchString(id) {
		return ""
	}
	command := "knowngood backup restore " + id + " --repository " + place
	if c.InClear != "" {
		command += " --allow-http"
	}
	return command + " --to FOLDER"
}

// mostCommands is how many backups have a command of their own under the table.
const mostCommands = 5

// restoreCommands are the commands that restore the backups of a table.
type restoreCommands struct {
	each []string
	// general are the same with a word for the id, one for each repository.
	general []string
}

func (r *restoreCommands) add(c release.Copies, id string) {
	command := restoreCommand(c, id)
	if command == "" {
		return
	}
	r.each = append(r.each, command)
	if general := restoreCommand(c, "BACKUP"); !slices.Contains(r.general, general) {
		r.general = append(r.general, general)
	}
}

// block has the command of each backup, or where they are many the general ones.
func (r *restoreCommands) block() string {
	switch {
	case len(r.each) == 0:
		return ""
	case len(r.each) <= mostCommands:
		return "```sh\n" + strings.Join(r.each, "\n") + "\n```\n\n"
	}
	return "Each is restored by its name in the column *backup*:\n\n```sh\n" + strings.Join(r.general, "\n") + "\n```\n\n"
}
