// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// makeFolder makes a folder and those above it. New ones get the owner of the first
// that was there: a cache that root fills under sudo stays its user's to empty.
func makeFolder(dir string) error {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	above := filepath.Dir(dir)
	if above == dir {
		return fmt.Errorf("%s is no folder", dir)
	}
	if err := makeFolder(above); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		if again, stat := os.Stat(dir); errors.Is(err, fs.ErrExist) && stat == nil && again.IsDir() {
			return nil // another process was faster
		}
		return fmt.Errorf("%s is no folder: %w", dir, err)
	}
	info, err := os.Stat(above)
	if err != nil {
		return err
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
		return os.Lchown(dir, int(stat.Uid), int(stat.Gid))
	}
	return nil
}
