// SPDX-License-Identifier: Apache-2.0

package catalog_test

import (
	"bufio"
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/knowngood/knowngood/pkg/catalog"
)

// child is set in a process that a test starts to write entries; its value is how many, and
// "endless" writes large ones until it is killed.
const child = "KNOWNGOOD_TEST_CHILD"

// soak makes the tests that kill run long.
const soak = "KNOWNGOOD_SOAK"

func TestMain(m *testing.M) {
	if os.Getenv(child) == "" {
		os.Exit(m.Run())
	}
	c, err := catalog.Open(context.Background(), os.Args[1], time.Now)
	if err != nil {
		panic(err)
	}
	e := entry("production", "1", commitA, "snapshot")
	endless := os.Getenv(child) == "endless"
	if endless {
		e.Error = strings.Repeat("x", 4<<20)
	}
	for i := 0; endless || i < 20; i++ {
		stored, err := c.Append(context.Background(), e)
		if err != nil {
			panic(err)
		}
		os.Stdout.WriteString(stored.ID + "\n")
	}
}

func writer(t *testing.T, folder, how string) *exec.Cmd {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), program, folder)
	command.Env = append(os.Environ(), child+"="+how)
	command.Stderr = os.Stderr
	return command
}

func TestProcessesThatWriteAtTheSameTimeLoseNothing(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	var both sync.WaitGroup
	written := make([][]byte, 2)
	for i := range written {
		both.Go(func() {
			var err error
			if written[i], err = writer(t, folder, "20").Output(); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	c := open(t, folder, start())
	record, err := c.Record(t.Context(), "shop", "", "1")
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, e := range record.Entries {
		ids[e.ID] = true
	}
	for id := range strings.FieldsSeq(string(written[0]) + string(written[1])) {
		if !ids[id] {
			t.Errorf("entry %s is lost", id)
		}
	}
	if len(ids) != 40 {
		t.Errorf("%d entries, want 40", len(ids))
	}
	if err := c.Verify(t.Context(), "shop", "", "1"); err != nil {
		t.Error(err)
	}
}

func TestAWriterThatIsKilledLeavesWholeEntries(t *testing.T) {
	t.Parallel()
	folder, kills := t.TempDir(), 5
	if os.Getenv(soak) != "" {
		kills = 200
	} else {
		t.Logf("%d kills; %s=1 makes them 200", kills, soak)
	}
	random := rand.New(rand.NewPCG(1, 2))
	acknowledged, entries, halves := map[string]bool{}, 0, 0
	for range kills {
		command := writer(t, folder, "endless")
		stdout, err := command.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(stdout)
		lines.Scan() // it has begun
		acknowledged[lines.Text()] = true
		kill := time.AfterFunc(time.Duration(random.IntN(int(40*time.Millisecond))), func() { command.Process.Kill() })
		for lines.Scan() {
			acknowledged[lines.Text()] = true
		}
		_ = command.Wait() // killed
		kill.Stop()
		entries += len(acknowledged)
		halves += check(t, folder, acknowledged)
		if t.Failed() {
			return
		}
	}
	t.Logf("%d acknowledged entries, %d kills, %d of them in the middle of a write", entries, kills, halves)
}

// check reads the folder after a kill, empties it, and returns how many temporary files the
// killed writer left.
func check(t *testing.T, folder string, acknowledged map[string]bool) int {
	t.Helper()
	c := open(t, folder, start())
	record, err := c.Record(t.Context(), "shop", "", "1")
	if err != nil {
		t.Errorf("after a kill: %v", err)
	}
	found := map[string]bool{}
	for _, e := range record.Entries {
		found[e.ID] = true
	}
	for id := range acknowledged {
		if !found[id] {
			t.Errorf("entry %s was acknowledged and is lost", id)
		}
	}
	if err := c.Verify(t.Context(), "shop", "", "1"); err != nil {
		t.Error(err)
	}
	left, err := os.ReadDir(folder + "/v1/shop/production")
	if err != nil {
		t.Fatal(err)
	}
	clear(acknowledged)
	if err := os.RemoveAll(folder + "/v1"); err != nil {
		t.Fatal(err)
	}
	return len(left) - len(record.Entries)
}
