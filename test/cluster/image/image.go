// SPDX-License-Identifier: Apache-2.0

// Package image makes the one container image that the cluster itself needs, from a static program and nothing else.
package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"runtime"
)

// Archive is a docker archive (what "docker save" writes) of an image that holds one program at /NAME and runs it.
func Archive(reference, name string, program []byte) ([]byte, error) {
	layer, err := pack([]file{{name, 0o755, program}})
	if err != nil {
		return nil, err
	}
	type object = map[string]any
	config, err := json.Marshal(object{
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"config":       object{"Entrypoint": []string{"/" + name}, "User": "65535:65535"},
		"rootfs":       object{"type": "layers", "diff_ids": []string{"sha256:" + digest(layer)}},
	})
	if err != nil {
		return nil, err
	}
	configName := digest(config) + ".json"
	manifest, err := json.Marshal([]object{{
		"Config": configName, "RepoTags": []string{reference}, "Layers": []string{"layer.tar"},
	}})
	if err != nil {
		return nil, err
	}
	return pack([]file{{configName, 0o644, config}, {"layer.tar", 0o644, layer}, {"manifest.json", 0o644, manifest}})
}

type file struct {
	name string
	mode int64
	data []byte
}

func pack(files []file) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range files {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: f.mode, Size: int64(len(f.data))}
		if err := w.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("packing %s: %w", f.name, err)
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, fmt.Errorf("packing %s: %w", f.name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
