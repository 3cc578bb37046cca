// SPDX-License-Identifier: Apache-2.0

package backup_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/knowngood/knowngood/pkg/backup"
	"github.com/knowngood/knowngood/pkg/fault"
)

// The whole of what a volume can hold goes round: one of everything, 100,000 small files, 10 GB
// of holes, and the data of a real PostgreSQL, which then answers from what came back. make soak
// runs it; a hundredth of it runs everywhere.
func TestAVolumeOfEveryKindGoesRound(t *testing.T) {
	seldom(t)
	t.Parallel()
	source, target := t.TempDir(), filepath.Join(t.TempDir(), "new")
	torture(t, source)
	files, hole := times(t, 1_000, 100_000), int64(times(t, 100, 10_000))*1e6
	for i := range files {
		write(t, filepath.Join(source, fmt.Sprintf("many/d%d/f%d", i/500, i)), fmt.Sprintf("the %d-th of many\n", i))
	}
	sparse(t, filepath.Join(source, "large-sparse"), hole)
	database := newDatabase(t, filepath.Join(source, "pg"))
	r := open(t, options(t, t.TempDir()))
	made := save(t, r, source)
	t.Logf("%d entries, %d bytes, %d stored, in %.1f s", made.Entries, made.Bytes, made.Stored, made.Seconds)
	if made.Stored > 200<<20 {
		t.Errorf("holes and duplicates stored %d bytes", made.Stored)
	}
	restore(t, r, made.ID, target)
	same(t, source, target)
	if database != nil {
		database.answers(t, filepath.Join(target, "pg"))
	}
}

// A file that changes while it is read is saved as it was read, and named.
func TestAFileThatChangesWhileItIsReadIsNamed(t *testing.T) {
	t.Parallel()
	source, r := t.TempDir(), open(t, options(t, t.TempDir()))
	some(t, source, 1, 64<<20)
	path := filepath.Join(source, "d0/f0")
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				_, _ = file.WriteAt([]byte("a line that is written anew all the time\n"), 0)
			}
		}
	}()
	made, err := r.Save(t.Context(), request(source))
	close(done)
	<-ended
	if fault.StatusOf(err) != fault.Partial || made.ID == "" || made.Torn != 1 || !strings.Contains(err.Error(), `"d0/f0": changed while it was read`) {
		t.Fatalf("%+v, %v", made, err)
	}
	_, err = r.Restore(t.Context(), backup.Target{ID: made.ID, Folder: t.TempDir()})
	if fault.StatusOf(err) != fault.Partial || !strings.Contains(err.Error(), "it changed while it was saved") {
		t.Errorf("restored as %v", err)
	}
}

// A database is PostgreSQL's programs, run on a folder without a server.
type database struct {
	programs string
	as       *syscall.Credential
}

// newDatabase makes a data folder with a table of 10,000 rows, and returns nil where there is no
// PostgreSQL.
func newDatabase(t *testing.T, folder string) *database {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		t.Log("LEFT OUT: no PostgreSQL in /usr/lib/postgresql")
		return nil
	}
	d := &database{programs: filepath.Dir(found[len(found)-1])}
	if os.Geteuid() == 0 {
		account, err := user.Lookup("postgres")
		if err != nil {
			t.Logf("LEFT OUT: PostgreSQL does not run as root, and %v", err)
			return nil
		}
		uid, uidErr := strconv.ParseUint(account.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(account.Gid, 10, 32)
		if err := errors.Join(uidErr, gidErr, os.Mkdir(folder, 0o700), os.Chown(folder, int(uid), int(gid))); err != nil {
			t.Fatal(err)
		}
		d.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	through(t, folder)
	if output, err := d.command(t, "initdb", "--no-sync", "--auth=trust", "--username=postgres", "--pgdata="+folder).CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, output)
	}
	d.ask(t, folder, "create table orders as select i, md5(i::text) as digest from generate_series(1, 10000) i;")
	d.answers(t, folder)
	return d
}

// through lets everybody go through the folders above one that the test made.
func through(t *testing.T, folder string) {
	t.Helper()
	for dir := filepath.Dir(folder); strings.HasPrefix(dir, os.TempDir()+"/"); dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err == nil {
			err = os.Chmod(dir, info.Mode()|0o111)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func (d *database) command(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(d.programs, name), args...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: d.as}
	return cmd
}

// ask runs one statement on a folder, and returns what it prints.
func (d *database) ask(t *testing.T, folder, statement string) string {
	t.Helper()
	through(t, folder)
	cmd := d.command(t, "postgres", "--single", "-D", folder, "-c", "exit_on_error=true", "postgres")
	cmd.Stdin = strings.NewReader(statement + "\n")
	var said bytes.Buffer
	cmd.Stderr = &said
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", statement, err, said.String())
	}
	return string(output)
}

// answers proves that the table is whole.
func (d *database) answers(t *testing.T, folder string) {
	t.Helper()
	const want = `"10000,10000"`
	got := d.ask(t, folder, "select count(*) || ',' || count(*) filter (where digest = md5(i::text)) as whole from orders;")
	if !strings.Contains(got, want) {
		t.Errorf("the database answers %s, want %s", got, want)
	}
}
