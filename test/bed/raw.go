package bed

import (
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
)

// WriteRaw writes a Journal of layout 6 straight onto the disk, as a datastore
// that has been used for years leaves it but for its index, faster than the
// datastore could: n entries of about 20 properties and 20 kB each, with the
// notes of the datastore's optimizer, for 1,000 of them 21,000 files and 20 MB.
// One entry's file is of bigFile bytes, if that is not 0. The same seed writes
// the same bytes. It answers the uids.
func WriteRaw(datastore string, n int, bigFile int64, seed uint64) (uids []string, err error) {
	if err := os.MkdirAll(filepath.Join(datastore, "checksums/queue"), 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(datastore, "version"), []byte("6"), 0o644); err != nil {
		return nil, err
	}
	r := rand.New(rand.NewPCG(seed, 6))
	previews := make([][]byte, 16)
	for i := range previews {
		previews[i] = preview(r)
	}
	uids = make([]string, n)
	for i := range uids {
		uid := fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", r.Uint32(), r.IntN(1<<16), r.IntN(1<<12), r.IntN(1<<12), r.Uint64N(1<<48))
		uids[i] = uid
		s := sample(r, i)
		delete(s.Props, "comments") // not on every XO
		delete(s.Props, "mtime")
		s.Props["preview"] = previews[r.IntN(len(previews))]
		s.Props["uid"] = []byte(uid)
		s.Data = make([]byte, 8_000+r.IntN(19_000))
		fill(r, s.Data)
		s.Props["filesize"] = strconv.AppendInt(nil, int64(len(s.Data)), 10)
		sum := fmt.Sprintf("%x", md5.Sum(s.Data))
		folder := filepath.Join(datastore, uid[:2], uid)
		if bigFile > 0 && i == n/2 {
			s.Data = nil
			s.Props["filesize"] = strconv.AppendInt(nil, bigFile, 10)
			if sum, err = writeNoise(folder, bigFile, r); err != nil {
				return nil, err
			}
		}
		s.Props["checksum"] = []byte(sum)
		if err := writeRawEntry(folder, s); err != nil {
			return nil, err
		}
		note := filepath.Join(datastore, "checksums", sum)
		if err := os.Mkdir(note, 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(note, uid), nil, 0o644); err != nil {
			return nil, err
		}
	}
	return uids, nil
}

func writeRawEntry(folder string, s Sample) error {
	metadata := filepath.Join(folder, "metadata")
	if err := os.MkdirAll(metadata, 0o755); err != nil {
		return err
	}
	for name, value := range s.Props {
		if err := os.WriteFile(filepath.Join(metadata, name), value, 0o644); err != nil {
			return err
		}
	}
	if s.Data == nil {
		return nil
	}
	return os.WriteFile(filepath.Join(folder, "data"), s.Data, 0o644)
}

// writeNoise writes an entry's file that nothing can compress, without holding
// it, and answers its md5.
func writeNoise(folder string, size int64, r *rand.Rand) (sum string, err error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", err
	}
	f, err := os.Create(filepath.Join(folder, "data"))
	if err != nil {
		return "", err
	}
	hash := md5.New()
	to := io.MultiWriter(f, hash)
	block := make([]byte, 1<<20)
	for size > 0 && err == nil {
		fill(r, block)
		n := min(size, int64(len(block)))
		_, err = to.Write(block[:n])
		size -= n
	}
	return fmt.Sprintf("%x", hash.Sum(nil)), errors.Join(err, f.Close())
}

// ChangeRaw changes entries of a Journal on disk while no datastore runs: a new
// title and timestamp by rename, as the datastore replaces them, and new bytes
// of the same size in the file.
func ChangeRaw(datastore string, uids []string, seed uint64) error {
	r := rand.New(rand.NewPCG(seed, 7))
	for _, uid := range uids {
		folder := filepath.Join(datastore, uid[:2], uid)
		for name, value := range map[string]string{
			"title":     fmt.Sprintf("changed %d", r.Uint32()),
			"timestamp": strconv.Itoa(1_790_000_000 + r.IntN(1_000_000)),
		} {
			temp := filepath.Join(folder, "metadata", "."+name)
			if err := os.WriteFile(temp, []byte(value), 0o644); err != nil {
				return err
			}
			if err := os.Rename(temp, filepath.Join(folder, "metadata", name)); err != nil {
				return err
			}
		}
		data := filepath.Join(folder, "data")
		info, err := os.Stat(data)
		if err != nil {
			return err
		}
		fresh := make([]byte, info.Size())
		fill(r, fresh)
		if err := os.WriteFile(data+".new", fresh, 0o644); err != nil {
			return err
		}
		if err := os.Rename(data+".new", data); err != nil {
			return err
		}
	}
	return nil
}
