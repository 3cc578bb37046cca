// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestArtifactHubFindsEachPackage holds the packages of tekton/ to what Artifact Hub reads of
// them, with names and values that it and Tekton's catalog know.
func TestArtifactHubFindsEachPackage(t *testing.T) {
	t.Parallel()
	packages, err := filepath.Glob(filepath.Join(root, "tekton/*/knowngood-*"))
	if err != nil || len(packages) < 10 {
		t.Fatalf("%d packages, %v", len(packages), err)
	}
	for _, folder := range packages {
		name := filepath.Base(folder)
		text, err := os.ReadFile(filepath.Join(folder, name+".yaml"))
		if err != nil {
			t.Error(err)
			continue
		}
		if _, err := os.Stat(filepath.Join(folder, "README.md")); err != nil {
			t.Error(err)
		}
		var object struct {
			Metadata struct {
				Name                string
				Labels, Annotations map[string]string
			}
		}
		if err := yaml.Unmarshal(text, &object); err != nil {
			t.Fatal(err)
		}
		if object.Metadata.Name != name || !regexp.MustCompile(`^[0-9]+\.[0-9]+\.[0-9]+$`).MatchString(object.Metadata.Labels["app.kubernetes.io/version"]) {
			t.Errorf("%s: name %q, labels %v", name, object.Metadata.Name, object.Metadata.Labels)
		}
		annotated(t, name, object.Metadata.Annotations)
	}
	for _, kind := range []string{"task", "stepaction", "pipeline"} {
		text, err := os.ReadFile(filepath.Join(root, "tekton", kind, "artifacthub-repo.yml"))
		var known struct {
			RepositoryID string `json:"repositoryID"`
			Owners       []struct{ Name, Email string }
			Ignore       []string
		}
		if err == nil {
			err = yaml.UnmarshalStrict(text, &known)
		}
		if err != nil {
			t.Error(err)
		}
	}
}

func annotated(t *testing.T, name string, has map[string]string) {
	t.Helper()
	within := func(values ...string) func(string) bool {
		return func(text string) bool {
			return !slices.ContainsFunc(strings.Split(text, ", "), func(one string) bool { return !slices.Contains(values, one) })
		}
	}
	listed := func(key string, ok func(map[string]string) bool) func(string) bool {
		return func(text string) bool {
			var list []map[string]string
			return yaml.UnmarshalStrict([]byte(text), &list) == nil && len(list) > 0 &&
				!slices.ContainsFunc(list, func(one map[string]string) bool { return one[key] == "" || !ok(one) })
		}
	}
	for annotation, ok := range map[string]func(string) bool{
		"artifacthub.io/category": within("ai-machine-learning", "database", "integration-delivery", "monitoring-logging", "networking", "security", "storage", "streaming-messaging"),
		"artifacthub.io/license":  within("Apache-2.0"),
		"artifacthub.io/provider": within("knowngood"),
		"artifacthub.io/links":    listed("name", func(one map[string]string) bool { return strings.HasPrefix(one["url"], "https://") }),
		"artifacthub.io/changes": listed("description", func(one map[string]string) bool {
			return slices.Contains([]string{"added", "changed", "deprecated", "removed", "fixed", "security"}, one["kind"])
		}),
		"tekton.dev/displayName":          func(text string) bool { return strings.HasPrefix(text, "knowngood ") },
		"tekton.dev/pipelines.minVersion": regexp.MustCompile(`^[0-9]+\.[0-9]+\.[0-9]+$`).MatchString,
		"tekton.dev/platforms":            regexp.MustCompile(`^linux/[a-z0-9]+(,linux/[a-z0-9]+)*$`).MatchString,
		"tekton.dev/tags":                 regexp.MustCompile(`^[a-z-]+(, [a-z-]+)*$`).MatchString,
		"tekton.dev/categories": within("Automation", "Build Tools", "CLI", "Cloud", "Code Quality", "Continuous Integration", "Deployment",
			"Developer Tools", "Git", "Image Build", "Integration & Delivery", "Kubernetes", "Messaging", "Monitoring", "Networking", "Openshift",
			"Publishing", "Security", "Storage", "Testing"),
	} {
		if !ok(has[annotation]) {
			t.Errorf("%s: %s is %q", name, annotation, has[annotation])
		}
	}
}
