// SPDX-License-Identifier: Apache-2.0

// Command images writes the images that suites on a cluster need, as archives, and prints their
// paths: an S3 server's, with -own knowngood's too, and with -shop those of the shop.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/knowngood/knowngood/test/product"
)

// A wish is what to make, and of what.
type wish struct {
	product.Request
	store, shop, cache string
	own                bool
}

func main() {
	w := wish{Request: product.Request{Root: ".", Version: "test", Revision: "none", Out: os.Stderr}}
	flag.StringVar(&w.Tool, "tool", "", "the built program of test/image")
	flag.StringVar(&w.Work, "work", "", "folder to work in, where the archives lie afterwards")
	flag.StringVar(&w.store, "store", "", "the program versitygw")
	flag.BoolVar(&w.own, "own", false, "build knowngood and its image")
	flag.StringVar(&w.shop, "shop", "", "the built program of test/shop, to make the images of the shop with")
	flag.StringVar(&w.cache, "cache", "", "folder in which the images of the shop are kept")
	flag.Parse()
	archives, err := w.write(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
	for _, archive := range archives {
		fmt.Println(archive)
	}
}

func (w wish) write(ctx context.Context) ([]string, error) {
	archives := []string{filepath.Join(w.Work, "store.tar")}
	w.Name = "knowngood.test/store:test"
	if err := product.Store(ctx, w.Request, w.store, archives[0]); err != nil {
		return nil, err
	}
	if w.own {
		archives = append(archives, filepath.Join(w.Work, "knowngood.tar"))
		w.Name = "knowngood.test/knowngood:test"
		if err := product.Image(ctx, w.Request, archives[1]); err != nil {
			return nil, err
		}
	}
	if w.shop == "" {
		return archives, nil
	}
	made, err := w.ofShop(ctx)
	return append(archives, made...), err
}

// ofShop has the shop make its own images.
func (w wish) ofShop(ctx context.Context) ([]string, error) {
	repository := filepath.Join(w.Work, "shop-repository")
	var output []byte
	for _, args := range [][]string{{"repo", repository}, {"images", "--repo", repository, "--out", w.cache}} {
		cmd := exec.CommandContext(ctx, w.shop, args...)
		cmd.Stderr = os.Stderr
		var err error
		if output, err = cmd.Output(); err != nil {
			return nil, fmt.Errorf("shop %s: %w", args[0], err)
		}
	}
	var made []struct{ Archive string }
	if err := json.Unmarshal(output, &made); err != nil {
		return nil, fmt.Errorf("images of the shop: %w", err)
	}
	archives := make([]string, 0, len(made))
	for _, image := range made {
		archives = append(archives, image.Archive)
	}
	return archives, nil
}
