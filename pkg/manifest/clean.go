// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

type object = map[string]any

// bare takes away what a cluster has added to an object.
func bare(o object) {
	delete(o, "status")
	meta, _ := o["metadata"].(object)
	for _, key := range []string{
		"managedFields", "uid", "resourceVersion", "creationTimestamp", "generation", "selfLink", "ownerReferences", "finalizers",
		"deletionTimestamp", "deletionGracePeriodSeconds", "generateName",
	} {
		delete(meta, key)
	}
	if annotations, ok := meta["annotations"].(object); ok {
		for key, value := range annotations {
			text, _ := value.(string)
			if ofTheCluster(key) || strings.HasPrefix(strings.TrimSpace(text), "{") {
				delete(annotations, key)
			}
		}
		if len(annotations) == 0 {
			delete(meta, "annotations")
		}
	}
	spec, _ := o["spec"].(object)
	switch o["kind"] {
	case "Service":
		if spec["clusterIP"] != "None" {
			delete(spec, "clusterIP")
			delete(spec, "clusterIPs")
		}
		delete(spec, "healthCheckNodePort")
	case "PersistentVolumeClaim":
		for _, key := range []string{"volumeName", "dataSource", "dataSourceRef"} {
			delete(spec, key)
		}
	}
	template(spec)
}

// template takes away the empty stamps that encoding leaves in the templates of an object.
func template(v any) {
	switch v := v.(type) {
	case object:
		if meta, ok := v["metadata"].(object); ok && meta["creationTimestamp"] == nil {
			delete(meta, "creationTimestamp")
		}
		delete(v, "status")
		for _, child := range v {
			template(child)
		}
	case []any:
		for _, child := range v {
			template(child)
		}
	}
}

// ofTheCluster tells the annotations that controllers write, and those in which a tool keeps the
// whole object once more, with all that is withheld here. Annotations that are JSON objects are
// left out for the same reason.
func ofTheCluster(annotation string) bool {
	for _, prefix := range []string{
		"kubectl.kubernetes.io/", "deployment.kubernetes.io/", "pv.kubernetes.io/", "volume.kubernetes.io/", "volume.beta.kubernetes.io/",
		"control-plane.alpha.kubernetes.io/", "endpoints.kubernetes.io/", "kapp.k14s.io/original", "objectset.rio.cattle.io/applied", "knowngood.dev/",
	} {
		if strings.HasPrefix(annotation, prefix) && !hook(annotation) {
			return true
		}
	}
	return false
}

// hook tells the annotations of our own that belong to the application.
func hook(annotation string) bool {
	return slices.Contains([]string{
		"knowngood.dev/hold", "knowngood.dev/hold-timeout", "knowngood.dev/hooks", "knowngood.dev/snapshot", "knowngood.dev/tls-port", "knowngood.dev/reload",
	}, annotation)
}

// named tells the members whose keys are names of their owner's choice.
func named(member string) bool {
	return slices.Contains([]string{"annotations", "data", "parameters", "options", "volumeAttributes", "attributes"}, member)
}

// A scrub withholds what looks like a secret in one object.
type scrub struct {
	of       string
	withheld []string
}

func (s *scrub) hold(path []string) string {
	s.withheld = append(s.withheld, fmt.Sprintf("%s: %s", s.of, strings.Join(path, ".")))
	return Withheld
}

// object goes through one object. Its metadata's labels and names are what others refer to and
// stay.
func (s *scrub) object(o object) {
	for _, key := range slices.Sorted(maps.Keys(o)) {
		if key != "apiVersion" && key != "kind" {
			o[key] = s.value([]string{key}, o[key], named(key))
		}
	}
}

func (s *scrub) value(path []string, v any, free bool) any {
	switch v := v.(type) {
	case object:
		s.member(path, v, free)
	case []any:
		s.list(path, v)
	case string:
		last := path[len(path)-1]
		if free && secret(last, v) || !free && secretForms.MatchString(v) {
			return s.hold(path)
		}
	}
	return v
}

func (s *scrub) member(path []string, o object, free bool) {
	name, isNamed := o["name"].(string)
	for _, key := range slices.Sorted(maps.Keys(o)) {
		at := append(slices.Clone(path), key)
		switch text, ok := o[key].(string); {
		case !free && (key == "labels" || key == "matchLabels" || key == "binaryData"):
		case ok && isNamed && key == "value":
			if secret(name, text) {
				o[key] = s.hold(append(slices.Clone(path), name))
			}
		default:
			o[key] = s.value(at, o[key], free || named(key))
		}
	}
}

// flags are arguments whose value is the next one.
var flags = regexp.MustCompile(`^--?[A-Za-z][\w.-]*$`)

// setting is what stands before the "=" of an argument; a script is none.
var setting = regexp.MustCompile(`^-{0,2}[A-Za-z_][\w.:-]*$`)

// list goes through a list; one of words is a command line.
func (s *scrub) list(path []string, items []any) {
	before := ""
	for i, item := range items {
		at := append(slices.Clone(path), fmt.Sprint(i))
		text, ok := item.(string)
		if !ok {
			items[i] = s.value(at, item, false)
			continue
		}
		name, value, assigned := strings.Cut(text, "=")
		switch {
		case secretForms.MatchString(text), assigned && setting.MatchString(name) && secret(strings.TrimLeft(name, "-"), value),
			before != "" && secret(before, text), command(path) && random(text):
			items[i] = s.hold(at)
		}
		if before = ""; flags.MatchString(text) {
			before = strings.TrimLeft(text, "-")
		}
	}
}

func command(path []string) bool {
	last := path[len(path)-1]
	return last == "args" || last == "command"
}
