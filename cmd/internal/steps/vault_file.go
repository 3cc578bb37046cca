// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// keyFile names the variable with the path of the file that holds the key.
const keyFile = "KNOWNGOOD_REPOSITORY_PASSWORD_FILE"

// warnOfReaders tells when others than its owner may read or change the file of the key. It is no
// error: how a file is mounted is not always the person's to choose.
func warnOfReaders(run *Run) {
	path := variable(run.Environ, keyFile)
	if path == "" {
		return
	}
	if mode, open := openToOthers(path); open {
		run.Log.Warn("others than its owner may read the file of the key: chmod 600 it, and if they are not trusted change the key with knowngood key rotate",
			"file", path, "mode", mode.String())
	}
}

// openToOthers tells whether a file is there for others than its owner. A Secret that Kubernetes
// mounts lies behind a link ..data, readable by all in a container that nobody else is in.
func openToOthers(path string) (fs.FileMode, bool) {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o077 == 0 {
		return 0, false
	}
	if place, err := filepath.EvalSymlinks(path); err == nil && strings.HasPrefix(filepath.Base(filepath.Dir(place)), "..") {
		return 0, false
	}
	return info.Mode().Perm(), true
}
