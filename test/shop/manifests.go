// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"strings"
)

// defaultRegistry begins the names of images that no registry holds.
const defaultRegistry = "knowngood.test"

func shopImage(registry, tag string) string { return registry + "/shop:" + tag }

func databaseImage(registry, tag string) string { return registry + "/shop-db:" + tag }

// manifests prints the shop for `kubectl apply -f -`, in no namespace, or with
// --asker the customer alone.
func manifests(_ context.Context, args []string, stdout, stderr io.Writer) error {
	set := flag.NewFlagSet("shop manifests", flag.ContinueOnError)
	registry := set.String("registry", defaultRegistry, "first part of the images' names")
	tag := set.String("tag", "", "tag of the shop's image, as shop images printed it (required)")
	class := set.String("storage-class", "", "class of the database's claim (default the cluster's)")
	asker := set.Bool("asker", false, "print the customer instead of the shop")
	if err := parse(set, args, stderr); err != nil {
		return err
	}
	if *tag == "" || set.NArg() > 0 {
		set.Usage()
		return errUsage
	}
	database, err := databaseTag()
	if err != nil {
		return err
	}
	text, err := read(*asker)
	if err != nil {
		return err
	}
	text = imageLine.ReplaceAllStringFunc(text, func(line string) string {
		if strings.Contains(line, "shop-db:") {
			return "image: " + databaseImage(*registry, database)
		}
		return "image: " + shopImage(*registry, *tag)
	})
	if *class != "" {
		text = strings.ReplaceAll(text, accessModes, accessModes+"\n      storageClassName: "+*class)
	}
	_, err = io.WriteString(stdout, text)
	return err
}

// imageLine is where a manifest names an image; accessModes is where a claim's
// description begins.
var imageLine = regexp.MustCompile(`image: knowngood\.test/\S+`)

const accessModes = "accessModes: [ReadWriteOnce]"

func read(asker bool) (string, error) {
	if asker {
		data, err := fs.ReadFile(source, "asker.yaml")
		return string(data), err
	}
	files, err := fs.Glob(source, "deploy/*.yaml")
	if err != nil {
		return "", err
	}
	parts := make([]string, 0, len(files))
	for _, name := range files {
		data, err := fs.ReadFile(source, name)
		if err != nil {
			return "", fmt.Errorf("reading %s: %w", name, err)
		}
		parts = append(parts, string(data))
	}
	return strings.Join(parts, "---\n"), nil
}
