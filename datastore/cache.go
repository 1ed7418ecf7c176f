package datastore

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"os"
)

// record is what a tree and the cache keep of an entry: a few hundred bytes,
// none of its content.
type record struct {
	uid     UID
	state   state
	trusted bool     // see reading
	cjson   [32]byte // sha256 of the .cjson
	size    int64    // of the .cjson
	version [32]byte
	data    [32]byte // sha256 of the data
	parts   []uint32 // see sums
}

// The cache file: magic, records one behind the other, and the sha256 of all
// that. A change of what a record means needs another magic.
const cacheMagic = "xo-backupd look 1\n"

// saveCache writes the cache: whole, or it does not count.
func saveCache(path string, records []*record) error {
	if path == "" {
		return nil
	}
	b := make([]byte, 0, len(cacheMagic)+len(records)*256+sha256.Size)
	b = append(b, cacheMagic...)
	for _, r := range records {
		b = r.appendTo(b)
	}
	sum := sha256.Sum256(b)
	b = append(b, sum[:]...)

	// No sync: a cache that a power cut damages is thrown away by its sum. So is
	// one that two looks have written at the same time.
	temporary := path + ".new"
	err := os.WriteFile(temporary, b, 0o600)
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		os.Remove(temporary)
	}
	return err
}

// loadCache reads what saveCache wrote; anything else is an empty cache.
func loadCache(path string) map[UID]*record {
	if path == "" {
		return nil
	}
	b, err := os.ReadFile(path)
	if err != nil || len(b) < len(cacheMagic)+sha256.Size {
		return nil
	}
	b, sum := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	if got := sha256.Sum256(b); !bytes.Equal(got[:], sum) || !bytes.HasPrefix(b, []byte(cacheMagic)) {
		return nil
	}
	r := &reader{rest: b[len(cacheMagic):]}
	records := make(map[UID]*record, len(r.rest)/256)
	for len(r.rest) > 0 {
		rec := r.record()
		if _, err := ParseUID(string(rec.uid)); err != nil || r.short {
			return nil
		}
		records[rec.uid] = rec
	}
	return records
}

func (r *record) appendTo(b []byte) []byte {
	b = append(b, r.uid...)
	if r.trusted {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	for _, s := range []stamp{r.state.metadata, r.state.data} {
		for _, n := range []uint64{s.dev, s.ino, uint64(s.size), uint64(s.mtime), uint64(s.ctime)} {
			b = binary.BigEndian.AppendUint64(b, n)
		}
	}
	b = append(b, r.cjson[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(r.size))
	b = append(b, r.version[:]...)
	b = append(b, r.data[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(r.parts)))
	for _, p := range r.parts {
		b = binary.BigEndian.AppendUint32(b, p)
	}
	return b
}

type reader struct {
	rest  []byte
	short bool
}

func (r *reader) take(n int) []byte {
	if n > len(r.rest) {
		r.short, r.rest = true, nil
		return make([]byte, n)
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) number() uint64 { return binary.BigEndian.Uint64(r.take(8)) }

func (r *reader) stamp() stamp {
	return stamp{r.number(), r.number(), int64(r.number()), int64(r.number()), int64(r.number())}
}

func (r *reader) record() *record {
	rec := &record{uid: UID(r.take(uidLen)), trusted: r.take(1)[0] == 1}
	rec.state = state{r.stamp(), r.stamp()}
	copy(rec.cjson[:], r.take(32))
	rec.size = int64(r.number())
	copy(rec.version[:], r.take(32))
	copy(rec.data[:], r.take(32))
	count := binary.BigEndian.Uint32(r.take(4))
	if int64(count)*4 > int64(len(r.rest)) {
		r.short, r.rest = true, nil
		return rec
	}
	for range count {
		rec.parts = append(rec.parts, binary.BigEndian.Uint32(r.take(4)))
	}
	return rec
}
