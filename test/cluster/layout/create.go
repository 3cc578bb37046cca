// SPDX-License-Identifier: Apache-2.0

package layout

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// folders of an instance's state; the modes keep private keys from other users while the way to the kubeconfig stays open.
var folders = []struct {
	name string
	mode fs.FileMode
}{
	{"", 0o755},
	{"bin", 0o755},
	{"conf", 0o755},
	{"log", 0o755},
	{"pki", 0o700},
	{"run", 0o700},
	{"scratch", 0o700}, // mount point of the private mount namespace's own tmpfs
	{"etcd", 0o700},
	{"kubelet", 0o755},
	{"kubelet/plugins_registry", 0o750},
	{"containerd", 0o711},
	{"volumes", 0o700},
}

// maxSlots bounds the instances of a host: their ranges of loop devices end below the largest device number.
const maxSlots = 100

// Create makes the state folder of a new instance with these parts and gives it a slot. It fails with fs.ErrExist when there is one already.
func Create(name string, parts []string) (*Instance, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	unlock, err := Lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	others, err := List()
	if err != nil {
		return nil, err
	}
	in := &Instance{Name: name, Slot: freeSlot(others), Parts: parts}
	if in.Slot < 0 {
		return nil, fmt.Errorf("all %d slots for instances are taken: see %s", maxSlots, Base)
	}
	if in.Loops, err = filepath.Glob("/sys/block/loop*"); err != nil {
		return nil, err
	}
	if err := os.Mkdir(in.Path(), 0o755); err != nil {
		return nil, err
	}
	if err := in.Save(); err != nil {
		return nil, err
	}
	for _, f := range folders {
		if err := os.MkdirAll(in.Path(f.name), f.mode); err != nil {
			return nil, err
		}
	}
	return in, nil
}

func freeSlot(others []*Instance) int {
	for slot := range maxSlots {
		if !slices.ContainsFunc(others, func(o *Instance) bool { return o.Slot == slot }) {
			return slot
		}
	}
	return -1
}

// Lock serialises the making and the removing of instances. It makes Base; the unlock function removes it when it is empty.
func Lock() (unlock func(), err error) {
	for {
		if err := os.MkdirAll(Base, 0o755); err != nil {
			return nil, err
		}
		dir, err := os.Open(Base)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed by another's unlock between the two calls
		}
		if err != nil {
			return nil, err
		}
		if err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX); err != nil {
			_ = dir.Close()
			return nil, fmt.Errorf("locking %s: %w", Base, err)
		}
		if same(dir, Base) {
			return func() {
				_ = os.Remove(Base) // fails while it holds an instance
				_ = dir.Close()
			}, nil
		}
		_ = dir.Close() // the folder that was locked is gone: lock the one that is there now
	}
}

func same(file *os.File, path string) bool {
	a, errA := file.Stat()
	b, errB := os.Stat(path)
	return errA == nil && errB == nil && os.SameFile(a, b)
}

// ErrClaimed: another process is starting the instance.
var ErrClaimed = errors.New("another process is starting it")

// Claim keeps others from taking a half made instance for the remains of a dead one. It ends with the process.
func (i *Instance) Claim() (release func(), err error) {
	dir, err := os.Open(i.Path())
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = dir.Close()
		return nil, fmt.Errorf("cluster %s: %w", i.Name, ErrClaimed)
	}
	return func() { _ = dir.Close() }, nil
}

// Forget removes the instance's state folder and gives its slot back.
func (i *Instance) Forget() error {
	unlock, err := Lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := os.RemoveAll(i.Path()); err != nil {
		return fmt.Errorf("removing the state of %s: %w", i.Name, err)
	}
	return nil
}
