// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Parameters of classes with which tests make the driver misbehave. In a VolumeSnapshotClass or VolumeGroupSnapshotClass they
// act on the snapshots of that class. In a StorageClass the plain ones act on provisioning, and those with "snapshot-" after
// the slash act on the snapshots of its volumes, whatever their class.
const (
	faultPrefix         = "knowngood.test/"
	snapshotFaultPrefix = faultPrefix + "snapshot-"

	faultFail  = "fail"        // any text: the call fails with it
	faultCode  = "fail-code"   // gRPC code of that failure, as in "ResourceExhausted"; default "Internal"
	faultTimes = "fail-times"  // number: so many calls of one name fail, then it works; default: all fail
	faultDelay = "delay"       // duration: the call takes this long before it does anything
	faultReady = "ready-after" // duration or "never": a snapshot is cut at once and says so late (snapshots only)
)

type fault struct {
	fail  string
	code  codes.Code
	times int // 0: always
	delay time.Duration
	ready time.Duration
	never bool
}

// faults reads the parameters that begin with the prefix. One that cannot be read is an error: a test that misspells its
// fault must not pass for want of it.
func faults(params map[string]string, prefix string) (fault, error) {
	f := fault{code: codes.Internal}
	for key, value := range params {
		name, ours := strings.CutPrefix(key, prefix)
		if !ours || (prefix == faultPrefix && strings.HasPrefix(name, "snapshot-")) {
			continue
		}
		var err error
		switch name {
		case faultFail:
			f.fail = value
		case faultCode:
			f.code, err = parseCode(value)
		case faultTimes:
			f.times, err = strconv.Atoi(value)
		case faultDelay:
			f.delay, err = time.ParseDuration(value)
		case faultReady:
			if f.never = value == "never"; !f.never {
				f.ready, err = time.ParseDuration(value)
			}
		default:
			return f, status.Errorf(codes.InvalidArgument, "parameter %q is not known to this driver", key)
		}
		if err != nil {
			return f, status.Errorf(codes.InvalidArgument, "parameter %q: %v", key, err)
		}
	}
	return f, nil
}

func parseCode(name string) (codes.Code, error) {
	for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
		if code.String() == name {
			return code, nil
		}
	}
	return 0, status.Errorf(codes.InvalidArgument, "no gRPC code %q", name)
}

// counter remembers how often the calls of a name failed on purpose.
type counter struct {
	mu    sync.Mutex
	calls map[string]int
}

func (c *counter) next(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls == nil {
		c.calls = map[string]int{}
	}
	c.calls[name]++
	return c.calls[name]
}

// suffer waits and fails as it is told, in a call for something of this name.
func (f fault) suffer(ctx context.Context, name string, failed *counter) error {
	if f.delay > 0 {
		select {
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		case <-time.After(f.delay):
		}
	}
	if f.fail != "" && (f.times == 0 || failed.next(name) <= f.times) {
		return status.Error(f.code, f.fail)
	}
	return nil
}
