// SPDX-License-Identifier: Apache-2.0

package retire_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/retain"
	"github.com/knowngood/knowngood/pkg/retire"
)

var update = flag.Bool("update", false, "write the .want files anew")

const (
	thisCluster = "cluster-1"
	namespace   = "shop"
)

// A case is a pair of files: NAME.world says what is known and what there is, a thing a line;
// NAME.want has the plan.
func TestJudge(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.world")
	if err != nil || len(files) == 0 {
		t.Fatal(err, "no cases")
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".world"), func(t *testing.T) {
			t.Parallel()
			w := readWorld(t, file)
			plan := retire.Judge(w.request, w.state)
			got := tell(plan)
			wanted := strings.TrimSuffix(file, ".world") + ".want"
			if *update {
				if err := os.WriteFile(wanted, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(wanted)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
			slices.Reverse(w.state.Snapshots)
			slices.Reverse(w.state.Contents)
			slices.Reverse(w.request.Records)
			if diff := cmp.Diff(got, tell(retire.Judge(w.request, w.state))); diff != "" {
				t.Errorf("the order counts:\n%s", diff)
			}
			w.carryOut(plan)
			if more := retire.Judge(w.request, w.state).Given(); len(more) > 0 {
				t.Errorf("a second prune gives up more: %+v", more)
			}
		})
	}
}

func tell(p retire.Plan) string {
	var b strings.Builder
	for _, f := range p.Fates {
		word := "drop"
		if f.Keep {
			word = "keep"
		}
		if f.Stored {
			word += " stored"
		} else if f.Retained {
			word += " retained"
		}
		fmt.Fprintf(&b, "%s %s of %s: %s\n", word, f.Snapshot.Name, f.Snapshot.Claim, f.Why)
	}
	for _, o := range p.Orphans {
		word := "told"
		if o.Goes {
			word = "goes"
		}
		fmt.Fprintf(&b, "%s %s: %s (%s)\n", word, o.Kind, o.Name, o.Why)
	}
	for _, c := range p.Gone {
		fmt.Fprintf(&b, "gone %s of run %s\n", c.Name(), c.Run)
	}
	if p.Elsewhere > 0 {
		fmt.Fprintf(&b, "elsewhere %d\n", p.Elsewhere)
	}
	return b.String()
}

// readWorld reads a case. A word after the fixed ones changes what the line says.
func readWorld(t *testing.T, file string) *world {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld()
	for line := range strings.Lines(string(data)) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		has := func(word string) bool { return slices.Contains(words, word) }
		switch words[0] {
		case "rules":
			w.request.Rules.Last, err = strconv.Atoi(words[1])
		case "given":
			w.request.Orphans, w.request.Stored = has("orphans"), has("stored")
		case "run": // run NAME DAY [deployed] [failed]
			w.run(words[1], w.day(t, words[2]), words[3:])
		case "cut": // cut RUN CLAIM NAME [unready] [elsewhere] [unnamed]
			w.cut(words[1], words[2], words[3], words[4:])
		case "live": // live NAME [error] [waiting] [deleting] [retain] [held] [stripped] [unbound] [anew] [needed]
			w.live(words[1], words[2:])
		case "stray": // stray NAME DAY [velero] [owned] [theirs] ...
			w.stray(words[1], w.day(t, words[2]), words[3:])
		case "content": // content NAME of a snapshot that is gone
			w.content(words[1], words[2:])
		case "brought": // brought NAME OF: a content somebody made of what the storage has of another
			w.brought(words[1], words[2])
		case "claim": // claim NAME SNAPSHOT [bound]
			w.claim(words[1], words[2], has("bound"))
		case "backup": // backup RUN CLAIM [proved]
			w.backup(words[1], words[2], has("proved"))
		case "pruned", "missed": // pruned RUN NAME
			w.noted(words[0], words[1], words[2])
		case "job":
			w.state.Jobs = append(w.state.Jobs, words[1])
		default:
			t.Fatalf("%s: %q", file, line)
		}
		if err != nil {
			t.Fatalf("%s: %q: %v", file, line, err)
		}
	}
	return w
}

