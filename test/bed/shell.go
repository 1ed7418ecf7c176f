package bed

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

//go:embed shell.py
var shellLauncher []byte

// ShellOptions of Sugar's shell. The zero value is an XO's screen with our extensions.
type ShellOptions struct {
	Screen  string   // 1200x900
	Scaling string   // 72
	Lang    string   // C.UTF-8
	Plain   bool     // without our extensions
	Without string   // one of them, say deviceicon/schoolbackup.py
	Env     []string // further environment of the shell
}

func (o *ShellOptions) defaults() {
	for _, d := range []struct {
		to    *string
		value string
	}{{&o.Screen, "1200x900"}, {&o.Scaling, "72"}, {&o.Lang, "C.UTF-8"}} {
		if *d.to == "" {
			*d.to = d.value
		}
	}
}

// Shell is Sugar's own shell on an XO, on a screen of its own, with our extensions
// as they are in the folder sugar of this repository.
type Shell struct {
	XO      *XO
	Options ShellOptions
	Dir     string // of its own, below the XO's: there may be two shells
	Display string

	screen, shell *exec.Cmd
	log           *os.File
	over          chan struct{} // the shell has ended
}

// StartShell starts it; it is not ready yet, see AwaitJournal.
func StartShell(ctx context.Context, x *XO, sources string, o ShellOptions) (_ *Shell, err error) {
	o.defaults()
	s := &Shell{XO: x, Options: o, over: make(chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.Dir, err = os.MkdirTemp(x.Dir, "shell-"); err != nil {
		return nil, err
	}
	if s.log, err = os.Create(filepath.Join(s.Dir, "shell.log")); err != nil {
		return nil, err
	}
	if err := s.services(ctx); err != nil {
		return nil, err
	}
	if err := s.language(ctx, sources); err != nil {
		return nil, err
	}
	if err := s.openScreen(ctx); err != nil {
		return nil, err
	}
	extensions, err := s.extensions(sources)
	if err != nil {
		return nil, err
	}
	launcher := filepath.Join(s.Dir, "shell.py")
	if err := os.WriteFile(launcher, shellLauncher, 0o600); err != nil {
		return nil, err
	}
	s.shell = s.Command(context.WithoutCancel(ctx), "/usr/bin/python3", launcher, "jarabe.main", extensions)
	if !o.Plain {
		s.shell.Args = append(s.shell.Args, sources)
	}
	s.shell.Stdout, s.shell.Stderr = s.log, s.log
	if err := s.shell.Start(); err != nil {
		close(s.over)
		return nil, err
	}
	go func() { _ = s.shell.Wait(); close(s.over) }()
	return s, nil
}

// services lets the bus start what the shell wants besides the datastore.
func (s *Shell) services(ctx context.Context) error {
	for _, name := range []string{"org.a11y.Bus", "org.freedesktop.Telepathy.AccountManager", "org.freedesktop.Telepathy.MissionControl5"} {
		b, err := os.ReadFile("/usr/share/dbus-1/services/" + name + ".service")
		if err != nil {
			return err
		}
		var plain []string // without the line that asks systemd for it
		for line := range strings.Lines(string(b)) {
			if !strings.HasPrefix(line, "SystemdService=") {
				plain = append(plain, line)
			}
		}
		if err := os.WriteFile(filepath.Join(s.XO.Dir, "services", name+".service"), []byte(strings.Join(plain, "")), 0o600); err != nil {
			return err
		}
	}
	return s.XO.Conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.ReloadConfig", 0).Err
}

func (s *Shell) openScreen(ctx context.Context) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	s.screen = exec.Command("Xvfb", "-displayfd", "3", "-screen", "0", s.Options.Screen+"x24", "-nolisten", "tcp", "-noreset")
	s.screen.ExtraFiles, s.screen.SysProcAttr, s.screen.Stderr, s.screen.Env = []*os.File{w}, apart(), s.log, s.XO.Env()
	err = s.screen.Start()
	w.Close()
	if err != nil {
		s.screen = nil
		return err
	}
	line, err := readLine(ctx, r)
	if err != nil {
		return fmt.Errorf("starting Xvfb: %w", err)
	}
	s.Display = ":" + strings.TrimSpace(line)
	return nil
}

// extensions makes the folder that the shell loads its extensions from: the stock
// ones, and ours among them.
func (s *Shell) extensions(sources string) (string, error) {
	dir := filepath.Join(s.Dir, "extensions")
	from := []string{"/usr/share/sugar/extensions"}
	if !s.Options.Plain {
		from = append(from, filepath.Join(sources, "extensions"))
	}
	for _, root := range from {
		err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.Name() == "__pycache__" {
				return errors.Join(err, skip(d))
			}
			name := strings.TrimPrefix(path, root)
			to := filepath.Join(dir, name)
			if name == "/"+s.Options.Without {
				return nil
			}
			if d.IsDir() {
				return os.MkdirAll(to, 0o700)
			}
			return os.Symlink(path, to)
		})
		if err != nil {
			return "", err
		}
	}
	return dir, nil
}

