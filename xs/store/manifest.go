package store

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/sugarlabs/xo-backupd/datastore"
)

// Sum is a file's sha256.
type Sum [sha256.Size]byte

// Manifest holds the sum of each file of a tree, by its path in it.
type Manifest map[string]Sum

const cjsonSuffix = ".cjson"

// Encode writes what `sha256sum -c` reads, by path.
func (m Manifest) Encode() []byte {
	var b bytes.Buffer
	for _, path := range slices.Sorted(maps.Keys(m)) {
		line(&b, m[path], path)
	}
	return b.Bytes()
}

// Digest names the whole tree: the sha256 of its manifest's .cjson lines, since
// those hold the sums of all else.
func (m Manifest) Digest() string {
	var b bytes.Buffer
	for _, path := range slices.Sorted(maps.Keys(m)) {
		if strings.HasSuffix(path, cjsonSuffix) {
			line(&b, m[path], path)
		}
	}
	sum := sha256.Sum256(b.Bytes())
	return hex.EncodeToString(sum[:])
}

// uids are the entries of the tree, in order.
func (m Manifest) uids() []datastore.UID {
	seen := map[datastore.UID]bool{}
	for path := range m {
		if uid, ok := uidOf(path); ok {
			seen[uid] = true
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

func line(b *bytes.Buffer, sum Sum, path string) {
	b.WriteString(hex.EncodeToString(sum[:]))
	b.WriteString("  ")
	b.WriteString(path)
	b.WriteByte('\n')
}

// decodeManifest reads what Encode wrote, and nothing else.
func decodeManifest(r io.Reader) (Manifest, error) {
	m := Manifest{}
	scan := bufio.NewScanner(r)
	last := ""
	for n := 1; scan.Scan(); n++ {
		digits, path, ok := strings.Cut(scan.Text(), "  ")
		var sum Sum
		if !ok || len(digits) != 2*len(sum) || !fs.ValidPath(path) || path <= last {
			return nil, fmt.Errorf("line %d is not a sum and a path, in order", n)
		}
		if _, err := hex.Decode(sum[:], []byte(digits)); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		m[path], last = sum, path
	}
	if err := scan.Err(); err != nil {
		return nil, err
	}
	if len(m) == 0 {
		return nil, errors.New("is empty")
	}
	return m, nil
}
