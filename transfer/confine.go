package transfer

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/landlock-lsm/go-landlock/landlock"
	"golang.org/x/sys/unix"
)

// confine takes from this process what the job does not need. The limits always
// hold; Landlock (Linux 5.13) and seccomp (3.5) where the kernel has them, and
// it answers which.
func confine(job Job) (held []string, err error) {
	if err := limit(job.Limits); err != nil {
		return nil, err
	}
	// Where memory is short for everybody, we are the one to go.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0)

	write := job.Write
	if job.Receive != "" {
		write = append(write[:len(write):len(write)], job.Receive)
	}
	if err := restrict(job.Read, write); err != nil {
		return nil, err
	}
	if _, err := os.Open("/"); err != nil {
		held = append(held, "landlock")
	}
	if err := filterCalls(); err == nil {
		held = append(held, "seccomp")
	}
	return held, nil
}

func restrict(read, write []string) error {
	var rules []landlock.Rule
	for _, p := range read {
		rules = append(rules, pathRule(p, landlock.RODirs, landlock.ROFiles))
	}
	for _, p := range write {
		// gokrazy renames files from the top folder to theirs.
		rules = append(rules, pathRule(p, func(p ...string) landlock.FSRule {
			return landlock.RWDirs(p...).WithRefer()
		}, landlock.RWFiles))
	}
	if err := landlock.V3.BestEffort().RestrictPaths(rules...); err != nil {
		return fmt.Errorf("landlock: %w", err)
	}
	return nil
}

func pathRule(p string, dir, file func(...string) landlock.FSRule) landlock.FSRule {
	if info, err := os.Stat(p); err == nil && !info.IsDir() {
		return file(p)
	}
	return dir(p).IgnoreIfMissing()
}

func limit(l Limits) error {
	set := func(what int, n uint64) error {
		return unix.Setrlimit(what, &unix.Rlimit{Cur: n, Max: n})
	}
	if err := set(unix.RLIMIT_CORE, 0); err != nil {
		return err
	}
	if err := set(unix.RLIMIT_NOFILE, 64); err != nil {
		return err
	}
	if l.FileSize < noLimit {
		if err := set(unix.RLIMIT_FSIZE, uint64(l.FileSize)); err != nil {
			return err
		}
	}
	size, data := mapped()
	if size == 0 {
		return nil // no /proc
	}
	// Since Linux 4.7 RLIMIT_DATA counts what Go maps. Before, and that is
	// where 32 bit are at home, the address space has to do.
	if strconv.IntSize == 32 {
		if err := set(unix.RLIMIT_AS, uint64(size+l.Memory)); err != nil {
			return err
		}
	}
	return set(unix.RLIMIT_DATA, uint64(data+l.Memory))
}

// mapped answers this process's address space and its writable part, in bytes.
func mapped() (size, data int64) {
	b, err := os.ReadFile("/proc/self/statm")
	f := strings.Fields(string(b))
	if err != nil || len(f) < 6 {
		return 0, 0
	}
	page := int64(os.Getpagesize())
	size, _ = strconv.ParseInt(f[0], 10, 64)
	data, _ = strconv.ParseInt(f[5], 10, 64)
	return size * page, data * page
}

// peak reads the largest resident set that this process had, in bytes.
func peak(status *os.File) int64 {
	if status == nil {
		return 0
	}
	b, _ := io.ReadAll(io.NewSectionReader(status, 0, 8<<10))
	_, rest, _ := strings.Cut(string(b), "VmHWM:")
	kb, _, _ := strings.Cut(rest, "kB")
	n, _ := strconv.ParseInt(strings.TrimSpace(kb), 10, 64)
	return n << 10
}
