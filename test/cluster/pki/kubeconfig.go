// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"encoding/json"
	"os"
	"path/filepath"
)

// Kubeconfig is the text of a kubeconfig (JSON, which is YAML) for the client certificate FILE of the folder.
func Kubeconfig(dir, file, cluster, server string) ([]byte, error) {
	ca, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		return nil, err
	}
	cert, err := os.ReadFile(filepath.Join(dir, file+".crt"))
	if err != nil {
		return nil, err
	}
	key, err := os.ReadFile(filepath.Join(dir, file+".key"))
	if err != nil {
		return nil, err
	}
	type object = map[string]any
	return json.MarshalIndent(object{
		"apiVersion": "v1",
		"kind":       "Config",
		"clusters": []object{{"name": cluster, "cluster": object{
			"server": server, "certificate-authority-data": ca, // []byte becomes base64
		}}},
		"users": []object{{"name": file, "user": object{
			"client-certificate-data": cert, "client-key-data": key,
		}}},
		"contexts":        []object{{"name": cluster, "context": object{"cluster": cluster, "user": file}}},
		"current-context": cluster,
	}, "", " ")
}
