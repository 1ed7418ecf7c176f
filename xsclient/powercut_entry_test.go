package xsclient

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/sugarlabs/xo-backupd/datastore"
)

// ontoADisk moves all that is a laptop's to a disk of its own, and answers how to
// cut the power there: what is not synced is gone, and the machine starts again.
func (p *pupil) ontoADisk(t *testing.T) (off func() error, on func()) {
	t.Helper()
	image, kept := filepath.Join(t.TempDir(), "image"), filepath.Join(t.TempDir(), "kept")
	run := func(name string, args ...string) error {
		out, err := exec.Command(name, args...).CombinedOutput()
		if err != nil {
			err = errors.New(name + ": " + string(out))
		}
		return err
	}
	must(t, os.WriteFile(image, nil, 0o644))
	must(t, os.Truncate(image, 128<<20))
	must(t, run("mkfs.ext4", "-q", "-F", "-m", "0", image))
	must(t, run("cp", "-a", p.home, kept))
	if err := run("mount", "-o", "loop", image, p.home); err != nil {
		t.Skip("mounting is refused here: ", err)
	}
	t.Cleanup(func() { _ = exec.Command("umount", "-l", p.home).Run() })
	must(t, run("cp", "-a", kept+"/.", p.home))
	must(t, run("sync", "-f", p.home))
	off = func() error { return run("xfs_io", "-x", "-c", "shutdown", p.home) }
	on = func() {
		t.Helper()
		must(t, run("umount", p.home))
		must(t, run("mount", "-o", "loop", image, p.home))
		before := p.Client
		p.Client = client(t, before.cfg)
		must(t, p.Recover(t.Context()))
	}
	return off, on
}

// The power is cut while an entry comes back: all else is as it was, the child's
// own version of it too, and when it is asked for again it is there, once.
func TestEntryPowerCut(t *testing.T) {
	errCut := errors.New("the power went")
	// putHalf is what Sugar has done by then.
	putHalf := func(p *pupil, e *datastore.Entry, path string, all bool) {
		dir := p.place(string(e.UID))
		must(t, os.MkdirAll(dir+"/metadata", 0o755))
		for name, value := range e.Metadata {
			if all || name == "title" || name == "uid" {
				must(t, os.WriteFile(filepath.Join(dir, "metadata", name), value, 0o644))
			}
		}
		if all && path != "" {
			must(t, os.Rename(path, dir+"/data"))
		}
	}
	for name, at := range map[string]func(p *pupil, off func() error){
		"before Sugar begins": func(p *pupil, off func() error) {
			p.live().before = func(*datastore.Entry, string) error { return errors.Join(off(), errCut) }
		},
		"while Sugar writes": func(p *pupil, off func() error) {
			p.live().before = func(e *datastore.Entry, path string) error {
				putHalf(p, e, path, false)
				return errors.Join(off(), errCut)
			}
		},
		"while Sugar writes, and that is on the disk": func(p *pupil, off func() error) {
			p.live().before = func(e *datastore.Entry, path string) error {
				putHalf(p, e, path, false)
				return errors.Join(exec.Command("sync", "-f", p.home).Run(), off(), errCut)
			}
		},
		"when Sugar has written": func(p *pupil, off func() error) {
			p.live().before = func(e *datastore.Entry, path string) error {
				putHalf(p, e, path, true)
				return errors.Join(off(), errCut)
			}
		},
		"without Sugar": func(p *pupil, off func() error) {
			p.service.holding = func() { must(t, off()) }
		},
	} {
		for _, beside := range []bool{false, true} {
			t.Run(name+map[bool]string{true: ", beside another"}[beside], func(t *testing.T) {
				old, uids := rawJournal(t, 3, 1)
				p := newPupil(t, newSchool(t, old), "")
				p.have(old, uids[0])
				if beside {
					p.have(old, uids[1])
					must(t, os.WriteFile(p.place(uids[1])+"/metadata/title", []byte("newer"), 0o644))
				}
				off, on := p.ontoADisk(t)
				mine := listing(t, p.journal)
				at(p, off)
				if _, err := p.RestoreEntry(t.Context(), "", uids[1], silent); err == nil {
					t.Fatal("nothing was cut")
				}
				on()
				now := listing(t, p.journal)
				for name, was := range mine {
					if now[name] != was {
						t.Errorf("%s is gone, or another: %q", name, now[name])
					}
				}
				if _, err := os.Lstat(p.entryStagingDir()); !os.IsNotExist(err) {
					t.Errorf("what was fetched is still there: %v", err)
				}
				p.live()
				result, err := p.RestoreEntry(t.Context(), "", uids[1], silent)
				must(t, err)
				want := 2
				if beside {
					want = 3
				}
				if found := p.uids(); result.Partial || len(found) != want {
					t.Errorf("%d entries; %+v", len(found), result)
				}
				p.holds(old, append(p.others(uids), uids[1:]...)...)
				if again, err := p.RestoreEntry(t.Context(), "", uids[1], silent); err != nil || len(p.uids()) != want {
					t.Errorf("%+v, %v", again, err)
				}
			})
		}
	}
}
