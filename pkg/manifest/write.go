// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
)

// Decode reads a bundle that a record tells of. Bytes that are not those of the record are an
// error.
func Decode(text []byte, of release.Manifests) (*Bundle, error) {
	sum := sha256.Sum256(text)
	if got := "sha256:" + hex.EncodeToString(sum[:]); got != of.Digest {
		return nil, fmt.Errorf("the manifests have the digest %s, and their record says %s: they were changed", got, of.Digest)
	}
	var b Bundle
	if err := json.Unmarshal(text, &b); err != nil {
		return nil, fmt.Errorf("the manifests: %w", err)
	}
	if b.Format > Format {
		return nil, fault.Hint(fmt.Errorf("the manifests have format %d, this program reads up to %d", b.Format, Format), "update knowngood")
	}
	return &b, nil
}

// A File is one object as a person applies it.
type File struct {
	Name string
	Text []byte
}

var plain = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,250}$`)

// Files returns each object as YAML under a name of its own, numbered in the order in which
// they are applied, for a namespace; "" is the one they were in.
func (b *Bundle) Files(namespace string) ([]File, error) {
	var files []File
	for i, o := range b.Objects {
		text, err := yaml.Marshal(within(o, namespace))
		if err != nil {
			return nil, fmt.Errorf("%s as YAML: %w", nameOf(o), err)
		}
		meta, _ := o["metadata"].(object)
		name := fmt.Sprintf("%s-%v", strings.ToLower(fmt.Sprint(o["kind"])), meta["name"])
		if !plain.MatchString(name) {
			return nil, fmt.Errorf("the manifests hold an object with the name %.80q", name)
		}
		files = append(files, File{fmt.Sprintf("%02d-%s.yaml", i+1, name), text})
	}
	return files, nil
}

// within returns an object as one of another namespace.
func within(o object, namespace string) object {
	meta, _ := o["metadata"].(object)
	if _, is := meta["namespace"]; !is || namespace == "" {
		return o
	}
	moved := maps.Clone(o)
	there := maps.Clone(meta)
	there["namespace"] = namespace
	moved["metadata"] = there
	return moved
}
