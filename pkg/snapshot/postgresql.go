// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
)

// postgres is a psql session in backup mode. It is one process in the container that reads
// our statements; when its input closes it ends, and with the session ends backup mode.
type postgres struct {
	held    *kube.Held
	version int
	doubts  []string
}

// thawTimeout is how long leaving backup mode may take.
const thawTimeout = 30 * time.Second

// Versions in the form of server_version_num.
const (
	oldestPostgres    = 100000 // pg_stop_backup can leave waiting for the archive out
	idleTimeoutSince  = 140000 // idle_session_timeout
	backupRenamedWith = 150000 // pg_backup_start, pg_backup_stop
)

// holdPostgres begins a session and puts the server into backup mode, which makes a
// checkpoint. Without a user to log in as, it is the container's own, then "postgres".
func (t *taking) holdPostgres(ctx context.Context, h hook) (*postgres, error) {
	users := []string{h.held.user}
	if h.held.user == "" {
		users = []string{"", "postgres"}
	}
	var errs []error
	for _, user := range users {
		p, err := t.openPostgres(ctx, h, user)
		if err == nil {
			return p, nil
		}
		errs = append(errs, err)
		var login *kube.ExitError
		if ctx.Err() != nil || !errors.As(err, &login) {
			break
		}
	}
	return nil, fault.Hint(errors.Join(errs...), "the user must be allowed to back up: a superuser, or with execute on pg_backup_start and pg_backup_stop; name it with the annotation %s", AnnotationHoldUser)
}

func (t *taking) openPostgres(ctx context.Context, h hook, user string) (*postgres, error) {
	args := []string{
		"psql", "--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--no-password",
		"--set=ON_ERROR_STOP=1", "--dbname=dbname=postgres application_name=knowngood",
	}
	if user != "" {
		args = append(args, "--username="+user)
	}
	starting, cancel := context.WithTimeout(ctx, h.hold)
	defer cancel()
	held, err := t.cluster.Streams.Hold(starting, kube.Command{
		Namespace: h.pod.Namespace, Pod: h.pod.Name, Container: h.held.container, Args: args,
		Timeout: 2*h.hold + thawTimeout, // for the checkpoint, the hold and the thaw
	})
	if err != nil {
		return nil, err
	}
	p := &postgres{held: held}
	if err := p.begin(starting, h, t.label()); err != nil {
		releasing, cancel := context.WithTimeout(context.WithoutCancel(ctx), thawTimeout)
		defer cancel()
		_ = held.Release(releasing) // the session ends; its reason is in err
		return nil, err
	}
	return p, nil
}

func (t *taking) label() string { return "knowngood " + t.request.Subject.Commit.Short() }

// facts asks what decides whether the session proves anything. The path comes last: it alone
// may hold the separator.
const facts = "select current_setting('server_version_num'), current_setting('fsync'), " +
	"(select count(*) from pg_tablespace where pg_tablespace_location(oid) <> ''), current_setting('data_directory');"

// begin asks the facts and enters backup mode. In case our end of the connection vanishes
// unnoticed, the server ends the session by itself when it stays idle for longer than the
// hold, and a statement that takes longer.
func (p *postgres) begin(ctx context.Context, h hook, label string) error {
	answer, err := p.ask(ctx, facts)
	if err != nil {
		return err
	}
	fields := strings.SplitN(answer, "|", 4)
	if len(fields) != 4 {
		return fmt.Errorf("psql answered %q", kube.OneLine(answer))
	}
	if p.version, err = strconv.Atoi(fields[0]); err != nil || p.version < oldestPostgres {
		return fault.Usagef("PostgreSQL %s: the recipe needs 10 or newer", kube.OneLine(fields[0]))
	}
	if fields[1] != "on" {
		p.doubts = append(p.doubts, "PostgreSQL runs with fsync off, so nothing is sure to be on the volume")
	}
	p.doubts = append(p.doubts, layout(h, fields[2] != "0", fields[3])...)
	start := fmt.Sprintf("select pg_backup_start('%s', true);", label)
	if p.version < backupRenamedWith {
		start = fmt.Sprintf("select pg_start_backup('%s', true, false);", label)
	}
	limits := fmt.Sprintf("set statement_timeout = %d; ", h.hold.Milliseconds())
	if p.version >= idleTimeoutSince {
		limits += fmt.Sprintf("set idle_session_timeout = %d; ", h.hold.Milliseconds())
	}
	_, err = p.ask(ctx, limits+start)
	return err
}

// layout returns why the pod's snapshots may not hold the database as of one instant.
func layout(h hook, tablespaces bool, directory string) []string {
	var doubts []string
	var holding string
	for claim, volume := range podClaims(h.pod) {
		if path := mountPath(h.pod, h.held.container, volume); path != "" && (directory == path || strings.HasPrefix(directory, strings.TrimSuffix(path, "/")+"/")) {
			holding = claim
		}
	}
	if holding == "" {
		doubts = append(doubts, fmt.Sprintf("PostgreSQL's data directory %s is on no claim", kube.OneLine(directory)))
	}
	if tablespaces || len(podClaims(h.pod)) > 1 {
		doubts = append(doubts, "the database may be spread over several volumes, whose snapshots are not of one instant")
	}
	return doubts
}

func mountPath(pod *corev1.Pod, container, volume string) string {
	for i := range pod.Spec.Containers {
		if pod.Spec.Containers[i].Name != container {
			continue
		}
		for _, mount := range pod.Spec.Containers[i].VolumeMounts {
			if mount.Name == volume {
				return mount.MountPath
			}
		}
	}
	return ""
}

// ask says a statement that answers one line.
func (p *postgres) ask(ctx context.Context, statement string) (string, error) {
	if err := p.held.Say(ctx, statement); err != nil {
		return "", err
	}
	return p.held.Line(ctx)
}

// thaw leaves backup mode and returns the backup_label, then ends the session. Even when the
// server does not answer, the session ends, and backup mode with it.
func (p *postgres) thaw(ctx context.Context, quiet bool) (label string, err error) {
	if quiet {
		label, err = p.stop(ctx)
	}
	releasing, cancel := context.WithTimeout(ctx, thawTimeout)
	defer cancel()
	ended := p.held.Release(releasing)
	if err != nil {
		return "", fmt.Errorf("leave backup mode: %w", err)
	}
	return label, ended
}

func (p *postgres) stop(ctx context.Context) (label string, err error) {
	stopping, cancel := context.WithTimeout(ctx, thawTimeout)
	defer cancel()
	stop := "select to_json(labelfile) from pg_backup_stop(false);"
	if p.version < backupRenamedWith {
		stop = "select to_json(labelfile) from pg_stop_backup(false, false);"
	}
	answer, err := p.ask(stopping, fmt.Sprintf("set statement_timeout = %d; ", thawTimeout.Milliseconds())+stop)
	if err != nil {
		return "", err
	}
	if err := json.Unmarshal([]byte(answer), &label); err != nil {
		return "", fmt.Errorf("psql answered %q", kube.OneLine(answer))
	}
	return label, nil
}
