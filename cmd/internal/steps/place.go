// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"errors"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/knowngood/knowngood/pkg/bucket"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/step"
)

// place holds the inputs that say where the records of an application lie: what reading them
// needs, and a part of subject.
type place struct {
	app     string
	source  string
	catalog string
}

func (p *place) declare(set *step.Set) {
	set.Text(&p.app, "app", "", "Name of the application; empty uses the name of its source repository.")
	set.Text(&p.catalog, "catalog", "",
		"Where the records lie: a folder, or s3://, gs:// or azblob:// with bucket and prefix; empty uses a folder of the user's own.", step.Fact())
	set.Text(&p.source, "source-repository", "", "Repository of the source, as owner/name.", step.Fact())
}

// application returns the name that was given, or the repository's last part in lower case
// with a dash for each run of other characters than letters, digits, dots and underscores.
func (p *place) application() string {
	if p.app != "" {
		return p.app
	}
	name := p.source[strings.LastIndex(p.source, "/")+1:]
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789._", r)
	})
	return strings.Trim(strings.Join(words, "-"), ".")
}

func named(app string) error {
	if app == "" {
		return fault.Hint(fault.Usagef("no application is named"), "give --app, or set KNOWNGOOD_APP, or run in a git checkout that has a remote")
	}
	return nil
}

// url returns where the catalog lies. Without --catalog and without a face that knows a
// better place it is knowngood/catalog in the user's data directory, for this user alone.
func (p *place) url(run *Run) (string, error) {
	if p.catalog != "" {
		return bucket.Locate(run.Dir, p.catalog), nil
	}
	data, err := dataFolder(run.Environ)
	if err != nil {
		return "", fault.Hint(fault.Usagef("no place for the records is known: %w", err), "give --catalog")
	}
	return ownFolder(data, "catalog"), nil
}

// dataFolder is where programs of the user keep what is theirs.
func dataFolder(environ []string) (string, error) {
	if data := variable(environ, "XDG_DATA_HOME"); filepath.IsAbs(data) {
		return data, nil
	}
	if home := variable(environ, "HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".local", "share"), nil
	}
	return "", errors.New("neither XDG_DATA_HOME nor HOME is set")
}

// ownFolder is a folder of the program in the user's data folder.
func ownFolder(data string, names ...string) string {
	parts := append([]string{data, "knowngood"}, names...)
	folder := url.URL{Scheme: "file", Path: filepath.Join(parts...), RawQuery: "dir_file_mode=0700"}
	return folder.String()
}

func variable(environ []string, name string) string {
	for _, pair := range environ {
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			return value
		}
	}
	return ""
}
