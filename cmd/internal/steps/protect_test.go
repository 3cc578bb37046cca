// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clienttesting "k8s.io/client-go/testing"

	"github.com/knowngood/knowngood/pkg/backup"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/snapshot"
	"github.com/knowngood/knowngood/pkg/step"
	"github.com/knowngood/knowngood/pkg/work"
	"github.com/knowngood/knowngood/test/fakecluster"
)

// TestSnapshotDoesWhatThePolicyWants lets a gate of the same run say how much is kept. What a
// step cannot do it refuses, and never passes over.
func TestSnapshotDoesWhatThePolicyWants(t *testing.T) {
	t.Parallel()
	for protect, test := range map[release.Protect]struct {
		status fault.Status
		taken  int
		says   string
	}{
		"":                      {fault.Done, 1, ""},
		release.ProtectNothing:  {fault.Done, 0, ""},
		release.ProtectSnapshot: {fault.Done, 1, ""},
		release.ProtectBackup:   {fault.Usage, 0, "the policy wants protection by backup (p.yaml:9: risk high), and no repository is given"},
		release.ProtectVerify:   {fault.Usage, 0, "the policy wants protection by verify"},
	} {
		t.Run(string(protect), func(t *testing.T) {
			t.Parallel()
			run, h := newRun(t)
			s := newSnapshot(twoClaims(t).Cluster, "name=data")
			gate := s.subject
			if err := gate.record(t.Context(), run, "gate", keeps(protect)); err != nil {
				t.Fatal(err)
			}
			err := s.Run(t.Context(), run)
			if fault.StatusOf(err) != test.status || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %v, want status %d", err, test.status)
			}
			entry, _ := h.result.(release.Entry)
			if test.status != fault.Done {
				if entry.Protection != nil {
					t.Errorf("refused, and left %+v", entry.Protection)
				}
				return
			}
			if entry.Protection == nil || len(entry.Protection.Snapshots) != test.taken {
				t.Fatalf("protection %+v, want %d snapshots", entry.Protection, test.taken)
			}
			if skipped := entry.Protection.Skipped; (protect == release.ProtectNothing) != (len(skipped) == 1 && strings.Contains(skipped[0], "p.yaml:9")) {
				t.Errorf("skipped %q", skipped)
			}
			if _, told := h.outputs["snapshots"]; !told {
				t.Error("no output")
			}
		})
	}
}

// TestSnapshotSavesWhatItTook plays the cluster with the program itself: the Job's container is
// the step that it names, on a folder that stands for the claim.
func TestSnapshotSavesWhatItTookAndProvesIt(t *testing.T) {
	t.Parallel()
	c := twoClaims(t)
	add(t, c, "Delete")
	folder, place, key := filepath.Join(t.TempDir(), "volume"), "file://"+t.TempDir(), backup.NewKey()
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "orders"), []byte("one order"), 0o600); err != nil {
		t.Fatal(err)
	}
	jobs := &fakecluster.Jobs{Program: func(ctx context.Context, _ *corev1.Pod, container *corev1.Container) (int32, string) {
		return runs(ctx, t, container, folder, place, key)
	}}
	jobs.Play(t, c)
	run, h := newRun(t)
	s := newSnapshot(c.Cluster, "name=data")
	gate := s.subject
	if err := gate.record(t.Context(), run, "gate", keeps(release.ProtectVerify)); err != nil {
		t.Fatal(err)
	}
	s.protecting = protecting{
		carrying:   carrying{repository: "s3://backups/shop", keySecret: "shop/key", memory: "1Gi", deadline: time.Hour, image: "knowngood:1"},
		checkImage: "db:1", checkLine: "look", checkUser: "999",
	}
	if err := s.Run(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	record, _ := h.result.(release.Record)
	if len(record.Entries) != 3 || record.Entries[1].Step != "backup-save" || record.Entries[1].State != release.Done {
		t.Fatalf("record %+v", record)
	}
	made := record.Entries[1].Copies.Backups[0]
	if made.Volume != "data" || made.Files != 1 || made.Bytes != 9 || made.ID != h.outputs["backups"] {
		t.Errorf("backup %+v, outputs %v", made, h.outputs)
	}
	for _, action := range c.CoreFake.Actions() {
		create, ok := action.(clienttesting.CreateActionImpl)
		if !ok {
			continue
		}
		if claim, ok := create.GetObject().(*corev1.PersistentVolumeClaim); ok && claim.Annotations[snapshot.AnnotationSkip] != "skip" {
			t.Errorf("the next run would snapshot the temporary claim %s", claim.Name)
		}
	}
	proof := record.Entries[2].Copies.Backups[0].Verified
	if proof == nil || !proof.Proved || proof.Bytes != 9 || proof.Check != "verify-command in db:1" || record.Entries[2].Step != "backup-verify" {
		t.Errorf("verified %+v in %+v", proof, record.Entries[2])
	}
	for _, action := range c.CoreFake.Actions() {
		if action.GetResource().Resource == "secrets" {
			t.Errorf("the step asked for Secrets: %s", action.GetVerb())
		}
	}
}

