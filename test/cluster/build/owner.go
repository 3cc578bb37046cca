// SPDX-License-Identifier: Apache-2.0

package build

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// owner is the user behind sudo. The caches are that user's: what root would write into them could not be used or removed
// by its owner any more.
type owner struct {
	uid, gid int
	name     string
	home     string
}

// invoker returns the user who called sudo, or nil when there was no sudo.
func invoker() (*owner, error) {
	id := os.Getenv("SUDO_UID")
	if os.Geteuid() != 0 || id == "" || id == "0" {
		return nil, nil //nolint:nilnil // a nil owner is the current user
	}
	who, err := user.LookupId(id)
	if err != nil {
		return nil, fmt.Errorf("SUDO_UID: %w", err)
	}
	uid, errUID := strconv.Atoi(who.Uid)
	gid, errGID := strconv.Atoi(who.Gid)
	return &owner{uid: uid, gid: gid, name: who.Username, home: who.HomeDir}, errors.Join(errUID, errGID)
}

func (o *owner) cacheDir() (string, error) {
	if o == nil || os.Getenv("XDG_CACHE_HOME") != "" {
		return os.UserCacheDir()
	}
	return filepath.Join(o.home, ".cache"), nil
}

// environ is the environment for a program that runs as the owner.
func (o *owner) environ(env []string) []string {
	if o == nil {
		return env
	}
	kept := slices.DeleteFunc(slices.Clone(env), func(entry string) bool {
		key, _, _ := strings.Cut(entry, "=")
		return key == "HOME" || key == "USER" || key == "LOGNAME" || strings.HasPrefix(key, "SUDO_")
	})
	return append(kept, "HOME="+o.home, "USER="+o.name, "LOGNAME="+o.name)
}

func (o *owner) attributes() *syscall.SysProcAttr {
	if o == nil {
		return nil
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(o.uid), Gid: uint32(o.gid)}}
}

// own gives a path to the owner.
func (o *owner) own(path string) error {
	if o == nil {
		return nil
	}
	return os.Lchown(path, o.uid, o.gid)
}

// mkdir makes a folder and those above it that are missing; they belong to the owner.
func (o *owner) mkdir(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := o.mkdir(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return o.own(dir)
}

func (o *owner) mkdirTemp(dir string) (string, error) {
	temp, err := os.MkdirTemp(dir, "building-")
	if err != nil {
		return "", err
	}
	return temp, o.own(temp)
}

// Own gives a path to the user behind sudo, if there is one.
func Own(path string) error {
	user, err := invoker()
	if err != nil {
		return err
	}
	return user.own(path)
}
