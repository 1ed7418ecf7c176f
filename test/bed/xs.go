package bed

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// ServerOptions of an XS.
type ServerOptions struct {
	Binaries Binaries
	Root     string   // DIR/library
	Wrap     []string // a command that the server is started by, say strace
	Env      []string // further environment, say XS_BACKUPD_KEY=value
	Args     []string // further arguments of serve
}

// Addresses are those that an XS listens on, as its one line of JSON has them.
type Addresses struct {
	HTTP         string `json:"http"`
	Registration string `json:"registration"`
	SSH          string `json:"ssh"`
}

// XS is a school server on the loopback interface.
type XS struct {
	Addresses
	Dir     string
	Root    string
	Options ServerOptions

	cmd *exec.Cmd
}

// StartXS starts a server that keeps everything under dir, which it makes and
// Close removes.
func StartXS(ctx context.Context, dir string, o ServerOptions) (*XS, error) {
	s := &XS{Dir: dir, Root: o.Root, Options: o}
	if s.Root == "" {
		s.Root = filepath.Join(dir, "library")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	s.Addresses = Addresses{HTTP: "127.0.0.1:0", Registration: "127.0.0.1:0", SSH: "127.0.0.1:0"}
	if err := s.Start(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Start starts the server again where it was stopped or killed: same root, same
// ports.
func (s *XS) Start(ctx context.Context) error {
	log, err := os.OpenFile(filepath.Join(s.Dir, "xs.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	words := append(append([]string{}, s.Options.Wrap...), s.Options.Binaries.Server, "serve", "--root", s.Root,
		"--http", s.HTTP, "--registration", s.Registration, "--ssh", s.SSH)
	words = append(words, s.Options.Args...)
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Env = append([]string{mark + "=" + s.Dir, "PATH=/usr/local/bin:/usr/bin:/bin", "HOME=" + s.Dir, "LANG=C.UTF-8",
		"XS_BACKUPD_MAX_LOAD=1000"}, s.Options.Env...) // the machine may be busy with other tests
	cmd.Stderr, cmd.SysProcAttr = log, apart()
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmd = cmd
	line, err := readLine(ctx, out)
	if err == nil {
		err = json.Unmarshal([]byte(line), &s.Addresses)
	}
	if err != nil {
		return fmt.Errorf("xs-backupd: %w\n%s", err, s.Log())
	}
	return nil
}

// URL is that of the http listener.
func (s *XS) URL() string { return "http://" + s.HTTP }

// RegistrationURL is that of the XML-RPC listener.
func (s *XS) RegistrationURL() string { return "http://" + s.Registration }

// PID is the running server's, 0 if it does not run.
func (s *XS) PID() int {
	if s.cmd == nil {
		return 0
	}
	return s.cmd.Process.Pid
}

// Stop ends the server as its unit does, and waits for it and for all that it
// started. It is an error if something did not end by itself.
func (s *XS) Stop() error { return s.end(syscall.SIGTERM) }

// Kill ends the server at once; what it started has to notice that.
func (s *XS) Kill() error { return s.end(syscall.SIGKILL) }

func (s *XS) end(signal syscall.Signal) error {
	if s.cmd == nil {
		return nil
	}
	cmd := s.cmd
	s.cmd = nil
	to := cmd.Process.Pid
	if len(s.Options.Wrap) > 0 {
		to = -to // what it is wrapped in may keep a signal to itself
	}
	_ = syscall.Kill(to, signal)
	stuck := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
	_ = cmd.Wait()
	var err error
	if !stuck.Stop() {
		err = errors.New("xs-backupd did not end within 20 s and was killed")
	}
	return errors.Join(err, endMembers(s.Dir, cmd.Process.Pid, 10*time.Second))
}

// Run runs one of the administrator's verbs and answers its standard output.
func (s *XS) Run(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, s.Options.Binaries.Server, append(args, "--root", s.Root)...)
	cmd.Env = append([]string{"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=" + s.Dir, "LANG=C.UTF-8"}, s.Options.Env...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("xs-backupd %s: %w: %s", args[0], err, errOut.Bytes())
	}
	return out.String(), nil
}

// Log is what the server has said on standard error.
func (s *XS) Log() string {
	b, _ := os.ReadFile(filepath.Join(s.Dir, "xs.log"))
	return string(b)
}

// Close stops the server and removes its folder.
func (s *XS) Close() error { return errors.Join(s.Stop(), os.RemoveAll(s.Dir)) }
