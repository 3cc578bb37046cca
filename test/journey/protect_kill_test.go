// SPDX-License-Identifier: Apache-2.0

package journey

import (
	"bufio"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/knowngood/knowngood/pkg/release"
)

// kills names an environment variable with how many releases are killed; make soak sets it.
const kills = "KNOWNGOOD_SOAK"

// TestBackupsSurviveAKill kills releases while their Jobs are at work, each at another moment, and
// lets the next attempt go on: it ends well, and after it nothing is left of any of them.
func TestBackupsSurviveAKill(t *testing.T) {
	count, _ := strconv.Atoi(os.Getenv(kills)) // none where it is not set
	if count == 0 {
		t.Skipf("set %s to the number of releases to kill, as make soak does", kills)
	}
	k := keep(t)
	k.scan("clean")
	least := k.orders()
	moments := []string{"step name=backup-save", "its volumes and image", "without TLS", "backup made", "step name=backup-verify"}
	random := rand.New(rand.NewPCG(1, uint64(count)))
	for i := range min(count, 20) {
		moment, pause := moments[i%len(moments)], time.Duration(random.IntN(800))*time.Millisecond
		run := "kill-" + strconv.Itoa(i)
		k.killed(least, moment, pause, run)
		if i%2 == 1 {
			run += "-next" // another run, which finds what was uploaded
		}
		record, status, log := k.released(release.ProtectVerify, least, "--run", run, "--backup-timeout", "2m")
		proved := record.Last("backup-verify")
		if status != 0 || proved == nil || !proved.Copies.Backups[0].Verified.Proved {
			t.Fatalf("killed %v after %q: the next attempt ended with %d\n%s", pause, moment, status, log)
		}
		b := record.Last("backup-save").Copies.Backups[0]
		t.Logf("killed %v after %q; the next attempt of run %s stored %d of %d bytes", pause, moment, run, b.Stored, b.Bytes)
	}
	k.nothingLeft()
}

// killed runs a release and kills it a while after its log says something.
func (k keeper) killed(least int, moment string, pause time.Duration, run string) {
	k.t.Helper()
	cmd := k.command(k.t.Context(), "clean", k.inputs(release.ProtectVerify, least, "--run", run, "--backup-timeout", "2m")...)
	log, err := cmd.StderrPipe()
	fatal(k.t, err)
	fatal(k.t, cmd.Start())
	lines := bufio.NewScanner(log)
	for lines.Scan() && !strings.Contains(lines.Text(), moment) {
		continue
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	<-timer.C
	fatal(k.t, cmd.Process.Kill())
	_ = cmd.Wait() // the kill is its end
}
