// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestFaults(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		params map[string]string
		prefix string
		want   fault
		code   codes.Code
	}{
		"none":       {nil, faultPrefix, fault{code: codes.Internal}, codes.OK},
		"others":     {map[string]string{"type": "fast"}, faultPrefix, fault{code: codes.Internal}, codes.OK},
		"fail":       {map[string]string{"knowngood.test/fail": "quota exceeded"}, faultPrefix, fault{fail: "quota exceeded", code: codes.Internal}, codes.OK},
		"code":       {map[string]string{"knowngood.test/fail-code": "ResourceExhausted"}, faultPrefix, fault{code: codes.ResourceExhausted}, codes.OK},
		"delay":      {map[string]string{"knowngood.test/delay": "5s"}, faultPrefix, fault{code: codes.Internal, delay: 5 * time.Second}, codes.OK},
		"late":       {map[string]string{"knowngood.test/ready-after": "2s"}, faultPrefix, fault{code: codes.Internal, ready: 2 * time.Second}, codes.OK},
		"never":      {map[string]string{"knowngood.test/ready-after": "never"}, faultPrefix, fault{code: codes.Internal, never: true}, codes.OK},
		"a volume's": {map[string]string{"knowngood.test/snapshot-fail": "no"}, snapshotFaultPrefix, fault{code: codes.Internal, fail: "no"}, codes.OK},
		"not its provisioning": {
			map[string]string{"knowngood.test/snapshot-fail": "no"}, faultPrefix, fault{code: codes.Internal}, codes.OK,
		},
		"times":    {map[string]string{"knowngood.test/fail-times": "2"}, faultPrefix, fault{code: codes.Internal, times: 2}, codes.OK},
		"misspelt": {map[string]string{"knowngood.test/fial": "no"}, faultPrefix, fault{code: codes.Internal}, codes.InvalidArgument},
		"no time":  {map[string]string{"knowngood.test/delay": "5"}, faultPrefix, fault{code: codes.Internal}, codes.InvalidArgument},
		"no code":  {map[string]string{"knowngood.test/fail-code": "Oops"}, faultPrefix, fault{}, codes.InvalidArgument},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := faults(test.params, test.prefix)
			if status.Code(err) != test.code {
				t.Fatalf("error %v, want code %v", err, test.code)
			}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(fault{})); err == nil && diff != "" {
				t.Errorf("fault (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSuffer(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	var failed counter
	if err := (fault{}).suffer(ctx, "s", &failed); err != nil {
		t.Errorf("no fault fails: %v", err)
	}
	if err := (fault{fail: "full", code: codes.ResourceExhausted}).suffer(ctx, "s", &failed); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("got %v, want ResourceExhausted", err)
	}
	twice := fault{fail: "busy", code: codes.Unavailable, times: 2}
	var got []codes.Code
	for range 3 {
		got = append(got, status.Code(twice.suffer(ctx, "t", &failed)))
	}
	if diff := cmp.Diff([]codes.Code{codes.Unavailable, codes.Unavailable, codes.OK}, got); diff != "" {
		t.Errorf("a fault of two times (-want +got):\n%s", diff)
	}
	cancel()
	if err := (fault{delay: time.Hour}).suffer(ctx, "s", &failed); status.Code(err) != codes.Canceled {
		t.Errorf("a delay outlives its caller: %v", err)
	}
}
