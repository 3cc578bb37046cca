// SPDX-License-Identifier: Apache-2.0

package git

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
)

// Changed returns the tracked files, sorted, of which the folder or the index has another
// content than the commit that is checked out. Files that git does not track are none of
// them: scanners and builds leave such behind. Of a submodule only its commit counts.
func (c *Checkout) Changed(ctx context.Context) ([]string, error) {
	settings, err := c.withoutFilters(ctx)
	if err != nil {
		return nil, fmt.Errorf("compare the files of %s with its commit: %w", c.dir, err)
	}
	output, err := c.run(ctx, maxFile, append(settings,
		"status", "--porcelain=v1", "-z", "--untracked-files=no", "--ignore-submodules=dirty", "--no-renames")...)
	if err != nil {
		return nil, fmt.Errorf("compare the files of %s with its commit: %w", c.dir, err)
	}
	var files []string
	for row := range strings.SplitSeq(string(output), "\x00") {
		if len(row) > 3 { // "XY PATH"
			files = append(files, row[3:])
		}
	}
	slices.Sort(files)
	return files, nil
}

// withoutFilters returns settings that silence the content filters of the configuration: they
// are programs. A file whose stored form only a filter makes then counts as changed, unless
// the index says that nobody has touched it since it was checked out.
func (c *Checkout) withoutFilters(ctx context.Context) ([]string, error) {
	names, err := c.ask(ctx, "config", "--name-only", "-z", "--get-regexp", `^filter\..*\.(clean|smudge|process|required)$`)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 { // nothing of the kind is set
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var settings []string
	for name := range strings.SplitSeq(names, "\x00") {
		driver := name[:max(0, strings.LastIndexByte(name, '.'))]
		switch {
		case driver == "":
			continue
		case strings.Contains(driver, "="): // the setting would be read as one of another name
			return nil, fmt.Errorf("the name of %s cannot be given to git", driver)
		}
		settings = append(settings, "-c", driver+".clean=", "-c", driver+".process=", "-c", driver+".required=false")
	}
	return settings, nil
}
