package dbus

import (
	"context"
	"strings"
	"testing"
	"time"

	godbus "github.com/godbus/dbus/v5"

	"github.com/sugarlabs/xo-backupd/dbus/bustest"
)

// TestRate: however often the engine reports, PropertiesChanged comes at most
// ten times in any second, and tells the end.
func TestRate(t *testing.T) {
	b := bustest.Start(t)
	e := &fake{backup: func(_ context.Context, _ string, progress func(Progress)) (Outcome, error) {
		const total = 1 << 30
		for end, began := time.Now().Add(2300*time.Millisecond), time.Now(); time.Now().Before(end); time.Sleep(time.Millisecond) {
			progress(Progress{Phase: "sending", Bytes: total, BytesDone: int64(float64(total) * time.Since(began).Seconds() / 3)})
		}
		return Outcome{}, nil
	}}
	serve(t, b, e, Config{})
	c := newClient(t, b)
	signals := c.signals()
	job := c.job("Backup")
	var (
		times []time.Time
		last  map[string]godbus.Variant
		ends  []uint64
	)
	for done := false; !done; {
		select {
		case s := <-signals:
			switch {
			case s.Name == JobInterface+".Completed":
				done = true
			case s.Path == job && strings.HasSuffix(s.Name, ".PropertiesChanged"):
				times = append(times, time.Now())
				last = s.Body[1].(map[string]godbus.Variant)
				if end, ok := last["ExpectedEndTime"].Value().(uint64); ok && last["Result"].Value() == nil {
					ends = append(ends, end)
				}
			}
		case <-time.After(patience):
			t.Fatal("the job does not end")
		}
	}
	if len(times) < 10 {
		t.Errorf("only %d PropertiesChanged in more than two seconds", len(times))
	}
	for i := 10; i < len(times); i++ {
		if d := times[i].Sub(times[i-10]); d < 950*time.Millisecond { // as received
			t.Errorf("11 PropertiesChanged in %v", d)
		}
	}
	if last["Result"].Value() != ResultDone {
		t.Errorf("the last one tells %v", last)
	}
	expected := c.get(job, JobInterface, "StartTime").(uint64) + 3_000_000
	if len(ends) == 0 {
		t.Error("no end was expected")
	}
	for _, end := range ends {
		if end < expected-500_000 || end > expected+500_000 {
			t.Errorf("the end was expected %v off", time.Duration(int64(end)-int64(expected))*time.Microsecond)
		}
	}
}

func TestEstimate(t *testing.T) {
	var e estimate
	now := time.Unix(1_000_000, 0)
	at := func(seconds float64) time.Time { return now.Add(time.Duration(seconds * float64(time.Second))) }
	if e.update("a", 0, true, at(0)); e.end(at(0)) != 0 {
		t.Error("an end without a speed")
	}
	for i := range 20 {
		e.update("a", float64(i)*0.01, true, at(float64(i)*0.5))
	}
	if end := e.end(at(10)); end < at(49).UnixMicro() || end > at(51).UnixMicro() {
		t.Errorf("the end is %v", time.UnixMicro(end).Sub(now))
	}
	if end := e.end(at(60)); end != at(60).UnixMicro() {
		t.Errorf("stalled, the end is %v", time.UnixMicro(end).Sub(now))
	}
	if e.update("b", 0.5, true, at(61)); e.end(at(61)) != 0 {
		t.Error("another phase keeps the speed")
	}
	if e.update("b", 0, false, at(62)); e.end(at(62)) != 0 {
		t.Error("an end though nothing is known")
	}
	for _, p := range []struct {
		Progress
		want  float64
		known bool
	}{
		{Progress{}, 0, false},
		{Progress{Bytes: 10, BytesDone: 5}, 0.5, true},
		{Progress{Entries: 4, EntriesDone: 1}, 0.25, true},
		{Progress{Bytes: 4 * entryWeight, BytesDone: 4 * entryWeight, Entries: 4}, 0.5, true},
		{Progress{Bytes: 10, BytesDone: 50}, 1, true},
		{Progress{Bytes: -1, BytesDone: 3, Entries: -7}, 0, false},
	} {
		if got, known := p.fraction(); got != p.want || known != p.known {
			t.Errorf("%+v: %v %v", p.Progress, got, known)
		}
	}
}
