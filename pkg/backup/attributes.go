// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"
)

// Attributes are extended attributes by their names, which are bytes that need not be UTF-8. In
// JSON they are an object where all names are UTF-8, else a list of names and values.
type Attributes map[string][]byte

// A namedAttribute is one of Attributes in a list.
type namedAttribute struct {
	Name  Name   `json:"name"`
	Value []byte `json:"value"`
}

// MarshalJSON implements json.Marshaler.
func (a Attributes) MarshalJSON() ([]byte, error) {
	var list []namedAttribute
	odd := false
	for _, name := range slices.Sorted(maps.Keys(a)) {
		odd = odd || !utf8.ValidString(name)
		list = append(list, namedAttribute{Name: Name(name), Value: a[name]})
	}
	if odd {
		return json.Marshal(list)
	}
	return json.Marshal(map[string][]byte(a))
}

// UnmarshalJSON implements json.Unmarshaler.
func (a *Attributes) UnmarshalJSON(data []byte) error {
	if len(data) == 0 || data[0] != '[' {
		return json.Unmarshal(data, (*map[string][]byte)(a))
	}
	var list []namedAttribute
	if err := json.Unmarshal(data, &list); err != nil {
		return err
	}
	*a = Attributes{}
	for _, one := range list {
		if _, twice := (*a)[string(one.Name)]; twice {
			return fmt.Errorf("the extended attribute %q comes twice", one.Name)
		}
		(*a)[string(one.Name)] = one.Value
	}
	return nil
}
