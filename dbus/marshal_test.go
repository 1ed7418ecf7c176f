package dbus

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"reflect"
	"strings"
	"testing"

	godbus "github.com/godbus/dbus/v5"

	"github.com/sugarlabs/xo-backupd/dbus/bustest"
)

// TestMarshal: godbus reads what is written here, whatever is in it.
func TestMarshal(t *testing.T) {
	var replies [][]any
	for n := range 20 { // each alignment
		text := strings.Repeat("é", n)
		replies = append(replies,
			[]any{entryList{{text: text, "n": int32(-n), "b": make([]byte, n)}, {}, {"x" + text: int32(n)}}, uint32(n)},
			[]any{entry{text: make([]byte, n), "title": text}},
			[]any{textList{text, "", "a" + text}})
	}
	replies = append(replies, []any{entryList(nil), uint32(0)}, []any{entry(nil)}, []any{textList(nil)})
	for i, reply := range replies {
		for _, to := range []string{"", ":1.7", ":1.1234"} {
			made := marshalReply(77, to, reply)
			m, err := godbus.DecodeMessage(bytes.NewReader(made))
			if err != nil {
				t.Fatalf("%d: %v\n%q", i, err, made)
			}
			if sender, _ := m.Headers[godbus.FieldDestination].Value().(string); sender != to || m.Type != godbus.TypeMethodReply ||
				m.Headers[godbus.FieldReplySerial].Value() != uint32(77) || m.Serial() == 0 {
				t.Errorf("%d: %v", i, m)
			}
			if fmt.Sprint(m.Body...) != fmt.Sprint(plainly(reply)...) {
				t.Errorf("%d: %v\nbecame %v", i, reply, m.Body)
			}
			if size := sizeOf(reply[0]) + len(to) + 256 + 4; size < len(made) {
				t.Errorf("%d: %d bytes were expected, it has %d", i, size, len(made))
			}
		}
	}
}

// plainly are the values as godbus reads them.
func plainly(reply []any) []any {
	variants := func(e map[string]any) map[string]godbus.Variant {
		out := map[string]godbus.Variant{}
		for k, v := range e {
			out[k] = godbus.MakeVariant(v)
		}
		return out
	}
	switch v := reply[0].(type) {
	case entryList:
		list := []map[string]godbus.Variant{}
		for _, e := range v {
			list = append(list, variants(e))
		}
		return []any{list, reply[1]}
	case entry:
		return []any{variants(v)}
	case textList:
		return []any{[]string(v)}
	}
	return nil
}

// TestBothRoads: a client sees no difference between an answer that is written
// here and one that godbus writes, nor does one that wants none.
func TestBothRoads(t *testing.T) {
	answers := map[bool][]any{}
	for _, ours := range []bool{true, false} {
		b := bustest.Start(t)
		s := serveOn(t, b, shelf(), Config{}, func(s *Service) (*godbus.Conn, error) {
			if ours {
				return s.Connect(b.Address)
			}
			return godbus.Connect(b.Address, s.ConnOptions()...)
		})
		if (s.line != nil) != ours {
			t.Fatalf("ours %v, line %v", ours, s.line)
		}
		c := newClient(t, b)
		o := c.Object(BusName, JournalPath)
		for _, call := range [][]any{
			{"find", map[string]string{}, []string{}}, {"find_ids", map[string]string{}}, {"get_properties", uid},
			{"get_uniquevaluesfor", "activity", map[string]string{}}, {"mounts"},
		} {
			o.Go(datastore+"."+call[0].(string), godbus.FlagNoReplyExpected, nil, call[1:]...)
			answer := o.Call(datastore+"."+call[0].(string), 0, call[1:]...)
			if answer.Err != nil {
				t.Errorf("%v: %v", call, answer.Err)
			}
			answers[ours] = append(answers[ours], answer.Body...)
		}
	}
	if !reflect.DeepEqual(answers[true], answers[false]) {
		t.Errorf("%v\n%v", answers[true], answers[false])
	}
}

func TestSocketName(t *testing.T) {
	for keys, want := range map[string]string{
		"path=/run/user/1000/bus": "/run/user/1000/bus", "guid=1,path=/a%20b": "/a b", "abstract=/tmp/dbus-x,guid=2": "@/tmp/dbus-x",
		"path=%zz": "", "dir=/tmp": "", "": "",
	} {
		if got := socketName(keys); got != want {
			t.Errorf("%s is %q, not %q", keys, got, want)
		}
	}
	b := bustest.Start(t)
	s := New(Config{})
	conn, err := s.Connect("tcp:host=127.0.0.1,port=1;unix:path=/nonexistent;" + b.Address)
	if err != nil || s.line == nil {
		t.Fatal(err)
	}
	conn.Close()
	for _, address := range []string{"unix:path=/nonexistent", "unix:", "carrier-pigeon:", ""} {
		if _, err := New(Config{}).Connect(address); err == nil {
			t.Errorf("connected to %q", address)
		}
	}
}

// BenchmarkAnswer is a page as Sugar's Journal asks for it, made ready to be sent.
func BenchmarkAnswer(b *testing.B) {
	reply := []any{entryList(journalPage()), uint32(5000)}
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := carry(reply[0].(entryList)...); err != nil {
				b.Fatal(err)
			}
			marshalReply(1, ":1.1", reply)
		}
	})
	b.Run("godbus", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			m := &godbus.Message{Type: godbus.TypeMethodReply, Body: reply, Headers: map[godbus.HeaderField]godbus.Variant{
				godbus.FieldReplySerial: godbus.MakeVariant(uint32(1)),
				godbus.FieldSignature:   godbus.MakeVariant(godbus.SignatureOf(reply...)),
			}}
			m.CountFds() // as its transport does
			if err := m.EncodeTo(io.Discard, binary.LittleEndian); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func journalPage() (page []map[string]any) {
	entry := map[string]any{"timestamp": int32(1), "creation_time": int32(2), "filesize": int32(4), "preview": make([]byte, 8000)}
	for name := range strings.FieldsSeq("activity activity_id buddies bundle_id icon-color keep mime_type mountpoint mtime progress title uid") {
		entry[name] = "org.laptop.TurtleArtActivity 1234567"
	}
	for range 20 {
		page = append(page, maps.Clone(entry))
	}
	return page
}
