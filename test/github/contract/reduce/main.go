// SPDX-License-Identifier: Apache-2.0

// Command reduce cuts GitHub's description of its API down to the operations that knowngood
// uses, with the schemas that they reach, and without prose and examples:
//
//	npm pack @octokit/openapi@23.0.2 && tar xzf octokit-openapi-23.0.2.tgz
//	go run ./test/github/contract/reduce package/generated/api.github.com.json > test/github/contract/testdata/api.github.com.json
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

// operations are those that knowngood uses, by path.
var operations = map[string][]string{
	"/user": {"get"},
	"/repos/{owner}/{repo}/issues/{issue_number}/comments": {"get", "post"},
	"/repos/{owner}/{repo}/issues/comments/{comment_id}":   {"get", "patch", "delete"},
	"/repos/{owner}/{repo}/statuses/{sha}":                 {"post"},
	"/repos/{owner}/{repo}/commits/{ref}/status":           {"get"},
	"/repos/{owner}/{repo}/commits/{ref}/statuses":         {"get"},
	"/repos/{owner}/{repo}/commits/{commit_sha}/pulls":     {"get"},
	"/repos/{owner}/{repo}/pulls/{pull_number}":            {"get"},
	"/repos/{owner}/{repo}/pulls":                          {"get"},
	"/repos/{owner}/{repo}/contents/{path}":                {"get"},

	"/repos/{owner}/{repo}/git/commits/{commit_sha}": {"get"},

	"/repos/{owner}/{repo}/check-runs":                            {"post"},
	"/repos/{owner}/{repo}/check-runs/{check_run_id}":             {"get", "patch"},
	"/repos/{owner}/{repo}/check-runs/{check_run_id}/annotations": {"get"},
	"/repos/{owner}/{repo}/commits/{ref}/check-runs":              {"get"},

	"/repos/{owner}/{repo}/deployments":                          {"get", "post"},
	"/repos/{owner}/{repo}/deployments/{deployment_id}/statuses": {"get", "post"},
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: reduce DESCRIPTION.json")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "reduce:", err)
		os.Exit(1)
	}
}

type object = map[string]any

func run(path string, out io.Writer) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var whole object
	if err := json.Unmarshal(data, &whole); err != nil {
		return err
	}
	title := whole["info"].(object)["title"]
	paths, err := wanted(whole["paths"].(object))
	if err != nil {
		return err
	}
	reduced := object{"openapi": whole["openapi"], "paths": paths, "components": reachable(whole, paths)}
	plain(reduced, false)
	info := whole["info"].(object)
	reduced["info"] = object{"title": title, "version": info["version"], "license": info["license"]}
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	return encoder.Encode(reduced)
}

func wanted(all object) (object, error) {
	paths := object{}
	for path, methods := range operations {
		item, ok := all[path].(object)
		if !ok {
			return nil, fmt.Errorf("the description has no %s", path)
		}
		kept := object{}
		for _, method := range methods {
			operation, ok := item[method].(object)
			if !ok {
				return nil, fmt.Errorf("the description has no %s %s", method, path)
			}
			kept[method] = operation
		}
		paths[path] = kept
	}
	return paths, nil
}

// reachable returns the components that the paths refer to, and those that these refer to.
func reachable(whole object, paths object) object {
	components, seen := object{}, map[string]bool{}
	queue := references(paths)
	for len(queue) > 0 {
		reference := queue[0]
		queue = queue[1:]
		if seen[reference] {
			continue
		}
		seen[reference] = true
		words := strings.Split(strings.TrimPrefix(reference, "#/components/"), "/")
		if len(words) != 2 || words[0] == "examples" {
			continue
		}
		component := whole["components"].(object)[words[0]].(object)[words[1]]
		if components[words[0]] == nil {
			components[words[0]] = object{}
		}
		components[words[0]].(object)[words[1]] = component
		queue = append(queue, references(component)...)
	}
	return components
}

func references(value any) []string {
	var found []string
	switch v := value.(type) {
	case object:
		for key, inner := range v {
			if text, ok := inner.(string); ok && key == "$ref" {
				found = append(found, text)
			}
			found = append(found, references(inner)...)
		}
	case []any:
		for _, inner := range v {
			found = append(found, references(inner)...)
		}
	}
	return found
}

// plain takes prose and examples away. Within properties, "description" is a field's name.
func plain(value any, fields bool) {
	switch v := value.(type) {
	case object:
		if !fields {
			for _, key := range []string{"description", "summary", "examples", "example", "externalDocs", "x-github", "tags", "title", "operationId"} {
				delete(v, key)
			}
		}
		for key, inner := range v {
			plain(inner, key == "properties" && !fields)
		}
		if responses, ok := v["responses"].(object); ok && !fields { // of an operation, or the components'

			for _, response := range responses {
				described(response)
			}
		}
	case []any:
		for _, inner := range v {
			plain(inner, false)
		}
	}
}

// described gives a response the description that OpenAPI demands.
func described(response any) {
	if r, ok := response.(object); ok && r["$ref"] == nil {
		r["description"] = ""
	}
}
