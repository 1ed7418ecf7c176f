package index

import (
	"bufio"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// sumsName is the file that says that an index is whole: its version, the state
// that whoever made it has given it, and the length and sum of every other file. It
// is written last, and what it speaks of never changes.
const (
	sumsName = "sums"
	version  = "xo-backupd index 2"
)

// checkSums answers the state of an index whose files are what they were.
func checkSums(dir string) (state string, files map[string]string, err error) {
	f, err := os.Open(filepath.Join(dir, sumsName))
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(io.LimitReader(f, 1<<20))
	next := func() string { lines.Scan(); return lines.Text() }
	if v := next(); v != version {
		return "", nil, fmt.Errorf("it is of version %.40q", v)
	}
	state = next()
	want := map[string]string{}
	for lines.Scan() {
		sum, name, ok := strings.Cut(lines.Text(), "  ")
		if !ok {
			return "", nil, errors.New("its sums cannot be read")
		}
		want[name] = sum
	}
	have, err := sums(dir)
	if err != nil {
		return "", nil, err
	}
	if !maps.Equal(have, want) {
		return "", nil, errors.New("its files are not what they were")
	}
	return state, have, lines.Err()
}

// writeSums needs no sync: what a power cut leaves half written does not match.
func writeSums(dir, state string) error {
	all, err := sums(dir)
	if err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n", version, state)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&b, "%s  %s\n", all[name], name)
	}
	path := filepath.Join(dir, sumsName)
	if err := os.WriteFile(path+".new", []byte(b.String()), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// sums are the length and CRC of every file of the index.
func sums(dir string) (map[string]string, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	for _, f := range files {
		if f.Name() == sumsName {
			continue
		}
		sum, err := sumOf(filepath.Join(dir, f.Name()))
		if err != nil {
			return nil, err
		}
		all[f.Name()] = sum
	}
	return all, nil
}

func sumOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	crc := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	n, err := io.CopyBuffer(struct{ io.Writer }{crc}, struct{ io.Reader }{f}, make([]byte, 64<<10))
	return fmt.Sprintf("%d %08x", n, crc.Sum32()), err
}
