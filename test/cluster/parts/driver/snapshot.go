// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
)

func (d *driver) CreateSnapshot(ctx context.Context, r *csi.CreateSnapshotRequest) (*csi.CreateSnapshotResponse, error) {
	if r.GetName() == "" || r.GetSourceVolumeId() == "" {
		return nil, status.Error(codes.InvalidArgument, "a name and a source volume are required")
	}
	late, err := d.suffer(ctx, r.GetName(), r.GetParameters(), r.GetSourceVolumeId())
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s, err := d.cut(r.GetName(), r.GetSourceVolumeId(), "", late)
	if err != nil {
		return nil, err
	}
	return &csi.CreateSnapshotResponse{Snapshot: s.message()}, d.saved()
}

// suffer acts out the faults of the snapshot's class and those of the volumes' classes, and returns how late the snapshot is
// to become ready.
func (d *driver) suffer(ctx context.Context, name string, class map[string]string, volumes ...string) (fault, error) {
	late, err := faults(class, faultPrefix)
	if err != nil {
		return late, err
	}
	all := []fault{late}
	d.mu.Lock()
	for _, id := range volumes {
		if v := d.Volumes[id]; v != nil {
			f, _ := faults(v.Params, snapshotFaultPrefix) // read without error when the volume was made
			all = append(all, f)
			late.ready, late.never = max(late.ready, f.ready), late.never || f.never
		}
	}
	d.mu.Unlock()
	for _, f := range all {
		if err := f.suffer(ctx, "snapshot "+name, &d.failed); err != nil {
			return late, err
		}
	}
	return late, nil
}

// cut makes a snapshot, or finds it if it was made before. Callers hold the lock and save.
func (d *driver) cut(name, source, group string, late fault) (*snapshot, error) {
	key := id("snapshot", name)
	if s := d.Snapshots[key]; s != nil {
		if s.Volume != source || s.Group != group {
			return nil, status.Errorf(codes.AlreadyExists, "snapshot %q exists of another volume", name)
		}
		return s, nil
	}
	v := d.Volumes[source]
	if v == nil {
		return nil, status.Error(codes.NotFound, "no such volume")
	}
	now := time.Now().UTC()
	s := &snapshot{ID: key, Name: name, Volume: source, Group: group, Size: v.Size, Block: v.Block, Cut: now, Never: late.never}
	if late.ready > 0 {
		s.Ready = now.Add(late.ready)
	}
	if err := clone(d.volumeFile(source), d.snapshotFile(key), 0); err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	d.Snapshots[key] = s
	return s, nil
}

func (s *snapshot) message() *csi.Snapshot {
	return &csi.Snapshot{
		SnapshotId: s.ID, SourceVolumeId: s.Volume, GroupSnapshotId: s.Group, SizeBytes: s.Size,
		CreationTime: timestamppb.New(s.Cut), ReadyToUse: !s.Never && !time.Now().Before(s.Ready),
	}
}

func (d *driver) DeleteSnapshot(_ context.Context, r *csi.DeleteSnapshotRequest) (*csi.DeleteSnapshotResponse, error) {
	if r.GetSnapshotId() == "" {
		return nil, status.Error(codes.InvalidArgument, "a snapshot id is required")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.Snapshots[r.GetSnapshotId()]
	if s == nil {
		return &csi.DeleteSnapshotResponse{}, nil
	}
	if s.Group != "" {
		return nil, status.Errorf(codes.InvalidArgument, "the snapshot is deleted with its group %s", s.Group)
	}
	if err := d.drop(s); err != nil {
		return nil, err
	}
	return &csi.DeleteSnapshotResponse{}, d.saved()
}

func (d *driver) drop(s *snapshot) error {
	if err := os.Remove(d.snapshotFile(s.ID)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return status.Error(codes.Internal, err.Error())
	}
	delete(d.Snapshots, s.ID)
	return nil
}

func (d *driver) ListSnapshots(_ context.Context, r *csi.ListSnapshotsRequest) (*csi.ListSnapshotsResponse, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []*snapshot
	for _, s := range d.Snapshots {
		if (r.GetSnapshotId() == "" || s.ID == r.GetSnapshotId()) && (r.GetSourceVolumeId() == "" || s.Volume == r.GetSourceVolumeId()) {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b *snapshot) int { return cmp.Compare(a.ID, b.ID) })
	start := 0
	if token := r.GetStartingToken(); token != "" {
		var err error
		if start, err = strconv.Atoi(token); err != nil || start < 0 || start > len(all) {
			return nil, status.Errorf(codes.Aborted, "starting token %q is not one of this list", token)
		}
	}
	end := len(all)
	if most := int(r.GetMaxEntries()); most > 0 {
		end = min(end, start+most)
	}
	answer := &csi.ListSnapshotsResponse{}
	for _, s := range all[start:end] {
		answer.Entries = append(answer.Entries, &csi.ListSnapshotsResponse_Entry{Snapshot: s.message()})
	}
	if end < len(all) {
		answer.NextToken = strconv.Itoa(end)
	}
	return answer, nil
}
