package bed

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/godbus/dbus/v5"
)

// anXO is one whose daemon is never called, so that no program has to be built.
func anXO(t *testing.T) *XO {
	t.Helper()
	return XOFor(t, Options{Binaries: Binaries{Daemon: "/bin/false"}})
}

func TestJournalThroughTheDatastore(t *testing.T) {
	x := anXO(t)
	const n = 40
	uids, err := x.FillJournal(t.Context(), n, 1)
	if err != nil {
		t.Fatal(err)
	}
	found, err := x.Find(t.Context())
	if err != nil || len(found) != n {
		t.Fatalf("the datastore finds %d entries of %d: %v", len(found), n, err)
	}
	samples := Samples(n, 1)
	put := Journal{}
	for i, uid := range uids {
		put[uid] = Entry{samples[i].Props, samples[i].Data}
	}
	over, err := x.ReadJournal(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// What the datastore adds.
	if err := put.Diff(over, "uid", "filesize", "checksum"); err != nil {
		t.Error("over D-Bus: ", err)
	}
	disk, err := ReadDisk(x.Datastore)
	if err != nil {
		t.Fatal(err)
	}
	if err := put.Diff(disk, "uid", "filesize", "checksum"); err != nil {
		t.Error("on disk: ", err)
	}

	if err := x.WipeJournal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if found, err = x.Find(t.Context()); err != nil || len(found) != 0 {
		t.Errorf("after a wipe the datastore finds %d entries: %v", len(found), err)
	}
}

func TestDatastoreFindsARawJournal(t *testing.T) {
	x := anXO(t)
	uids, err := WriteRaw(x.Datastore, 30, 10<<20, 2)
	if err != nil {
		t.Fatal(err)
	}
	before, err := ReadDisk(x.Datastore)
	if err != nil {
		t.Fatal(err)
	}
	over, err := x.ReadJournal(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := before.Diff(over); err != nil {
		t.Error(err)
	}
	if err := x.StopService(t.Context(), DataStoreName); err != nil {
		t.Fatal(err)
	}
	if err := ChangeRaw(x.Datastore, uids[:3], 1); err != nil {
		t.Fatal(err)
	}
	after, err := ReadDisk(x.Datastore)
	if err != nil {
		t.Fatal(err)
	}
	for i, uid := range uids {
		one := Journal{uid: before[uid]}
		if same := one.Diff(Journal{uid: after[uid]}) == nil; same != (i >= 3) {
			t.Errorf("entry %d: the same %t", i, same)
		}
	}
}

func TestSamplesAreTheSameEachTime(t *testing.T) {
	a, b := Samples(50, 3), Samples(50, 3)
	for i := range a {
		if !bytes.Equal(a[i].Data, b[i].Data) || !bytes.Equal(a[i].Props["title"], b[i].Props["title"]) ||
			!bytes.Equal(a[i].Props["buddies"], b[i].Props["buddies"]) {
			t.Fatalf("entry %d differs", i)
		}
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "xo")
	x, err := StartXO(t.Context(), dir, Options{Binaries: Binaries{Daemon: "/bin/false"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.Find(t.Context()); err != nil {
		t.Error(err)
	}
	if n := len(members(dir, x.bus.Process.Pid)); n != 2 {
		t.Errorf("%d processes belong to the XO, not its bus and its datastore", n)
	}
	// One that does not care that its bus goes away is ended, and named.
	stray := x.Command(t.Context(), "/bin/sleep", "1000")
	if err := stray.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = stray.Wait() }()
	if err := x.closeWithin(0); err == nil || !bytes.Contains([]byte(err.Error()), []byte("sleep 1000")) {
		t.Errorf("Close says %v", err)
	}
	if left := members(dir, x.bus.Process.Pid); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("left: %s: %v", dir, err)
	}
}

func TestProxy(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() { // ends with l
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(c, c)
			_ = c.Close()
		}
	}()
	p, err := NewProxy(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	send := func(n int) int {
		c, err := net.Dial("tcp", p.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = c.Write(make([]byte, n))
		_ = c.(*net.TCPConn).CloseWrite()
		got, _ := io.ReadAll(c)
		return len(got)
	}
	if got := send(1000); got != 1000 || p.Bytes() != 2000 {
		t.Errorf("%d bytes came back of 1000, %d were counted", got, p.Bytes())
	}
	p.CutAfter(500)
	if got := send(1000); got == 1000 {
		t.Error("the line was not cut")
	}
	if got := send(10); got != 0 {
		t.Error("the line is not cut any more")
	}
	p.Mend()
	if got := send(1000); got != 1000 {
		t.Error("the line was not mended")
	}
	reached, back := p.StandStill(500), make(chan int)
	go func() { back <- send(1000) }()
	<-reached
	select {
	case got := <-back:
		t.Errorf("%d bytes came back over a line that stands still", got)
	default:
	}
	p.GoOn()
	if got := <-back; got != 1000 {
		t.Errorf("%d bytes of 1000 came back when the line went on", got)
	}
}

// What the stand-ins are told is what a laptop's programs read.
func TestSystem(t *testing.T) {
	s := SystemFor(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	signals := make(chan *dbus.Signal, 16)
	conn, err := dbus.Connect(s.Address)
	must(err)
	defer conn.Close()
	conn.Signal(signals)
	must(conn.AddMatchSignal(dbus.WithMatchSender(network), dbus.WithMatchObjectPath(networkPath), dbus.WithMatchMember("StateChanged")))
	must(s.OnBattery(22))
	must(s.Metered(true))
	must(s.Network(Disconnected))
	for _, c := range []struct {
		name string
		path dbus.ObjectPath
		prop string
		want any
	}{
		{upower, upowerPath, upower + ".OnBattery", true},
		{upower, displayPath, upower + ".Device.Percentage", 22.0},
		{network, networkPath, network + ".Metered", uint32(1)},
		{network, networkPath, network + ".State", Disconnected},
	} {
		if v, err := conn.Object(c.name, c.path).GetProperty(c.prop); err != nil || v.Value() != c.want {
			t.Errorf("%s is %v: %v", c.prop, v, err)
		}
	}
	for signal := range signals {
		if signal.Name == network+".StateChanged" {
			if signal.Path != networkPath || signal.Body[0] != Disconnected {
				t.Errorf("%v", signal)
			}
			break
		}
	}
}
