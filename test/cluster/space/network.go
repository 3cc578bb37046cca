// SPDX-License-Identifier: Apache-2.0

package space

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/knowngood/knowngood/test/cluster/layout"
)

// links is what the network namespace holds: a loopback, and a pair of virtual cables that ends in itself. The default route
// leads nowhere, so nothing can leave; it makes every address routable, so that those of Services reach the hook that rewrites
// them, and it gives the kubelet the address it looks for.
const links = `link set lo up
link add node0 type veth peer name node1
link set node1 up
addr add ` + layout.NodeAddress + `/24 dev node0
link set node0 up
route add default dev node0 src ` + layout.NodeAddress + `
`

func connect(ctx context.Context) error {
	ip := exec.CommandContext(ctx, "ip", "-batch", "-")
	ip.Stdin = strings.NewReader(links)
	if out, err := ip.CombinedOutput(); err != nil {
		return fmt.Errorf("making the network: ip: %w: %s", err, strings.TrimSpace(string(out)))
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644); err != nil { // of this network namespace
		return fmt.Errorf("letting pods reach each other: %w", err)
	}
	return nil
}
