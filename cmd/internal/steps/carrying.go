// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/knowngood/knowngood/pkg/bucket"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/protect"
	"github.com/knowngood/knowngood/pkg/step"
)

// carrying holds the inputs of the Jobs that carry data between claims and a repository.
type carrying struct {
	repository, keySecret, bucketSecret string
	image, account, memory              string
	allowHTTP                           bool
	deadline                            time.Duration
}

func (c *carrying) declare(set *step.Set) {
	set.Text(&c.repository, "repository", "", repositoryDoc)
	set.Text(&c.keySecret, "repository-password-secret", "", keySecretDoc)
	set.Bool(&c.allowHTTP, "allow-http", false, allowHTTPDoc)
	set.Text(&c.bucketSecret, "bucket-secret", "",
		"Secret of the namespace whose entries are the environment of the backup's Job, e.g. AWS_ACCESS_KEY_ID, or KNOWNGOOD_REPOSITORY for an address that is secret; empty leaves it to the service account.")
	set.Text(&c.account, "backup-account", "",
		"Service account of the backup's Job: its identity in the cloud and its image pull Secrets, never its token; empty uses the namespace's default one.")
	set.Text(&c.image, "backup-image", "", "Image of knowngood that the Job runs; empty uses the published one of this version.")
	set.Text(&c.memory, "backup-memory", "1Gi", "The most memory that the Job may use.")
	set.Duration(&c.deadline, "backup-timeout", 0, "How long the backup's Job may take with a volume; 0 allows two hours, and a second more for every 4 MiB.")
}

// needsJobs declares what it takes to run a Job.
func needsJobs(set *step.Set) {
	set.Needs("create,get,list,watch,delete", "batch/jobs", "run the backup's Job, and take it away")
	set.Needs("get,list,watch", "pods", "await the Job's pod, and let it go where the pods of the claim may")
	set.Needs("get", "pods/log", "tell the Job's progress")
}

// reaches refuses what a Job in the cluster could not open, or what would stand in its arguments
// and is secret. wanted says what for.
func (c *carrying) reaches(wanted string) error {
	scheme, _, isURL := strings.Cut(c.repository, "://")
	switch {
	case c.repository == "":
		return refuse(wanted, "no repository is given", "give --repository, e.g. s3://backups/shop; the Job in the cluster must reach it")
	case !isURL || scheme == "file" || scheme == "mem":
		return refuse(wanted, fmt.Sprintf("the Job in the cluster cannot reach the repository %.80q", bucket.Redact(c.repository)), "give --repository as s3://, gs:// or azblob://")
	case c.keySecret == "":
		return refuse(wanted, "no Secret with the key of the repository is given",
			"give --repository-password-secret: the Secret of the namespace that holds the key under "+protect.KeyName)
	}
	inClear, err := bucket.Check(c.repository)
	if err != nil {
		return err
	}
	if inClear != "" && !c.allowHTTP {
		return refuse(wanted, fmt.Sprintf("%s would be spoken to without TLS", inClear), "give its https:// address, or allow it with --allow-http, which the record then tells")
	}
	if bucket.Hides(c.repository) {
		return refuse(wanted, fmt.Sprintf("the address of the repository holds what may be secret (%s), and would stand in the Job's arguments", bucket.Redact(c.repository)),
			"keep the whole address as KNOWNGOOD_REPOSITORY in the Secret that --bucket-secret names, and give --repository without that part")
	}
	return nil
}

func refuse(wanted, lack, cure string) error {
	return fault.Hint(fault.Usagef("%s, and %s", wanted, lack), "nothing was touched; %s", cure)
}

// request is what the Jobs have in common.
func (c *carrying) request(run *Run, namespace string, start time.Duration) (protect.Request, error) {
	secret, err := secretHere(c.keySecret, namespace)
	if err != nil {
		return protect.Request{}, err
	}
	image, err := c.published(run.Version)
	return protect.Request{
		Repository: c.repository, KeySecret: secret, BucketSecret: c.bucketSecret, AllowHTTP: c.allowHTTP,
		Image: image, Account: c.account, Memory: c.memory, Start: start, Deadline: c.deadline,
	}, err
}

var numbered = regexp.MustCompile(`^[0-9]+\.[0-9]+\.[0-9]+`)

// published is the image that the Jobs run. A build without the number of a release has none: a
// cluster would look for it in vain, after the snapshots were taken.
func (c *carrying) published(version string) (string, error) {
	switch {
	case c.image != "":
		return c.image, nil
	case !numbered.MatchString(version):
		return "", fault.Hint(fault.Usagef("this build of knowngood (%s) has no published image for a Job in the cluster to run", version),
			"nothing was touched; give --backup-image, an image of knowngood that the cluster can pull")
	}
	return "ghcr.io/knowngood/knowngood:" + version, nil
}

// secretHere returns the name of a Secret that pods of the namespace can read.
func secretHere(given, namespace string) (string, error) {
	if space, name, found := strings.Cut(given, "/"); found {
		if space != namespace {
			return "", fault.Hint(fault.Usagef("repository-password-secret %q: the Job runs in namespace %s and reads Secrets of it alone", given, namespace),
				"keep a copy of the Secret there")
		}
		return name, nil
	}
	return given, nil
}