// The record of backups that could not be made holds no more of the address than one that could.
func TestAnAddressIsRecordedWithoutSecrets(t *testing.T) {
	t.Parallel()
	run, _ := newRun(t)
	p := protecting{}
	p.prepared.Repository = "azblob://backups/shop?signature=s3cret"
	var e release.Entry
	if err := p.run(t.Context(), run, &cluster{connected: twoClaims(t).Cluster}, &release.Protection{}, &e); err != nil {
		t.Fatal(err)
	}
	if place := e.Copies.Repository; !strings.HasPrefix(place, "azblob://backups/shop") || strings.Contains(place, "s3cret") {
		t.Errorf("recorded %q", place)
	}
}

// add gives the cluster what backups need: a StorageClass and the Secret with the key.
func add(t *testing.T, c *fakecluster.Cluster, policy corev1.PersistentVolumeReclaimPolicy) {
	t.Helper()
	class := "fast"
	claims := c.Core.CoreV1().PersistentVolumeClaims("shop")
	data, err := claims.Get(t.Context(), "data", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	data.Spec.StorageClassName = &class
	if _, err := claims.Update(t.Context(), data, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Core.StorageV1().StorageClasses().Create(t.Context(), &storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{Name: class}, Provisioner: "csi.example", ReclaimPolicy: &policy,
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	secret := &metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "key"},
	}
	if err := c.MetadataFake.Tracker().Add(secret); err != nil {
		t.Fatal(err)
	}
}

// runs is the program in a Job: the arguments are the Job's, but for the folder and the place.
func runs(ctx context.Context, t *testing.T, container *corev1.Container, folder, place string, key step.Hidden) (int32, string) {
	t.Helper()
	var one Step
	var opens *vault
	save, prove, conclude := &WorkSave{}, &WorkProve{}, &WorkConclude{}
	set, word := &step.Set{}, "backup"
	switch container.Name {
	case "save":
		one, opens, word = save, &save.reached.vault, "folder"
	case "prove":
		one, opens = prove, &prove.bringing.reached.vault
	case "conclude":
		one, opens = conclude, &conclude.reached.vault
	default:
		return 0, "" // the application's own check
	}
	one.Declare(set)
	if got := strings.Join(container.Args[:2], " "); got != set.Name {
		t.Errorf("container %s runs %q", container.Name, got)
	}
	for _, arg := range append([]string{"--" + word + "=" + container.Args[2]}, container.Args[3:]...) {
		name, value, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
		if err := set.Assign(name, value); err != nil {
			t.Error(err)
		}
	}
	opens.repository, opens.password = place, key
	save.folder, prove.bringing.folder = folder, folder+"-restored"
	prove.keep, conclude.keep = folder+"-found", folder+"-found"
	run, h := newRun(t)
	err := one.Run(ctx, run)
	message, wrong := work.Encode(err, h.result)
	if wrong != nil {
		t.Error(wrong)
	}
	return int32(fault.StatusOf(err)), string(message)
}

// TestBackupsAreRefusedBeforeAnythingIsTouched takes one thing away at a time.
func TestBackupsAreRefusedBeforeAnythingIsTouched(t *testing.T) {
	t.Parallel()
	for says, test := range map[string]struct {
		change func(*protecting)
		policy corev1.PersistentVolumeReclaimPolicy
		cure   string
	}{
		"no repository is given":                           {func(p *protecting) { p.repository = "" }, "Delete", "--repository"},
		"cannot reach the repository":                      {func(p *protecting) { p.repository = "/backups" }, "Delete", "s3://"},
		"no Secret with the key":                           {func(p *protecting) { p.keySecret = "" }, "Delete", "--repository-password-secret"},
		"reads Secrets of it alone":                        {func(p *protecting) { p.keySecret = "vault/key" }, "Delete", "keep a copy"},
		"there is no Secret other in namespace shop":       {func(p *protecting) { p.keySecret = "other" }, "Delete", "knowngood key init"},
		"this build of knowngood (test) has no published":  {func(p *protecting) { p.image = "" }, "Delete", "--backup-image"},
		"there is no Secret bucket in namespace shop":      {func(p *protecting) { p.bucketSecret = "bucket" }, "Delete", "AWS_ACCESS_KEY_ID"},
		"http://s3.example would be spoken to without TLS": {func(p *protecting) { p.repository = "s3://backups/shop?endpoint=http://s3.example" }, "Delete", "--allow-http"},
		"s3://backups/shop?redacted":                       {func(p *protecting) { p.repository = "s3://backups/shop?kmskeyid=s3cret" }, "Delete", "KNOWNGOOD_REPOSITORY"},
		"lock-strict without lock-days":                    {func(p *protecting) { p.locking.strict = true }, "Delete", "--lock-days"},
		`bucket "s3://redacted@backups"`:                   {func(p *protecting) { p.repository = "s3://a:b@backups" }, "Delete", "environment"},
		`backup-memory "much"`:                             {func(p *protecting) { p.memory = "much" }, "Delete", ""},
		"one is given":                                     {func(p *protecting) { p.checkImage = "db:1" }, "Delete", "both"},
		`verify-user "0"`:                                  {func(p *protecting) { p.checkUser = "0" }, "Delete", ""},
		`backup-user "root"`:                               {func(p *protecting) { p.user = "root" }, "Delete", ""},
		"there is no StorageClass other":                   {func(p *protecting) { p.class = "other" }, "Delete", "--backup-class"},
		"StorageClass fast retains volumes":                {func(*protecting) {}, "Retain", "--backup-class"},
	} {
		t.Run(says, func(t *testing.T) {
			t.Parallel()
			c := twoClaims(t)
			add(t, c, test.policy)
			run, _ := newRun(t)
			s := newSnapshot(c.Cluster, "name=data")
			gate := s.subject
			if err := gate.record(t.Context(), run, "gate", keeps(release.ProtectBackup)); err != nil {
				t.Fatal(err)
			}
			s.protecting = protecting{carrying: carrying{repository: "s3://backups/shop", keySecret: "key", memory: "1Gi", deadline: time.Hour, image: "knowngood:1"}}
			test.change(&s.protecting)
			err := s.Run(t.Context(), run)
			if fault.StatusOf(err) != fault.Usage || !strings.Contains(err.Error(), says) || !strings.Contains(strings.Join(fault.Hints(err), " "), test.cure) {
				t.Errorf("error %v, hints %q", err, fault.Hints(err))
			}
			for _, action := range append(c.CoreFake.Actions(), c.SnapshotFake.Actions()...) {
				if verb := action.GetVerb(); verb != "get" && verb != "list" && verb != "watch" && action.GetResource().Resource != "storageclasses" &&
					(verb != "update" || action.GetResource().Resource != "persistentvolumeclaims") {
					t.Errorf("%s %s", verb, action.GetResource().Resource)
				}
			}
		})
	}
}

// keeps is the work of a gate that wants so much kept.
func keeps(protect release.Protect) func(context.Context, *release.Entry) error {
	return func(_ context.Context, e *release.Entry) error {
		e.Decision = &release.Decision{Outcome: release.Warn, Risk: release.RiskHigh, Protect: protect, ProtectBecause: "p.yaml:9: risk high"}
		return nil
	}
}
