package index

import (
	"context"
	"iter"
	"os"
	"path/filepath"
	"strconv"

	"github.com/RoaringBitmap/roaring/v2"
	bleve "github.com/blevesearch/bleve_index_api"
	segment "github.com/blevesearch/scorch_segment_api/v2"
	zapx "github.com/blevesearch/zapx/v17"
)

// zap is the format of Bleve's segments. It is used without the rest of Bleve: what
// that does beside, in goroutines and a database of its own, an index that can be
// built anew at any time does not need, and its start would cost every process of
// ours 4 ms and 1 MB (measured on amd64; an XO-1 is many times slower).
var zap zapx.ZapPlugin

// A segment's room is guessed from the one before, for a hundred documents more than
// there are: after an entry full of text that would be as much memory as a laptop has.
func init() { zapx.NewSegmentBufferNumResultsBump = 0 }

// baseName is the file of an index's segment.
const baseName = "segment"

const (
	// batchSize is how many documents are in memory at once while an index is built,
	// and batchBytes how much text of them: in memory it is fifty times as much.
	batchSize  = 64
	batchBytes = 512 << 10
	// mergeMost is how many files are merged at once.
	mergeMost = 40
)

func newSegment(docs []*document) (segment.Segment, error) {
	all := make([]bleve.Document, len(docs))
	for i, d := range docs {
		all[i] = d
	}
	s, _, err := zap.New(all)
	return s, err
}

// merge writes one file of several segments, but for what is dropped of each; no
// file for nothing.
func merge(segments []segment.Segment, drops []*roaring.Bitmap, path string) error {
	if len(segments) == 0 {
		return nil
	}
	_, _, err := zap.Merge(segments, drops, path, nil, nil)
	return err
}

// Build makes an index of entries in dir, in place of what is there. The state is
// whatever State shall answer.
func Build(ctx context.Context, dir, state string, entries iter.Seq2[*Entry, error]) (err error) {
	defer recovered(&err)
	return replace(dir, state, func(dir string) error {
		parts := filepath.Join(dir, "parts")
		if err := os.Mkdir(parts, 0o700); err != nil {
			return err
		}
		b := &builder{dir: parts}
		if err := b.addAll(ctx, entries); err != nil {
			return err
		}
		if err := b.mergeInto(filepath.Join(dir, baseName), b.files); err != nil {
			return err
		}
		return os.RemoveAll(parts)
	})
}

// builder writes segments of few documents each, and merges their files.
type builder struct {
	dir   string
	batch []*document
	bytes int // of its text
	files []string
	made  int
}

func (b *builder) addAll(ctx context.Context, entries iter.Seq2[*Entry, error]) error {
	documents, stop := cut(ctx, entries)
	defer stop()
	for d := range documents {
		if d.err != nil {
			return d.err
		}
		b.batch = append(b.batch, d.document)
		b.bytes += len(d.kept)
		if len(b.batch) == batchSize || b.bytes > batchBytes {
			if err := b.write(); err != nil {
				return err
			}
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return b.write()
}

// write makes a file of the batch.
func (b *builder) write() error {
	if len(b.batch) == 0 {
		return nil
	}
	s, err := newSegment(b.batch)
	if err != nil {
		return err
	}
	b.batch, b.bytes = b.batch[:0], 0
	path := b.newPath()
	if err := s.(segment.UnpersistedSegment).Persist(path); err != nil {
		return err
	}
	b.files = append(b.files, path)
	if len(b.files) < mergeMost {
		return nil
	}
	merged := b.newPath()
	if err := b.mergeInto(merged, b.files); err != nil {
		return err
	}
	b.files = []string{merged}
	return nil
}

func (b *builder) newPath() string {
	b.made++
	return filepath.Join(b.dir, strconv.Itoa(b.made))
}

// mergeInto merges files, and removes them.
func (b *builder) mergeInto(path string, files []string) error {
	if len(files) == 1 {
		return os.Rename(files[0], path)
	}
	var segments []segment.Segment
	defer func() {
		for _, s := range segments {
			s.Close()
		}
	}()
	for _, file := range files {
		s, err := zap.Open(file)
		if err != nil {
			return err
		}
		segments = append(segments, s)
	}
	if err := merge(segments, make([]*roaring.Bitmap, len(segments)), path); err != nil {
		return err
	}
	for _, file := range files {
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	return nil
}

// cutDocument is a document, or why there are no more.
type cutDocument struct {
	*document
	err error
}

// cut reads entries and cuts them into words beside the one who writes them. stop
// ends it and waits for that.
func cut(ctx context.Context, entries iter.Seq2[*Entry, error]) (<-chan cutDocument, func()) {
	ctx, cancel := context.WithCancel(ctx)
	out := make(chan cutDocument, 16)
	go func() {
		defer close(out)
		send := func(d cutDocument) bool {
			select {
			case out <- d:
				return d.err == nil
			case <-ctx.Done():
				return false
			}
		}
		var err error
		defer func() {
			if err != nil {
				send(cutDocument{err: err})
			}
		}()
		defer recovered(&err)
		for e, failed := range entries {
			if err = failed; err != nil || !send(cutDocument{document: newDocument(e)}) {
				return
			}
		}
	}()
	return out, func() {
		cancel()
		for range out {
		}
	}
}
