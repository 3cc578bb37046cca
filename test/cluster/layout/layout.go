// SPDX-License-Identifier: Apache-2.0

// Package layout names what an instance of the cluster owns on the host: one state folder, one cgroup of its name in every
// hierarchy, one range of loop devices and one loopback port. Everything else lives in the instance's own namespaces, with
// fixed addresses, so that two instances never meet.
package layout

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"
)

// Base holds one folder for each instance; it exists only while there is one.
const Base = "/var/lib/knowngood-cluster"

// Addresses inside an instance's network namespace.
const (
	NodeAddress = "10.231.0.1"
	NodePrefix  = "10.231.0.0/24"
	PodPrefix   = "10.232.0.0/16"
	ServiceCIDR = "10.233.0.0/16"
	APIAddress  = "10.233.0.1"  // ClusterIP of default/kubernetes
	DNSAddress  = "10.233.0.10" // ClusterIP of kube-system/kube-dns
	APIPort     = "6443"
	Domain      = "cluster.local"
)

// loopsPerSlot is how many loop devices an instance may have: its pool and one for each volume in use.
const loopsPerSlot = 1000

var nameRule = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,18}[a-z0-9])?$`)

// ErrAbsent: no instance of that name has anything on this host.
var ErrAbsent = errors.New("no such instance")

// Instance is what the host must remember of an instance; it is kept in its state folder.
type Instance struct {
	Name    string    `json:"name"`
	Slot    int       `json:"slot"`    // a small number that no other instance has
	Init    int       `json:"init"`    // host pid of the process that holds the namespaces; 0: not started
	APIPort int       `json:"apiPort"` // of the forwarder on 127.0.0.1; 0: not started
	Started time.Time `json:"started"`
	// Parts are what the instance has besides Kubernetes.
	Parts []string `json:"parts,omitempty"`
	// Controllers are those that were enabled in the root cgroup (v2) for this instance, and are to be disabled again.
	Controllers []string `json:"controllers,omitempty"`
	// Loops are the loop devices that the host had before.
	Loops []string `json:"loops,omitempty"`
}

// CheckName refuses names that could not be a folder, a cgroup and a node.
func CheckName(name string) error {
	if !nameRule.MatchString(name) {
		return fmt.Errorf("instance name %q: want 1 to 20 lower-case letters, digits and dashes, a letter first", name)
	}
	return nil
}

// Path joins elements to the instance's state folder.
func (i *Instance) Path(elem ...string) string {
	return filepath.Join(append([]string{Base, i.Name}, elem...)...)
}

// Cgroup is the name of the instance's cgroup, directly below the root of each hierarchy.
func (i *Instance) Cgroup() string { return "knowngood-" + i.Name }

// Control is the socket on which the instance's supervisor listens.
func (i *Instance) Control() string { return i.Path("run", "control.sock") }

// Kubeconfig is the file with which any process of the host reaches the API server.
func (i *Instance) Kubeconfig() string { return i.Path("kubeconfig") }

// Admin is the kubeconfig for processes inside the network namespace.
func (i *Instance) Admin() string { return i.Path("pki", "admin.kubeconfig") }

// Program is a program of the instance, by the name it is called by.
func (i *Instance) Program(name string) string { return i.Path("bin", name) }

// LoopRange is the half-open range of the numbers of the instance's loop devices.
func (i *Instance) LoopRange() (first, end int) {
	return (i.Slot + 1) * loopsPerSlot, (i.Slot + 2) * loopsPerSlot
}

// Save writes the instance's memory, whole or not at all.
func (i *Instance) Save() error {
	data, err := json.MarshalIndent(i, "", "  ")
	if err != nil {
		return err
	}
	return WriteFile(i.Path("instance.json"), append(data, '\n'), 0o644)
}

// Load reads an instance's memory. A folder without one is an instance that was killed while it was made: it is returned
// with its name alone.
func Load(name string) (*Instance, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	in := &Instance{Name: name, Slot: -1}
	data, err := os.ReadFile(in.Path("instance.json"))
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(in.Path()); err != nil {
			return nil, fmt.Errorf("cluster %s: %w", name, ErrAbsent)
		}
		return in, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, in); err != nil {
		return nil, fmt.Errorf("reading %s: %w", in.Path("instance.json"), err)
	}
	in.Name = name
	return in, nil
}

// List returns the instances of this host, by name.
func List() ([]*Instance, error) {
	entries, err := os.ReadDir(Base)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var all []*Instance
	for _, entry := range entries {
		if in, err := Load(entry.Name()); err == nil {
			all = append(all, in)
		}
	}
	return all, nil
}

// WriteFile replaces a file in one step, so that no reader sees half of it.
func WriteFile(path string, data []byte, mode fs.FileMode) error {
	temp := path + ".new"
	if err := os.WriteFile(temp, data, mode); err != nil {
		return err
	}
	if err := os.Chmod(temp, mode); err != nil {
		return err
	}
	return os.Rename(temp, path)
}
