// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func (d *driver) NodeGetInfo(context.Context, *csi.NodeGetInfoRequest) (*csi.NodeGetInfoResponse, error) {
	return &csi.NodeGetInfoResponse{NodeId: d.node}, nil
}

func (d *driver) NodeGetCapabilities(context.Context, *csi.NodeGetCapabilitiesRequest) (*csi.NodeGetCapabilitiesResponse, error) {
	rpc := &csi.NodeServiceCapability_RPC{Type: csi.NodeServiceCapability_RPC_GET_VOLUME_STATS}
	return &csi.NodeGetCapabilitiesResponse{Capabilities: []*csi.NodeServiceCapability{
		{Type: &csi.NodeServiceCapability_Rpc{Rpc: rpc}},
	}}, nil
}

// NodePublishVolume puts a volume where a pod wants it. The kubelet asks again after its own restart: a volume that is there
// already is a success.
func (d *driver) NodePublishVolume(_ context.Context, r *csi.NodePublishVolumeRequest) (*csi.NodePublishVolumeResponse, error) {
	if r.GetVolumeId() == "" || r.GetTargetPath() == "" || r.GetVolumeCapability() == nil {
		return nil, status.Error(codes.InvalidArgument, "a volume id, a target path and a capability are required")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	v := d.Volumes[r.GetVolumeId()]
	if v == nil {
		return nil, status.Error(codes.NotFound, "no such volume")
	}
	block := r.GetVolumeCapability().GetBlock() != nil
	if block != v.Block {
		return nil, status.Error(codes.InvalidArgument, "the volume is of the other mode")
	}
	mounted, err := isMounted(r.GetTargetPath())
	if err == nil && !mounted {
		err = d.publish(v, r.GetTargetPath(), r.GetReadonly())
	}
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	if !slices.Contains(v.Targets, r.GetTargetPath()) {
		v.Targets = append(v.Targets, r.GetTargetPath())
	}
	return &csi.NodePublishVolumeResponse{}, d.saved()
}

func (d *driver) publish(v *volume, target string, readonly bool) error {
	var source string
	var err error
	if v.Block {
		source, err = d.device(v)
		if err == nil {
			err = touch(target)
		}
	} else {
		source, err = d.stage(v)
		if err == nil {
			err = os.MkdirAll(target, 0o750)
		}
	}
	if err != nil {
		return err
	}
	if err := unix.Mount(source, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("binding %s to %s: %w", source, target, err)
	}
	if !readonly {
		return nil
	}
	if err := unix.Mount("", target, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		return errors.Join(fmt.Errorf("making %s read-only: %w", target, err), unix.Unmount(target, 0))
	}
	return nil
}

func (d *driver) staged(v *volume) string { return filepath.Join(d.folder, "mounts", v.ID) }

// stage mounts the volume's filesystem once for all its targets.
func (d *driver) stage(v *volume) (string, error) {
	dir := d.staged(v)
	if mounted, err := isMounted(dir); err != nil || mounted {
		return dir, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	device, err := d.loop.attach(d.volumeFile(v.ID), true)
	if err != nil {
		return "", err
	}
	defer func() { _ = device.Close() }()
	if err := unix.Mount(device.Name(), dir, "ext4", 0, ""); err != nil {
		return "", fmt.Errorf("mounting %s: %w", device.Name(), err)
	}
	if v.Source != "" || v.Opened {
		return dir, nil
	}
	// Pods without an fsGroup may run as any user. Once only: later the mode is the application's.
	v.Opened = true
	return dir, os.Chmod(dir, 0o777) //nolint:gosec // as said
}

// device attaches a raw volume.
func (d *driver) device(v *volume) (string, error) {
	device, err := d.loop.attach(d.volumeFile(v.ID), false)
	if err != nil {
		return "", err
	}
	return device.Name(), device.Close()
}

func touch(path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o660)
	if err != nil {
		return err
	}
	return file.Close()
}

func (d *driver) NodeUnpublishVolume(_ context.Context, r *csi.NodeUnpublishVolumeRequest) (*csi.NodeUnpublishVolumeResponse, error) {
	if r.GetVolumeId() == "" || r.GetTargetPath() == "" {
		return nil, status.Error(codes.InvalidArgument, "a volume id and a target path are required")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := unbind(r.GetTargetPath()); err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	v := d.Volumes[r.GetVolumeId()]
	if v == nil {
		return &csi.NodeUnpublishVolumeResponse{}, nil
	}
	v.Targets = slices.DeleteFunc(v.Targets, func(t string) bool { return t == r.GetTargetPath() })
	if len(v.Targets) == 0 {
		if err := d.release(v); err != nil {
			return nil, status.Error(codes.Internal, err.Error())
		}
	}
	return &csi.NodeUnpublishVolumeResponse{}, d.saved()
}

// unbind takes a volume away from a target, and the target itself with it: the kubelet finds fault with one that stays.
func unbind(target string) error {
	mounted, err := isMounted(target)
	if err != nil {
		return err
	}
	if mounted {
		if err := unix.Unmount(target, 0); err != nil {
			return fmt.Errorf("unmounting %s: %w", target, err)
		}
	}
	if err := os.Remove(target); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// release lets the volume's device go when no target is left.
func (d *driver) release(v *volume) error {
	number := d.loop.number(d.volumeFile(v.ID)) // before the unmount, with which it detaches itself
	if !v.Block {
		if err := unbind(d.staged(v)); err != nil {
			return err
		}
	}
	if number < 0 {
		return nil
	}
	return d.loop.remove(number)
}

func (d *driver) NodeGetVolumeStats(_ context.Context, r *csi.NodeGetVolumeStatsRequest) (*csi.NodeGetVolumeStatsResponse, error) {
	if r.GetVolumeId() == "" || r.GetVolumePath() == "" {
		return nil, status.Error(codes.InvalidArgument, "a volume id and a path are required")
	}
	d.mu.Lock()
	v := d.Volumes[r.GetVolumeId()]
	d.mu.Unlock()
	mounted, err := isMounted(r.GetVolumePath())
	if v == nil || (err == nil && !mounted) {
		return nil, status.Error(codes.NotFound, "no such volume at this path")
	}
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	if v.Block {
		return &csi.NodeGetVolumeStatsResponse{Usage: []*csi.VolumeUsage{{Unit: csi.VolumeUsage_BYTES, Total: v.Size}}}, nil
	}
	var s unix.Statfs_t
	if err := unix.Statfs(r.GetVolumePath(), &s); err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	usage := func(unit csi.VolumeUsage_Unit, size, total, free, available uint64) *csi.VolumeUsage {
		return &csi.VolumeUsage{
			Unit: unit, Total: int64(total * size), Used: int64((total - free) * size), Available: int64(available * size), //nolint:gosec // sizes of files
		}
	}
	return &csi.NodeGetVolumeStatsResponse{Usage: []*csi.VolumeUsage{
		usage(csi.VolumeUsage_BYTES, uint64(s.Bsize), s.Blocks, s.Bfree, s.Bavail), //nolint:gosec // a block size
		usage(csi.VolumeUsage_INODES, 1, s.Files, s.Ffree, s.Ffree),
	}}, nil
}
