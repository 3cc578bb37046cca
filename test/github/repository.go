// SPDX-License-Identifier: Apache-2.0

package github

import "strings"

// repository returns a repository with what GitHub always says of one.
func (x *exchange) repository(name string) object {
	owner, short, _ := strings.Cut(name, "/")
	address := x.base + "/repos/" + name
	web := x.web(name)
	r := object{
		"id": 1, "node_id": "R_1", "name": short, "full_name": name, "owner": x.user(owner, false),
		"private": false, "html_url": web, "description": nil, "fork": false, "url": address,
		"clone_url": web + ".git", "git_url": "git://" + strings.TrimPrefix(web, "http://") + ".git", "ssh_url": "git@host:" + name + ".git",
		"svn_url": web, "mirror_url": nil, "homepage": nil, "language": nil, "default_branch": "main", "visibility": "public",
		"archived": false, "disabled": false, "has_issues": true, "has_projects": false, "has_wiki": false, "has_pages": false,
		"has_downloads": false, "has_discussions": false, "license": nil, "size": 1, "watchers": 0, "watchers_count": 0,
		"stargazers_count": 0, "forks": 0, "forks_count": 0, "open_issues": 0, "open_issues_count": 0, "topics": []any{},
		"pushed_at": "2026-01-02T03:04:05Z", "created_at": "2026-01-02T03:04:05Z", "updated_at": "2026-01-02T03:04:05Z",
	}
	for field, path := range map[string]string{
		"archive_url": "/{archive_format}{/ref}", "assignees_url": "/assignees{/user}", "blobs_url": "/git/blobs{/sha}",
		"branches_url": "/branches{/branch}", "collaborators_url": "/collaborators{/collaborator}", "comments_url": "/comments{/number}",
		"commits_url": "/commits{/sha}", "compare_url": "/compare/{base}...{head}", "contents_url": "/contents/{+path}",
		"contributors_url": "/contributors", "deployments_url": "/deployments", "downloads_url": "/downloads", "events_url": "/events",
		"forks_url": "/forks", "git_commits_url": "/git/commits{/sha}", "git_refs_url": "/git/refs{/sha}", "git_tags_url": "/git/tags{/sha}",
		"hooks_url": "/hooks", "issue_comment_url": "/issues/comments{/number}", "issue_events_url": "/issues/events{/number}",
		"issues_url": "/issues{/number}", "keys_url": "/keys{/key_id}", "labels_url": "/labels{/name}", "languages_url": "/languages",
		"merges_url": "/merges", "milestones_url": "/milestones{/number}", "notifications_url": "/notifications{?since,all,participating}",
		"pulls_url": "/pulls{/number}", "releases_url": "/releases{/id}", "stargazers_url": "/stargazers", "statuses_url": "/statuses/{sha}",
		"subscribers_url": "/subscribers", "subscription_url": "/subscription", "tags_url": "/tags", "teams_url": "/teams",
		"trees_url": "/git/trees{/sha}",
	} {
		r[field] = address + path
	}
	return r
}
