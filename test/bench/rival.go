package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

// privsep is a folder that sshd insists on when root starts it, and that only
// its own unit makes.
const privsep = "/run/sshd"

// rival is what a school would use in our place: rsync(1) over OpenSSH, and cp
// -al for each snapshot.
type rival struct {
	dir     string
	user    string
	port    string
	sshd    *exec.Cmd
	ended   chan struct{} // closed when sshd has
	privsep bool          // we made the folder

	snapshots int
}

func newRival(ctx context.Context, dir string) (_ *rival, err error) {
	r := &rival{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	if err := os.MkdirAll(filepath.Join(dir, "store/snapshots"), 0o700); err != nil {
		return nil, err
	}
	me, err := user.Current()
	if err != nil {
		return nil, err
	}
	r.user = me.Username
	for _, key := range []string{"host_key", "key"} {
		out, err := exec.CommandContext(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", r.path(key)).CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("ssh-keygen: %w: %s", err, out)
		}
	}
	return r, r.serve(ctx)
}

func (r *rival) path(name string) string { return filepath.Join(r.dir, name) }

func (r *rival) serve(ctx context.Context) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	_, r.port, _ = net.SplitHostPort(l.Addr().String())
	_ = l.Close() // sshd cannot be handed a listener, nor asked for its port
	if os.Geteuid() == 0 {
		if err := os.Mkdir(privsep, 0o755); err == nil {
			r.privsep = true
		} else if !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	config := strings.Join([]string{
		"ListenAddress 127.0.0.1:" + r.port,
		"HostKey " + r.path("host_key"),
		"AuthorizedKeysFile " + r.path("key.pub"),
		"PidFile none", "UsePAM no", "StrictModes no", "PermitRootLogin yes", "PasswordAuthentication no",
		"KbdInteractiveAuthentication no", "UseDNS no", "PrintMotd no", "LogLevel ERROR",
	}, "\n") + "\n"
	if err := os.WriteFile(r.path("sshd_config"), []byte(config), 0o600); err != nil {
		return err
	}
	log, err := os.Create(r.path("sshd.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	r.sshd = exec.Command("/usr/sbin/sshd", "-D", "-e", "-f", r.path("sshd_config"))
	r.sshd.Stderr = log
	r.sshd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := r.sshd.Start(); err != nil {
		r.sshd = nil
		return err
	}
	r.ended = make(chan struct{})
	go func() {
		_ = r.sshd.Wait()
		close(r.ended)
	}()
	for {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", "127.0.0.1:"+r.port)
		if err == nil {
			return c.Close()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-r.ended:
			said, _ := os.ReadFile(r.path("sshd.log"))
			return fmt.Errorf("sshd ended: %s", said)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (r *rival) close() error {
	if r.sshd != nil {
		_ = r.sshd.Process.Signal(syscall.SIGTERM)
		<-r.ended
	}
	if r.privsep {
		_ = os.Remove(privsep)
	}
	return os.RemoveAll(r.dir)
}

// rsync runs rsync -a, to or from a folder of the store, through ssh on a port.
func (r *rival) rsync(ctx context.Context, port string, args ...string) error {
	ssh := fmt.Sprintf("ssh -p %s -i %s -F none -o IdentitiesOnly=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=%s -o LogLevel=ERROR",
		port, r.path("key"), r.path("known_hosts"))
	out, err := exec.CommandContext(ctx, "rsync", append([]string{"-a", "-e", ssh}, args...)...).CombinedOutput()
	if err != nil {
		said, _ := os.ReadFile(r.path("sshd.log"))
		return fmt.Errorf("rsync: %w: %s%s", err, out, said)
	}
	return nil
}

func (r *rival) remote(name string) string { return r.user + "@127.0.0.1:" + r.path(name) + "/" }

// backup is what the old school server did: the raw datastore into the current
// copy, and a hard-linked snapshot of that.
func (r *rival) backup(ctx context.Context, datastore, port string) error {
	if err := r.rsync(ctx, port, "--delete", datastore+"/", r.remote("store/current")); err != nil {
		return err
	}
	r.snapshots++
	snapshot := r.path(fmt.Sprintf("store/snapshots/%d", r.snapshots))
	if out, err := exec.CommandContext(ctx, "cp", "-al", r.path("store/current"), snapshot).CombinedOutput(); err != nil {
		return fmt.Errorf("cp -al: %w: %s", err, out)
	}
	return nil
}

// restore is rsync back, into an empty folder.
func (r *rival) restore(ctx context.Context, datastore string) error {
	return r.rsync(ctx, r.port, r.remote("store/current"), datastore+"/")
}

// counted is how many bytes a backup sends over the wire.
func (r *rival) counted(ctx context.Context, datastore string) (int64, error) {
	p, err := bed.NewProxy("127.0.0.1:" + r.port)
	if err != nil {
		return 0, err
	}
	defer p.Close()
	_, port, _ := net.SplitHostPort(p.Addr)
	err = r.backup(ctx, datastore, port)
	return p.Bytes(), err
}
