// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	defaultSize = 1 << 30
	smallest    = 4 << 20 // of a filesystem with a journal, in round numbers
)

func (d *driver) ControllerGetCapabilities(context.Context, *csi.ControllerGetCapabilitiesRequest) (*csi.ControllerGetCapabilitiesResponse, error) {
	var all []*csi.ControllerServiceCapability
	for _, kind := range []csi.ControllerServiceCapability_RPC_Type{
		csi.ControllerServiceCapability_RPC_CREATE_DELETE_VOLUME,
		csi.ControllerServiceCapability_RPC_CREATE_DELETE_SNAPSHOT,
		csi.ControllerServiceCapability_RPC_LIST_SNAPSHOTS,
		csi.ControllerServiceCapability_RPC_CLONE_VOLUME,
	} {
		rpc := &csi.ControllerServiceCapability_RPC{Type: kind}
		all = append(all, &csi.ControllerServiceCapability{Type: &csi.ControllerServiceCapability_Rpc{Rpc: rpc}})
	}
	return &csi.ControllerGetCapabilitiesResponse{Capabilities: all}, nil
}

func (d *driver) CreateVolume(ctx context.Context, r *csi.CreateVolumeRequest) (*csi.CreateVolumeResponse, error) {
	if r.GetName() == "" {
		return nil, status.Error(codes.InvalidArgument, "a name is required")
	}
	block, err := wanted(r.GetVolumeCapabilities())
	if err != nil {
		return nil, err
	}
	f, err := faults(r.GetParameters(), faultPrefix)
	if err != nil {
		return nil, err
	}
	if _, err := faults(r.GetParameters(), snapshotFaultPrefix); err != nil {
		return nil, err
	}
	if err := f.suffer(ctx, "volume "+r.GetName(), &d.failed); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	source, from, least, err := d.source(r.GetVolumeContentSource(), block)
	if err != nil {
		return nil, err
	}
	v := d.Volumes[id("volume", r.GetName())]
	if v == nil {
		v = &volume{ID: id("volume", r.GetName()), Name: r.GetName(), Source: source, Block: block, Params: r.GetParameters()}
		if v.Size, err = d.size(r.GetCapacityRange(), least); err != nil {
			return nil, err
		}
		if err := d.create(ctx, v, from, least); err != nil {
			return nil, status.Error(codes.Internal, err.Error())
		}
	}
	limit := r.GetCapacityRange().GetLimitBytes()
	if v.Size < r.GetCapacityRange().GetRequiredBytes() || (limit > 0 && v.Size > limit) || v.Source != source || v.Block != block {
		return nil, status.Errorf(codes.AlreadyExists, "volume %q exists with another size, source or mode", r.GetName())
	}
	return &csi.CreateVolumeResponse{Volume: &csi.Volume{
		VolumeId: v.ID, CapacityBytes: v.Size, ContentSource: r.GetVolumeContentSource(),
	}}, nil
}

// wanted reads the capabilities of a volume: raw or ext4.
func wanted(all []*csi.VolumeCapability) (block bool, err error) {
	if len(all) == 0 {
		return false, status.Error(codes.InvalidArgument, "volume capabilities are required")
	}
	for _, c := range all {
		if c.GetBlock() != nil {
			block = true
		} else if kind := c.GetMount().GetFsType(); kind != "" && kind != "ext4" {
			return false, status.Errorf(codes.InvalidArgument, "filesystem %q: this driver makes ext4 only", kind)
		}
	}
	return block, nil
}

// source returns the id and the image of what a new volume is to be copied from, and its size; all zero for an empty volume.
func (d *driver) source(s *csi.VolumeContentSource, block bool) (id, image string, size int64, err error) {
	var raw bool
	switch {
	case s == nil:
		return "", "", 0, nil
	case s.GetSnapshot() != nil:
		origin := d.Snapshots[s.GetSnapshot().GetSnapshotId()]
		if origin == nil {
			return "", "", 0, status.Error(codes.NotFound, "no such snapshot")
		}
		id, image, size, raw = origin.ID, d.snapshotFile(origin.ID), origin.Size, origin.Block
	default:
		origin := d.Volumes[s.GetVolume().GetVolumeId()]
		if origin == nil {
			return "", "", 0, status.Error(codes.NotFound, "no such volume")
		}
		id, image, size, raw = origin.ID, d.volumeFile(origin.ID), origin.Size, origin.Block
	}
	if raw && !block {
		return "", "", 0, status.Error(codes.InvalidArgument, "the source is a raw volume, which holds no filesystem of this driver's")
	}
	return id, image, size, nil
}

