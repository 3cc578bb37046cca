// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

type volume struct {
	ID     string            `json:"id"`
	Name   string            `json:"name"`
	Size   int64             `json:"size"`
	Source string            `json:"source,omitempty"` // id of the snapshot or volume it was copied from
	Block  bool              `json:"block,omitempty"`
	Params map[string]string `json:"params,omitempty"` // of its StorageClass
	Opened bool              `json:"opened,omitempty"` // to all users, at its first use
	// Targets are the paths where it is published on the node.
	Targets []string `json:"targets,omitempty"`
}

type snapshot struct {
	ID     string    `json:"id"`
	Name   string    `json:"name"`
	Volume string    `json:"volume"`
	Group  string    `json:"group,omitempty"`
	Size   int64     `json:"size"`
	Block  bool      `json:"block,omitempty"`
	Cut    time.Time `json:"cut"`
	Ready  time.Time `json:"ready"` // when it says that it is ready; zero: at once
	Never  bool      `json:"never,omitempty"`
}

type group struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Members []string  `json:"members"` // snapshot ids
	Cut     time.Time `json:"cut"`
}

// memory is what the driver knows; it is written down before each answer that depends on it.
type memory struct {
	Volumes   map[string]*volume   `json:"volumes"`
	Snapshots map[string]*snapshot `json:"snapshots"`
	Groups    map[string]*group    `json:"groups"`
}

type driver struct {
	csi.UnimplementedIdentityServer
	csi.UnimplementedControllerServer
	csi.UnimplementedGroupControllerServer
	csi.UnimplementedNodeServer

	options
	loop   loops
	failed counter
	mu     sync.Mutex // guards what follows and the files in the pool
	memory
}

func newDriver(ctx context.Context, o options) (*driver, error) {
	d := &driver{options: o, loop: loops{first: o.loops, end: o.loops + loopCount}, memory: memory{
		Volumes: map[string]*volume{}, Snapshots: map[string]*snapshot{}, Groups: map[string]*group{},
	}}
	if err := d.openPool(ctx); err != nil {
		return nil, fmt.Errorf("opening the pool: %w", err)
	}
	for _, folder := range []string{"volumes", "snapshots"} {
		if err := os.MkdirAll(filepath.Join(d.pool(), folder), 0o700); err != nil {
			return nil, err
		}
	}
	data, err := os.ReadFile(filepath.Join(d.pool(), "memory.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return d, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &d.memory); err != nil {
		return nil, fmt.Errorf("reading the driver's memory: %w", err)
	}
	return d, nil
}

// save writes the memory down. Callers hold the lock.
func (d *driver) save() error {
	data, err := json.MarshalIndent(d.memory, "", " ")
	if err != nil {
		return err
	}
	path := filepath.Join(d.pool(), "memory.json")
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// id makes an identifier of bounded length out of a name, the same one each time.
func id(kind, name string) string {
	sum := sha256.Sum256([]byte(name))
	return kind + "-" + hex.EncodeToString(sum[:12])
}

func (d *driver) GetPluginInfo(context.Context, *csi.GetPluginInfoRequest) (*csi.GetPluginInfoResponse, error) {
	return &csi.GetPluginInfoResponse{Name: d.name, VendorVersion: "1"}, nil
}

func (d *driver) GetPluginCapabilities(context.Context, *csi.GetPluginCapabilitiesRequest) (*csi.GetPluginCapabilitiesResponse, error) {
	var all []*csi.PluginCapability
	for _, kind := range []csi.PluginCapability_Service_Type{
		csi.PluginCapability_Service_CONTROLLER_SERVICE, csi.PluginCapability_Service_GROUP_CONTROLLER_SERVICE,
	} {
		service := &csi.PluginCapability_Service{Type: kind}
		all = append(all, &csi.PluginCapability{Type: &csi.PluginCapability_Service_{Service: service}})
	}
	return &csi.GetPluginCapabilitiesResponse{Capabilities: all}, nil
}

func (d *driver) Probe(context.Context, *csi.ProbeRequest) (*csi.ProbeResponse, error) {
	return &csi.ProbeResponse{Ready: wrapperspb.Bool(true)}, nil
}
