// SPDX-License-Identifier: Apache-2.0

package bucket

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"cloud.google.com/go/storage"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/knowngood/knowngood/pkg/release"
)

// rules asks the provider which rules of the bucket lock, keep or delete objects. What may not be
// asked, or is answered by nobody, stays "not known"; only a context that ended is an error.
func (b *Bucket) rules(ctx context.Context, p *release.Probe) error {
	var google *storage.Client
	var azure *container.Client
	switch {
	case b.at.scheme == "file" || b.at.scheme == "mem":
		p.Locks, p.Versions, p.Expiry = none, none, none
	case b.at.scheme == "s3":
		client, err := b.client()
		if err != nil {
			return err
		}
		b.amazonLocks(ctx, client, p)
		b.amazonVersions(ctx, client, p)
		b.amazonExpiry(ctx, client, p)
	case b.As(&google):
		b.googleRules(ctx, google, p)
	case b.As(&azure):
		b.azureRules(ctx, azure, p)
	}
	return ctx.Err()
}

func (b *Bucket) amazonLocks(ctx context.Context, client *s3.Client, p *release.Probe) {
	found, err := client.GetObjectLockConfiguration(ctx, &s3.GetObjectLockConfigurationInput{Bucket: &b.at.target.Host})
	switch {
	case err != nil && answered(err) == http.StatusNotFound:
		p.Locks = none
	case err != nil || found.ObjectLockConfiguration == nil:
	case found.ObjectLockConfiguration.ObjectLockEnabled != types.ObjectLockEnabledEnabled:
		p.Locks = none
	default:
		p.Locks = "those that are asked for"
		rule := found.ObjectLockConfiguration.Rule
		if rule == nil || rule.DefaultRetention == nil {
			return
		}
		days, unit := value(rule.DefaultRetention.Days), "days"
		if years := value(rule.DefaultRetention.Years); years > 0 {
			days, unit = years, "years"
		}
		p.Locks = fmt.Sprintf("every object for %d %s, %s", days, unit, strings.ToLower(string(rule.DefaultRetention.Mode)))
		p.Concerns = append(p.Concerns, "the bucket locks "+p.Locks+": what prune gives up is freed only when that is over, and leases and probes leave versions behind")
	}
}

func (b *Bucket) amazonVersions(ctx context.Context, client *s3.Client, p *release.Probe) {
	found, err := client.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: &b.at.target.Host})
	switch {
	case err != nil:
	case found.Status == types.BucketVersioningStatusEnabled:
		p.Versions = "kept"
	default:
		p.Versions = none
	}
}

func (b *Bucket) amazonExpiry(ctx context.Context, client *s3.Client, p *release.Probe) {
	found, err := client.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: &b.at.target.Host})
	if err != nil {
		if answered(err) == http.StatusNotFound {
			p.Expiry = none
		}
		return
	}
	p.Expiry = none
	for _, rule := range found.Rules {
		prefix, applies := amazonScope(rule)
		if rule.Status != types.ExpirationStatusEnabled || !applies || !b.touches(prefix) {
			continue
		}
		name := fmt.Sprintf("rule %.80q of the bucket", value(rule.ID))
		if e := rule.Expiration; e != nil && (e.Date != nil || value(e.Days) > 0) {
			b.expires(p, name, fmt.Sprintf("%d days", value(e.Days)))
		}
		for _, t := range rule.Transitions {
			if slices.Contains([]types.TransitionStorageClass{types.TransitionStorageClassGlacier, types.TransitionStorageClassDeepArchive}, t.StorageClass) {
				p.Concerns = append(p.Concerns, fmt.Sprintf("%s moves objects of the repository to %s, from where nothing restores at once: take the prefix out of the rule", name, t.StorageClass))
			}
		}
	}
}

// amazonScope returns the prefix of a rule, and whether it is about objects without tags, as ours
// are.
func amazonScope(rule types.LifecycleRule) (prefix string, applies bool) {
	switch f := rule.Filter; {
	case f == nil:
		return value(rule.Prefix), true //nolint:staticcheck // older rules have their prefix here
	case f.And != nil:
		return value(f.And.Prefix), len(f.And.Tags) == 0
	default:
		return value(f.Prefix), f.Tag == nil
	}
}

func (b *Bucket) googleRules(ctx context.Context, client *storage.Client, p *release.Probe) {
	found, err := client.Bucket(b.at.target.Host).Attrs(ctx)
	if err != nil {
		return
	}
	p.Locks, p.Versions, p.Expiry = none, none, none
	if r := found.RetentionPolicy; r != nil && r.RetentionPeriod > 0 {
		p.Locks = fmt.Sprintf("every object for %s", r.RetentionPeriod)
		p.Concerns = append(p.Concerns, "the bucket locks "+p.Locks+": leases and what prune gives up stay until that is over")
	}
	if found.VersioningEnabled {
		p.Versions = "kept"
	}
	for _, rule := range found.Lifecycle.Rules {
		c := rule.Condition
		current := c.Liveness != storage.Archived && c.NumNewerVersions == 0 && c.DaysSinceNoncurrentTime == 0 && c.DaysSinceCustomTime == 0
		scoped := len(c.MatchesPrefix) == 0 || slices.ContainsFunc(c.MatchesPrefix, b.touches)
		if rule.Action.Type == storage.DeleteAction && current && scoped && len(c.MatchesSuffix) == 0 {
			b.expires(p, "a rule of the bucket", fmt.Sprintf("%d days", c.AgeInDays))
		}
	}
}

// azureRules asks the container, which knows locks alone: the account has the rules that delete.
func (b *Bucket) azureRules(ctx context.Context, client *container.Client, p *release.Probe) {
	found, err := client.GetProperties(ctx, nil)
	if err != nil {
		return
	}
	p.Locks = none
	if value(found.HasImmutabilityPolicy) || value(found.HasLegalHold) {
		p.Locks = "by a policy of the container"
		p.Concerns = append(p.Concerns, "a policy of the container keeps objects from being deleted: leases and what prune gives up stay until it is over")
	}
}

// touches tells whether a rule for a prefix is about objects under ours.
func (b *Bucket) touches(prefix string) bool {
	return strings.HasPrefix(b.at.prefix, prefix) || strings.HasPrefix(prefix, b.at.prefix)
}

func (b *Bucket) expires(p *release.Probe, rule, after string) {
	p.Expiry = cmp.Or(after, notKnown)
	p.Concerns = append(p.Concerns, fmt.Sprintf("%s deletes objects of the repository after %s, and with them what newer backups share: take %s out of the rule", rule, after, b.Place("")))
}

// value is what a pointer of a provider's library points to, the zero value for none.
func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
