// SPDX-License-Identifier: Apache-2.0

package sarif

import (
	"errors"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
)

// memoryBound is what reading may take, besides the findings that it returns.
const memoryBound = 64 << 20

// TestMemoryIsBoundedByTheFindings reads a log while it is generated: 64 MB of it, and a whole
// gigabyte in a soak.
func TestMemoryIsBoundedByTheFindings(t *testing.T) {
	size := int64(64 << 20)
	if os.Getenv("KNOWNGOOD_SOAK") != "" {
		size = 1 << 30
	}
	debug.FreeOSMemory()
	before, live := taken(), alive()
	reader, writer := io.Pipe()
	results := make(chan int, 1)
	go func() {
		n, err := generate(writer, size, false)
		results <- n
		writer.CloseWithError(errors.Join(err, io.EOF))
	}()
	watched := &watch{from: reader}
	scans, err := Read(watched, "generated", Options{Limits: Limits{Findings: 1_000_000}})
	if err != nil {
		t.Fatal(err)
	}
	if want := <-results; count(scans) != want || want == 0 {
		t.Fatalf("%d findings of %d", count(scans), want)
	}
	findings := alive() - live
	runtime.KeepAlive(scans)
	peak := watched.peak - before
	t.Logf("%d MB of SARIF, %d findings: at most %d MB taken, of which the findings are %d MB",
		size>>20, count(scans), peak>>20, findings>>20)
	if peak > memoryBound+findings {
		t.Errorf("took %d MB, where 64 MB and the findings' %d MB are allowed", peak>>20, findings>>20)
	}
}

// A watch remembers the most memory that the process had while it was read from.
type watch struct {
	from io.Reader
	read int
	peak int64
}

func (w *watch) Read(p []byte) (int, error) {
	n, err := w.from.Read(p)
	if w.read += n; w.read >= 1<<20 || err != nil {
		w.read, w.peak = 0, max(w.peak, taken())
	}
	return n, err
}

// taken is what the process has of the system's memory.
func taken() int64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	return int64(samples[0].Value.Uint64() - samples[1].Value.Uint64())
}

// alive is what of the heap is in use.
func alive() int64 {
	runtime.GC()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	return int64(memory.HeapAlloc)
}