func skip(d os.DirEntry) error {
	if d != nil && d.IsDir() {
		return filepath.SkipDir
	}
	return nil
}

// Env is that of a program beside the shell.
func (s *Shell) Env() []string {
	const data = "/usr/share/sugar/data/"
	env := append(append(s.XO.Env(), s.spoken()...), "DISPLAY="+s.Display,
		"SUGAR_SCALING="+s.Options.Scaling, "SUGAR_GROUP_LABELS="+data+"group-labels.defaults",
		"SUGAR_MIME_DEFAULTS="+data+"mime.defaults", "SUGAR_ACTIVITIES_HIDDEN="+data+"activities.hidden",
		"MC_ACCOUNT_DIR="+filepath.Join(s.XO.Profile, "accounts"), "GTK_MODULES=gail:atk-bridge", "NO_AT_BRIDGE=0", "PYTHONDONTWRITEBYTECODE=1")
	return append(env, s.Options.Env...)
}

// Command is a program beside the shell, on its screen.
func (s *Shell) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := s.XO.Command(ctx, name, args...)
	cmd.Env = s.Env()
	return cmd
}

// AwaitJournal waits until the Journal is there, which comes last.
func (s *Shell) AwaitJournal(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return until(ctx, "the Journal", func() (bool, error) {
		select {
		case <-s.over:
			return false, fmt.Errorf("the shell has ended:\n%s", s.Log())
		default:
		}
		pid, err := s.XO.ServicePID(ctx, "org.laptop.Journal")
		return pid != 0, err
	})
}

// Shoot makes a picture of the screen.
func (s *Shell) Shoot(ctx context.Context, file string) error {
	out, err := s.Command(ctx, "import", "-window", "root", file).CombinedOutput()
	if err != nil {
		return fmt.Errorf("import: %w: %s", err, out)
	}
	return nil
}

// Log is what the shell has said.
func (s *Shell) Log() string {
	b, _ := os.ReadFile(filepath.Join(s.Dir, "shell.log"))
	logs, _ := filepath.Glob(filepath.Join(s.XO.Profile, "logs", "shell.log"))
	for _, name := range logs {
		more, _ := os.ReadFile(name)
		b = append(b, more...)
	}
	return string(bytes.TrimSpace(b))
}

// PID is the shell's.
func (s *Shell) PID() int { return s.shell.Process.Pid }

// Close ends the shell, what it has started, and its screen.
func (s *Shell) Close() error {
	if s.shell != nil && s.shell.Process != nil {
		_ = s.shell.Process.Signal(syscall.SIGTERM)
		select {
		case <-s.over:
		case <-time.After(3 * time.Second):
			_ = s.shell.Process.Kill()
			<-s.over
		}
		_ = syscall.Kill(-s.shell.Process.Pid, syscall.SIGKILL)
	}
	if s.screen != nil {
		_ = s.screen.Process.Signal(syscall.SIGTERM)
		_ = s.screen.Wait()
	}
	if s.log != nil {
		_ = s.log.Close()
	}
	return nil
}
