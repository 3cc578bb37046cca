// SPDX-License-Identifier: Apache-2.0

package git

import "strings"

// clean returns an environment in which git finds the repository of its working directory
// and nothing else: without what another git process says of its own repository and its own
// configuration, without questions, in the language that explain reads.
func clean(environ []string) []string {
	kept := []string{}
	for _, pair := range environ {
		name, _, _ := strings.Cut(pair, "=")
		if strings.HasPrefix(name, "GIT_") && name != "GIT_EXEC_PATH" || name == "LC_ALL" || name == "LANGUAGE" {
			continue
		}
		kept = append(kept, pair)
	}
	return append(kept,
		"LC_ALL=C",
		"GIT_TERMINAL_PROMPT=0",
		"GIT_OPTIONAL_LOCKS=0",
		"GIT_NO_LAZY_FETCH=1",
		"GIT_NO_REPLACE_OBJECTS=1",
	)
}
