// SPDX-License-Identifier: Apache-2.0

package layout

import (
	"strings"
	"testing"
)

func TestCheckName(t *testing.T) {
	t.Parallel()
	for name, ok := range map[string]bool{
		"demo": true, "a": true, "test-2": true, strings.Repeat("a", 20): true,
		"": false, "2test": false, "Demo": false, "a-": false, "a/b": false, "..": false, ".": false, strings.Repeat("a", 21): false,
	} {
		if err := CheckName(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestSocketsFit(t *testing.T) {
	t.Parallel()
	in := &Instance{Name: strings.Repeat("a", 20)}
	const room = 107 // bytes in sockaddr_un, less the final zero
	for _, socket := range []string{in.Control(), in.Path("run", "containerd.sock.ttrpc"), in.Path("kubelet", "plugins_registry", "loop.csi.knowngood.test-reg.sock")} {
		if len(socket) > room {
			t.Errorf("%s has %d bytes", socket, len(socket))
		}
	}
}

func TestSlots(t *testing.T) {
	t.Parallel()
	others := []*Instance{{Slot: 0}, {Slot: 2}, {Slot: -1}}
	if got := freeSlot(others); got != 1 {
		t.Errorf("slot %d, want 1", got)
	}
	first, end := (&Instance{Slot: 1}).LoopRange()
	if next, _ := (&Instance{Slot: 2}).LoopRange(); first != 2000 || end != next {
		t.Errorf("loop devices %d to %d, the next slot's from %d", first, end, next)
	}
	var all []*Instance
	for slot := range maxSlots {
		all = append(all, &Instance{Slot: slot})
	}
	if got := freeSlot(all); got != -1 {
		t.Errorf("slot %d of a full host", got)
	}
}