// carryOut leaves what a plan that was carried out leaves.
func (w *world) carryOut(p retire.Plan) {
	for _, f := range p.Given() {
		w.noted("pruned", f.Run, f.Snapshot.Name)
		w.state.Snapshots = slices.DeleteFunc(w.state.Snapshots, func(s snapshotv1.VolumeSnapshot) bool { return string(s.UID) == f.Snapshot.UID })
	}
}

// A world is what a case says.
type world struct {
	request retire.Request
	state   retire.State
	began   map[string]time.Time
	known   map[string]release.Snapshot
	of      map[string]release.Subject
}

func newWorld() *world {
	return &world{
		request: retire.Request{App: "shop", Rules: retain.Rules{}},
		state: retire.State{
			Cluster: thisCluster, Namespace: namespace, Now: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC), Needed: map[string]string{},
		},
		began: map[string]time.Time{}, known: map[string]release.Snapshot{}, of: map[string]release.Subject{},
	}
}

func (*world) day(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse("2006-01-02T15:04", "2026-11-"+text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func (w *world) record(run string) *release.Record {
	at := slices.IndexFunc(w.request.Records, func(r release.Record) bool { return r.Run == run })
	return &w.request.Records[at]
}

func (w *world) run(name string, at time.Time, words []string) {
	about := release.Subject{App: "shop", Environment: "test", Run: name, Commit: release.Commit(strings.Repeat("0", 39) + "1")}
	if slices.Contains(words, "staging") {
		about.Environment = "staging"
	}
	r := release.Record{Subject: about}
	for _, word := range words {
		if word == "deployed" || word == "failed" {
			state := map[string]release.State{"deployed": release.Done, "failed": release.Failed}[word]
			r.Entries = append(r.Entries, release.Entry{Subject: about, Step: "deploy-finish", State: state, Began: at, Ended: at.Add(time.Minute)})
		}
	}
	w.began[name] = at
	w.request.Records = append(w.request.Records, r)
}

func (w *world) cut(run, claim, name string, words []string) {
	r := w.record(run)
	s := release.Snapshot{Namespace: namespace, Claim: claim, Name: name, UID: "uid-" + name, Ready: !slices.Contains(words, "unready"), Cut: w.began[run]}
	p := &release.Protection{Cluster: thisCluster, Snapshots: []release.Snapshot{s}}
	switch {
	case slices.Contains(words, "elsewhere"):
		p.Cluster = "cluster-2"
	case slices.Contains(words, "unnamed"):
		p.Cluster = ""
	}
	w.known[name], w.of[name] = s, r.Subject
	r.Entries = slices.Insert(r.Entries, 0, release.Entry{Subject: r.Subject, Step: "snapshot", Began: s.Cut, Ended: s.Cut, Protection: p})
}

func (w *world) noted(kind, run, name string) {
	p := &release.Pruned{Snapshots: []string{namespace + "/" + name}}
	if kind == "missed" {
		p = &release.Pruned{Gone: p.Snapshots}
	}
	r := w.record(run)
	r.Entries = append(r.Entries, release.Entry{Subject: r.Subject, Step: "prune", Pruned: p, Ended: w.state.Now})
}

func (w *world) live(name string, words []string) {
	has := func(word string) bool { return slices.Contains(words, word) }
	ready, content := !has("error") && !has("waiting"), "content-"+name
	s := ours(name, w.of[name])
	s.CreationTimestamp = metav1.NewTime(w.began[w.of[name].Run])
	s.Status = &snapshotv1.VolumeSnapshotStatus{ReadyToUse: &ready, BoundVolumeSnapshotContentName: &content}
	if has("error") {
		s.Status.Error = &snapshotv1.VolumeSnapshotError{}
	}
	if has("deleting") {
		s.DeletionTimestamp = &metav1.Time{Time: w.state.Now}
	}
	if has("anew") {
		s.UID += "-2"
	}
	if has("stripped") {
		s.Labels = nil
	}
	if has("held") {
		s.Annotations[release.AnnotationHolds] = `[{"owner":"eve","reason":"audit"},{"owner":"bob"}]`
	}
	if has("pinned") {
		s.Annotations[release.AnnotationHolds] = "ask bob\nfirst"
	}
	if has("needed") {
		w.state.Needed[string(s.UID)] = "restore r is under way from it"
	}
	w.state.Snapshots = append(w.state.Snapshots, *s)
	if !has("unbound") {
		w.content(name, words)
	}
}

// ours is a snapshot as knowngood makes it.
func ours(name string, about release.Subject) *snapshotv1.VolumeSnapshot {
	return &snapshotv1.VolumeSnapshot{ObjectMeta: metav1.ObjectMeta{
		Namespace: namespace, Name: name, UID: types.UID("uid-" + name),
		Labels: map[string]string{release.LabelManagedBy: release.ManagedBy, release.LabelApp: about.App, release.LabelRun: about.Run},
		Annotations: map[string]string{
			release.AnnotationApp: about.App, release.AnnotationEnvironment: about.Environment, release.AnnotationRun: about.Run,
		},
	}}
}

func (w *world) stray(name string, at time.Time, words []string) {
	has := func(word string) bool { return slices.Contains(words, word) }
	about := release.Subject{App: "shop", Environment: "test", Run: "lost"}
	if has("theirs") {
		about.App = "other"
	}
	s := ours(name, about)
	s.CreationTimestamp = metav1.NewTime(at)
	switch {
	case has("velero"):
		s.Labels["velero.io/restore-name"] = "monday"
	case has("owned"):
		s.OwnerReferences = []metav1.OwnerReference{{Kind: "VolumeGroupSnapshot", Name: "g"}}
	case has("held"):
		s.Annotations[release.AnnotationHolds] = `[{"owner":"eve","reason":"audit"}]`
	}
	w.state.Snapshots = append(w.state.Snapshots, *s)
}

func (w *world) content(name string, words []string) {
	c := snapshotv1.VolumeSnapshotContent{
		ObjectMeta: metav1.ObjectMeta{Name: "content-" + name, UID: types.UID("uid-content-" + name)},
		Spec: snapshotv1.VolumeSnapshotContentSpec{
			DeletionPolicy:    snapshotv1.VolumeSnapshotContentDelete,
			VolumeSnapshotRef: corev1.ObjectReference{Namespace: namespace, Name: name, UID: types.UID("uid-" + name)},
		},
	}
	id := "handle-" + name
	c.Spec.Driver, c.Status = "csi.test", &snapshotv1.VolumeSnapshotContentStatus{SnapshotHandle: &id}
	if slices.Contains(words, "retain") {
		c.Spec.DeletionPolicy = snapshotv1.VolumeSnapshotContentRetain
	}
	w.state.Contents = append(w.state.Contents, c)
}

func (w *world) brought(name, of string) {
	id := "handle-" + of
	w.state.Contents = append(w.state.Contents, snapshotv1.VolumeSnapshotContent{
		ObjectMeta: metav1.ObjectMeta{Name: "content-" + name, UID: types.UID("uid-content-" + name)},
		Spec: snapshotv1.VolumeSnapshotContentSpec{
			DeletionPolicy: snapshotv1.VolumeSnapshotContentRetain, Driver: "csi.test", Source: snapshotv1.VolumeSnapshotContentSource{SnapshotHandle: &id},
			VolumeSnapshotRef: corev1.ObjectReference{Namespace: "elsewhere", Name: name, UID: types.UID("uid-" + name)},
		},
	})
}

func (w *world) claim(name, from string, bound bool) {
	c := corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	c.Spec.DataSource = &corev1.TypedLocalObjectReference{Kind: "VolumeSnapshot", Name: from}
	if c.Status.Phase = corev1.ClaimPending; bound {
		c.Status.Phase = corev1.ClaimBound
	}
	w.state.Claims = append(w.state.Claims, c)
}

func (w *world) backup(run, claim string, proved bool) {
	about := w.record(run).Subject
	b := release.Backup{ID: run + claim, App: about.App, Environment: about.Environment, Run: run, Volume: claim}
	if proved {
		b.Verified = &release.Verification{Proved: true}
	}
	w.request.Backups = append(w.request.Backups, b)
}