// size chooses the size of a new volume: what is required, not less than the source, within the limit and the pool.
func (d *driver) size(r *csi.CapacityRange, least int64) (int64, error) {
	size := r.GetRequiredBytes()
	switch limit := r.GetLimitBytes(); {
	case size == 0 && least > 0:
		size = least
	case size == 0 && limit > 0:
		size = min(limit, defaultSize)
	case size == 0:
		size = defaultSize
	}
	if least > 0 && size < least {
		return 0, status.Errorf(codes.OutOfRange, "%d bytes are less than the source's %d", size, least)
	}
	size = max(size, smallest)
	if limit := r.GetLimitBytes(); limit > 0 && size > limit {
		return 0, status.Errorf(codes.OutOfRange, "no volume of %d bytes or less is possible", limit)
	}
	if size > d.poolSize {
		return 0, status.Errorf(codes.OutOfRange, "%d bytes are more than the pool's %d", size, d.poolSize)
	}
	return size, nil
}

// create makes the image, from that of a source with its size if there is one, and remembers the volume. What a failure leaves behind is overwritten by the next try.
func (d *driver) create(ctx context.Context, v *volume, from string, least int64) error {
	image := d.volumeFile(v.ID)
	if from != "" {
		if err := clone(from, image, v.Size); err != nil {
			return err
		}
		if v.Size > least && !v.Block {
			if err := grow(ctx, image); err != nil {
				return err
			}
		}
	} else {
		if err := blank(image, v.Size); err != nil {
			return err
		}
		if !v.Block {
			if err := format(ctx, image); err != nil {
				return err
			}
		}
	}
	d.Volumes[v.ID] = v
	return d.save()
}

func (d *driver) DeleteVolume(_ context.Context, r *csi.DeleteVolumeRequest) (*csi.DeleteVolumeResponse, error) {
	if r.GetVolumeId() == "" {
		return nil, status.Error(codes.InvalidArgument, "a volume id is required")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	v := d.Volumes[r.GetVolumeId()]
	if v == nil {
		return &csi.DeleteVolumeResponse{}, nil
	}
	if len(v.Targets) > 0 {
		return nil, status.Errorf(codes.FailedPrecondition, "the volume is published at %v", v.Targets)
	}
	if err := os.Remove(d.volumeFile(v.ID)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, status.Error(codes.Internal, err.Error())
	}
	delete(d.Volumes, v.ID)
	return &csi.DeleteVolumeResponse{}, d.saved()
}

// saved is save with the error of an answer.
func (d *driver) saved() error {
	if err := d.save(); err != nil {
		return status.Error(codes.Internal, err.Error())
	}
	return nil
}

func (d *driver) ValidateVolumeCapabilities(_ context.Context, r *csi.ValidateVolumeCapabilitiesRequest) (*csi.ValidateVolumeCapabilitiesResponse, error) {
	if r.GetVolumeId() == "" || len(r.GetVolumeCapabilities()) == 0 {
		return nil, status.Error(codes.InvalidArgument, "a volume id and capabilities are required")
	}
	d.mu.Lock()
	v := d.Volumes[r.GetVolumeId()]
	d.mu.Unlock()
	if v == nil {
		return nil, status.Error(codes.NotFound, "no such volume")
	}
	block, err := wanted(r.GetVolumeCapabilities())
	if err != nil || (v.Block && !block) {
		return &csi.ValidateVolumeCapabilitiesResponse{Message: "the volume is a raw device, or of another filesystem"}, nil
	}
	return &csi.ValidateVolumeCapabilitiesResponse{Confirmed: &csi.ValidateVolumeCapabilitiesResponse_Confirmed{
		VolumeCapabilities: r.GetVolumeCapabilities(), VolumeContext: r.GetVolumeContext(), Parameters: r.GetParameters(),
	}}, nil
}
