// SPDX-License-Identifier: Apache-2.0

package product

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// storeRecipe is the image of an S3 server that keeps its buckets in a folder.
const storeRecipe = "FROM scratch\nCOPY --chmod=755 versitygw /versitygw\nUSER 65532:65532\nENTRYPOINT [\"/versitygw\"]\n"

// Store writes the image of a versitygw as an archive, under the name of the request.
func Store(ctx context.Context, r Request, program, archive string) error {
	folder := filepath.Join(r.Work, "store")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	data, err := os.ReadFile(program)
	if err != nil {
		return fmt.Errorf("the S3 server: %w", err)
	}
	for name, content := range map[string][]byte{"versitygw": data, "Dockerfile": []byte(storeRecipe)} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o644); err != nil {
			return err
		}
	}
	return r.run(ctx, nil, r.Tool, "build", "-t", r.Name, "-o", archive, folder)
}
