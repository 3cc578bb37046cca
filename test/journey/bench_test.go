// SPDX-License-Identifier: Apache-2.0

package journey

import "testing"

// BenchmarkRelease measures what a whole release of the clean commit costs knowngood itself: its
// own CPU time, without what it waits for and without the deploy command, and its largest
// resident size. The goals are below 2 s and below 150 MB.
//
//	KNOWNGOOD_TEST_INSTANCE=NAME go test -run '^$' -bench Release -benchtime 5x ./test/journey
func BenchmarkRelease(b *testing.B) {
	j := begin(b, "bench")
	var cpu, waited float64
	var peak int64
	for b.Loop() {
		got, err := j.Release(b.Context(), "clean")
		if err != nil {
			b.Fatal(err)
		}
		if got.Status != 0 {
			b.Fatalf("exit status %d:\n%s", got.Status, got.Log)
		}
		for _, e := range got.Record.Entries {
			cpu, waited, peak = cpu+e.CPUSeconds, waited+e.Waited, max(peak, e.PeakBytes)
		}
	}
	b.ReportMetric(cpu/float64(b.N), "own-cpu-s/release")
	b.ReportMetric(waited/float64(b.N), "waited-s/release")
	b.ReportMetric(float64(peak)/1e6, "peak-MB")
}
