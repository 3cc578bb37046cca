// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"bufio"
	"context"
	"encoding/json"

	"github.com/kopia/kopia/repo"
	"github.com/kopia/kopia/repo/object"
)

// joined makes one object of pieces: it writes the index, as kopia writes that of every object of
// several contents. kopia's own call reads each piece again for its length.
func joined(ctx context.Context, to repo.RepositoryWriter, pieces []object.IndirectObjectEntry) (string, error) {
	if len(pieces) == 1 {
		return pieces[0].Object.String(), nil
	}
	writer := to.NewObjectWriter(ctx, object.WriterOptions{Prefix: "x", Compressor: compressor, MetadataCompressor: compressor})
	defer writer.Close()
	out := bufio.NewWriterSize(writer, 64<<10)
	between := `{"stream":"kopia:indirect","entries":[`
	for i := range pieces {
		line, err := json.Marshal(pieces[i])
		if err != nil {
			return "", err
		}
		_, _ = out.WriteString(between) // Flush returns what failed
		_, _ = out.Write(line)
		between = ",\n"
	}
	_, _ = out.WriteString("]}\n")
	if err := out.Flush(); err != nil {
		return "", err
	}
	id, err := writer.Result()
	return "I" + id.String(), err
}
