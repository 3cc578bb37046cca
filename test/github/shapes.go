// SPDX-License-Identifier: Apache-2.0

package github

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"time"
)

// object is a JSON object of an answer.
type object = map[string]any

// user returns what GitHub calls a simple user.
func (x *exchange) user(login string, bot bool) object {
	h := fnv.New32a()
	_, _ = h.Write([]byte(login)) // never fails
	kind, address := "User", x.base+"/users/"+login
	if bot {
		kind = "Bot"
	}
	return object{
		"login": login, "id": int64(h.Sum32()), "node_id": "U_" + login, "type": kind, "site_admin": false,
		"avatar_url": "", "gravatar_id": "", "url": address, "html_url": "https://github.com/" + login,
		"followers_url": address + "/followers", "following_url": address + "/following{/other_user}",
		"gists_url": address + "/gists{/gist_id}", "starred_url": address + "/starred{/owner}{/repo}",
		"subscriptions_url": address + "/subscriptions", "organizations_url": address + "/orgs",
		"repos_url": address + "/repos", "events_url": address + "/events{/privacy}",
		"received_events_url": address + "/received_events",
	}
}

// publicUser returns what GitHub tells anybody of a person.
func (x *exchange) publicUser(login string) object {
	user := x.user(login, false)
	for _, field := range []string{"name", "company", "blog", "location", "email", "hireable", "bio"} {
		user[field] = nil
	}
	for _, field := range []string{"public_repos", "public_gists", "followers", "following"} {
		user[field] = 0
	}
	user["user_view_type"], user["created_at"], user["updated_at"] = "public", "2020-01-02T03:04:05Z", "2026-01-02T03:04:05Z"
	return user
}

// web returns where people would look at a path of a repository on this server.
func (x *exchange) web(path string) string { return strings.TrimSuffix(x.base, "/api/v3") + "/" + path }

func stamp(t time.Time) string { return t.Format(time.RFC3339) }

func (x *exchange) comment(repository string, c *Comment) object {
	id := strconv.FormatInt(c.ID, 10)
	return object{
		"id": c.ID, "node_id": "IC_" + id, "body": c.Body, "user": x.user(c.Login, c.Bot),
		"url":                x.base + "/repos/" + repository + "/issues/comments/" + id,
		"html_url":           x.web(fmt.Sprintf("%s/pull/%d#issuecomment-%s", repository, c.Issue, id)),
		"issue_url":          fmt.Sprintf("%s/repos/%s/issues/%d", x.base, repository, c.Issue),
		"created_at":         stamp(c.Created),
		"updated_at":         stamp(c.Updated),
		"author_association": "NONE",
	}
}

// simpleStatus is a status within a combined one.
func (x *exchange) simpleStatus(repository string, s *Status) object {
	var target any
	if s.TargetURL != "" {
		target = s.TargetURL
	}
	return object{
		"id": s.ID, "node_id": "SC_" + strconv.FormatInt(s.ID, 10), "state": s.State, "context": s.Context,
		"description": s.Description, "target_url": target, "avatar_url": "",
		"url":        x.base + "/repos/" + repository + "/statuses/" + s.Commit,
		"created_at": stamp(s.Created), "updated_at": stamp(s.Created),
	}
}

func (x *exchange) statusOf(repository string, s *Status) object {
	status := x.simpleStatus(repository, s)
	status["creator"] = x.user(s.Login, s.Bot)
	return status
}

func (x *exchange) pull(repository string, p *Pull, whole bool) object {
	number := strconv.Itoa(p.Number)
	address := x.base + "/repos/" + repository + "/pulls/" + number
	issue := x.base + "/repos/" + repository + "/issues/" + number
	state, base := "open", p.Base
	var closed, merged, mergeCommit any
	if p.Closed || p.MergeCommit != "" {
		state, closed = "closed", "2026-01-02T03:04:06Z"
	}
	if p.TestMerge != "" {
		mergeCommit = p.TestMerge
	}
	if p.MergeCommit != "" {
		merged, mergeCommit = "2026-01-02T03:04:06Z", p.MergeCommit
	}
	if base == "" {
		base = "main"
	}
	from := p.HeadRepository
	if from == "" {
		from = repository
	}
	into := p.BaseRepository
	if into == "" {
		into = repository
	}
	web := x.web(repository + "/pull/" + number)
	pull := object{
		"id": p.Number, "node_id": "PR_" + number, "number": p.Number, "state": state, "locked": p.Locked,
		"title": p.Title, "body": nil, "user": x.user("ada", false), "draft": false,
		"url": address, "html_url": web, "diff_url": web + ".diff", "patch_url": web + ".patch", "issue_url": issue,
		"commits_url": address + "/commits", "review_comments_url": address + "/comments",
		"review_comment_url": x.base + "/repos/" + repository + "/pulls/comments{/number}",
		"comments_url":       issue + "/comments", "statuses_url": x.base + "/repos/" + repository + "/statuses/" + p.Head,
		"created_at": "2026-01-02T03:04:05Z", "updated_at": "2026-01-02T03:04:05Z", "closed_at": closed, "merged_at": merged,
		"merge_commit_sha": mergeCommit, "assignee": nil, "assignees": []any{}, "requested_reviewers": []any{},
		"requested_teams": []any{}, "labels": []any{}, "milestone": nil, "auto_merge": nil, "author_association": "OWNER",
		"head": x.branch(from, "change-"+number, p.Head), "base": x.branch(into, base, strings.Repeat("b", 40)),
		"_links": links(address, issue, web, p.Head),
	}
	if whole {
		for name, value := range (object{
			"merged": p.MergeCommit != "", "mergeable": nil, "rebaseable": nil, "mergeable_state": "unknown",
			"merged_by": nil, "comments": 0, "review_comments": 0, "maintainer_can_modify": false,
			"commits": 1 + len(p.Commits), "additions": 1, "deletions": 1, "changed_files": 1,
		}) {
			pull[name] = value
		}
	}
	return pull
}

func links(address, issue, web, head string) object {
	href := func(to string) object { return object{"href": to} }
	return object{
		"self": href(address), "html": href(web), "issue": href(issue), "comments": href(issue + "/comments"),
		"review_comments": href(address + "/comments"), "review_comment": href(address + "/comments{/number}"),
		"commits": href(address + "/commits"), "statuses": href(address + "/statuses/" + head),
	}
}

func (x *exchange) branch(repository, ref, commit string) object {
	owner, _, _ := strings.Cut(repository, "/")
	return object{
		"label": owner + ":" + ref, "ref": ref, "sha": commit, "user": x.user(owner, false), "repo": x.repository(repository),
	}
}

func (x *exchange) file(repository, ref, path, content string, size int) object {
	h := sha1.New()
	fmt.Fprintf(h, "blob %d\x00%s", size, content)
	address := x.base + "/repos/" + repository + "/contents/" + path + "?ref=" + ref
	web := x.web(repository + "/blob/" + ref + "/" + path)
	name := path[strings.LastIndexByte(path, '/')+1:]
	return object{
		"type": "file", "encoding": "base64", "size": size, "name": name, "path": path, "content": content,
		"sha": hex.EncodeToString(h.Sum(nil)), "url": address, "git_url": nil, "html_url": web, "download_url": nil,
		"_links": object{"self": address, "git": nil, "html": web},
	}
}
