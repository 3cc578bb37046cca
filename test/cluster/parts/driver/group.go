// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"slices"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
)

func (d *driver) GroupControllerGetCapabilities(context.Context, *csi.GroupControllerGetCapabilitiesRequest) (*csi.GroupControllerGetCapabilitiesResponse, error) {
	rpc := &csi.GroupControllerServiceCapability_RPC{Type: csi.GroupControllerServiceCapability_RPC_CREATE_DELETE_GET_VOLUME_GROUP_SNAPSHOT}
	return &csi.GroupControllerGetCapabilitiesResponse{Capabilities: []*csi.GroupControllerServiceCapability{
		{Type: &csi.GroupControllerServiceCapability_Rpc{Rpc: rpc}},
	}}, nil
}

// CreateVolumeGroupSnapshot cuts the members one after the other, some milliseconds apart: each is consistent in itself, the
// group is not one instant.
func (d *driver) CreateVolumeGroupSnapshot(ctx context.Context, r *csi.CreateVolumeGroupSnapshotRequest) (*csi.CreateVolumeGroupSnapshotResponse, error) {
	if r.GetName() == "" || len(r.GetSourceVolumeIds()) == 0 {
		return nil, status.Error(codes.InvalidArgument, "a name and source volumes are required")
	}
	late, err := d.suffer(ctx, r.GetName(), r.GetParameters(), r.GetSourceVolumeIds()...)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	g := d.Groups[id("group", r.GetName())]
	if g == nil {
		if g, err = d.cutGroup(r, late); err != nil {
			return nil, err
		}
	}
	want, have := slices.Sorted(slices.Values(r.GetSourceVolumeIds())), []string{}
	for _, member := range g.Members {
		have = append(have, d.Snapshots[member].Volume)
	}
	slices.Sort(have)
	if !slices.Equal(want, have) {
		return nil, status.Errorf(codes.AlreadyExists, "group snapshot %q exists of other volumes", r.GetName())
	}
	return &csi.CreateVolumeGroupSnapshotResponse{GroupSnapshot: d.groupMessage(g)}, nil
}

// cutGroup makes all members or none.
func (d *driver) cutGroup(r *csi.CreateVolumeGroupSnapshotRequest, late fault) (*group, error) {
	g := &group{ID: id("group", r.GetName()), Name: r.GetName(), Cut: time.Now().UTC()}
	for _, source := range r.GetSourceVolumeIds() {
		s, err := d.cut(r.GetName()+"/"+source, source, g.ID, late)
		if err != nil {
			for _, member := range g.Members {
				_ = d.drop(d.Snapshots[member]) // overwritten by the next try
			}
			return nil, err
		}
		g.Members = append(g.Members, s.ID)
	}
	d.Groups[g.ID] = g
	return g, d.saved()
}

func (d *driver) groupMessage(g *group) *csi.VolumeGroupSnapshot {
	m := &csi.VolumeGroupSnapshot{GroupSnapshotId: g.ID, CreationTime: timestamppb.New(g.Cut), ReadyToUse: true}
	for _, member := range g.Members {
		s := d.Snapshots[member].message()
		m.Snapshots = append(m.Snapshots, s)
		m.ReadyToUse = m.ReadyToUse && s.GetReadyToUse()
	}
	return m
}

func (d *driver) DeleteVolumeGroupSnapshot(_ context.Context, r *csi.DeleteVolumeGroupSnapshotRequest) (*csi.DeleteVolumeGroupSnapshotResponse, error) {
	if r.GetGroupSnapshotId() == "" {
		return nil, status.Error(codes.InvalidArgument, "a group snapshot id is required")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	g := d.Groups[r.GetGroupSnapshotId()]
	if g == nil {
		return &csi.DeleteVolumeGroupSnapshotResponse{}, nil
	}
	if err := sameMembers(g, r.GetSnapshotIds()); err != nil {
		return nil, err
	}
	for _, member := range g.Members {
		if s := d.Snapshots[member]; s != nil {
			if err := d.drop(s); err != nil {
				return nil, err
			}
		}
	}
	delete(d.Groups, g.ID)
	return &csi.DeleteVolumeGroupSnapshotResponse{}, d.saved()
}

func (d *driver) GetVolumeGroupSnapshot(_ context.Context, r *csi.GetVolumeGroupSnapshotRequest) (*csi.GetVolumeGroupSnapshotResponse, error) {
	if r.GetGroupSnapshotId() == "" {
		return nil, status.Error(codes.InvalidArgument, "a group snapshot id is required")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	g := d.Groups[r.GetGroupSnapshotId()]
	if g == nil {
		return nil, status.Error(codes.NotFound, "no such group snapshot")
	}
	if err := sameMembers(g, r.GetSnapshotIds()); err != nil {
		return nil, err
	}
	return &csi.GetVolumeGroupSnapshotResponse{GroupSnapshot: d.groupMessage(g)}, nil
}

// sameMembers checks the list that a caller may send along with a group's id.
func sameMembers(g *group, ids []string) error {
	for _, id := range ids {
		if !slices.Contains(g.Members, id) {
			return status.Errorf(codes.InvalidArgument, "snapshot %s is not of group %s", id, g.ID)
		}
	}
	return nil
}
