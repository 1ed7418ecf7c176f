package dbus

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	godbus "github.com/godbus/dbus/v5"

	"github.com/sugarlabs/xo-backupd/dbus/bustest"
)

const uid = "01234567-89ab-cdef-0123-456789abcdef"

// TestDBusSend calls every method of the contract as a shell script does.
func TestDBusSend(t *testing.T) {
	b := bustest.Start(t)
	e := &fake{
		list: func(context.Context) ([]Snapshot, error) {
			return []Snapshot{{ID: "2026-11-23T21-30-05Z", Seq: 7, Time: 1795469405, Confirmed: 1795469500, Entries: 3, Bytes: 1 << 40, Account: "SHF1"}}, nil
		},
		restore: func(_ context.Context, r RestoreRequest, _ func(Progress)) (Outcome, error) {
			return Outcome{Message: fmt.Sprintf("%+v", r)}, nil
		},
		backup: func(_ context.Context, trigger string, _ func(Progress)) (Outcome, error) {
			return Outcome{Partial: true, Message: trigger}, nil
		},
		trust: func(fingerprint string) error {
			if fingerprint != "SHA256:good" {
				return word{InvalidArgument, "That is not the server's."}
			}
			return nil
		},
	}
	e.findBackups = func(context.Context) ([]Found, error) {
		return []Found{{"SHC1", "Ana", "#FF2B34,#00A0FF", "4", 412, 1 << 40, 1795469405, "approval"}}, nil
	}
	e.claim = func(_ context.Context, account, code string) (Claim, error) {
		if code != "" {
			return Claim{}, word{ClaimRefused, account + " " + code}
		}
		return Claim{account, ClaimPending, "blue fish"}, nil
	}
	e.dismiss = func(string) error { return nil }
	e.status = Status{State: StateIdle, StateReason: "why", Server: "http://xs", Account: "SHF1", Serial: "SHF1", LastBackup: 1795469405, LastResult: "ok", Entries: 3}
	serve(t, b, e, Config{})

	const (
		unsupported = "Error org.freedesktop.DBus.Error.NotSupported: "
		invalid     = "Error org.laptop.Backup.Error.InvalidArgument: "
		wrongArgs   = "Error org.freedesktop.DBus.Error.InvalidArgs: "
		root        = "/org/laptop/Backup"
	)
	for _, c := range []struct {
		path, method string
		args         []string
		want         string // parts of the answer
	}{
		{root, "Register", nil, "method return"},
		{root, "TrustServer", []string{"string:SHA256:good"}, "method return"},
		{root, "TrustServer", []string{"string:SHA256:bad"}, invalid + "That is not the server's."},
		{root, "TrustServer", []string{"string:"}, invalid},
		{root, "CheckServer", nil, `"available"..boolean true|"protocols"|uint32 2`},
		{root, "Backup", nil, `object path "/org/laptop/Backup/jobs/1"`},
		{root, "Wait", []string{"objpath:/org/laptop/Backup/jobs/1"}, `string "partial" string "" string "manual"`},
		{root, "BackupWithOptions", []string{"dict:string:string:trigger,network"}, "jobs/2"},
		{root, "Wait", []string{"string:/org/laptop/Backup/jobs/2"}, `string "partial"|string "network"`},
		{root, "BackupWithOptions", []string{"dict:string:string:"}, "jobs/3"},
		{root, "Wait", []string{"objpath:/org/laptop/Backup/jobs/3"}, `string "manual"`},
		{root, "BackupWithOptions", []string{"dict:string:string:trigger,hunger"}, invalid + `Option "trigger": "hunger" is not one of`},
		{root, "BackupWithOptions", []string{"dict:string:int32:trigger,7"}, invalid + `Option "trigger"`},
		{root, "BackupWithOptions", []string{"dict:string:string:triger,manual"}, invalid + `There is no option "triger"; there are: trigger`},
		{root, "BackupWithOptions", []string{"string:manual"}, wrongArgs + `BackupWithOptions takes .a{sv}.: argument 1 is s`},
		{root, "ListSnapshots", nil, `"id"..string "2026-11-23T21-30-05Z"|"seq"..uint64 7|"time"..int64 1795469405|"confirmed"..int64 1795469500|"entries"..uint32 3|"bytes"..uint64 1099511627776|"account"..string "SHF1"`},
		{root, "Saved", []string{"array:string:" + uid}, uid},
		{root, "Saved", []string{"array:string:"}, `array \[`},
		{root, "Saved", []string{"array:string:../../etc/passwd"}, invalid + `"../../etc/passwd"`},
		{root, "Restore", []string{"string:"}, "jobs/4"},
		{root, "Wait", []string{"objpath:/org/laptop/Backup/jobs/4"}, `string "done"|{Snapshot: Replace:false Deleted:true}`},
		{root, "Restore", []string{"string:../2026"}, invalid + `"../2026" is not the name of a snapshot`},
		{root, "Restore", []string{"string:" + strings.Repeat("x", 4096)}, invalid + `"xxx`},
		{root, "Restore", nil, wrongArgs + `Restore takes .s.: there are 0 arguments`},
		{root, "RestoreWithOptions", []string{"string:2026-11-23T21-30-05Z", "dict:string:string:mode,replace,deleted,false"}, "jobs/5"},
		{root, "Wait", []string{"objpath:/org/laptop/Backup/jobs/5"}, `string "done"|{Snapshot:2026-11-23T21-30-05Z Replace:true Deleted:false}`},
		{root, "RestoreWithOptions", []string{"string:", "dict:string:boolean:deleted,false"}, "jobs/6"},
		{root, "Wait", []string{"objpath:/org/laptop/Backup/jobs/6"}, `{Snapshot: Replace:false Deleted:false}`},
		{root, "RestoreWithOptions", []string{"string:", "dict:string:string:mode,overwrite"}, invalid + `Option "mode": "overwrite" is not one of: merge, replace`},
		{root, "RestoreWithOptions", []string{"string:", "dict:string:string:deleted,maybe"}, invalid + `Option "deleted": "maybe" is neither`},
		{root, "RestoreWithOptions", []string{"string:", "dict:string:int32:deleted,7"}, invalid + `Option "deleted": "7"`},
		{root, "Cancel", []string{"objpath:/org/laptop/Backup/jobs/6"}, "method return"},
		{root, "Cancel", []string{"objpath:/org/laptop/Backup/jobs/60"}, invalid + "No job 60 is known"},
		{root, "Wait", []string{"objpath:/org/laptop/Backup/jobs/007"}, invalid},
		{root, "Wait", []string{"objpath:/"}, invalid + `"/" is not the path of a job`},
		{root, "Wait", []string{"string:"}, invalid},
		{root + "/jobs/6", "Job.Cancel", nil, "method return"},
		{root + "/jobs/60", "Job.Cancel", nil, "UnknownObject"},

		{root, "FindBackups", nil, `"account"..string "SHC1"|"nick"..string "Ana"|"color"..string "#FF2B34,#00A0FF"|"group"..string "4"|"entries"..uint32 412|"bytes"..uint64 1099511627776|"last_backup"..int64 1795469405|"claim"..string "approval"`},
		{root, "Claim", []string{"string:SHC1", "string:"}, `string "pending" string "blue fish"`},
		{root, "Claim", []string{"string:SHC1", "string:1234 5678"}, "Error org.laptop.Backup.Error.ClaimRefused: SHC1 1234 5678"},
		{root, "Claim", []string{"string:SHC1"}, wrongArgs + `Claim takes .ss.: there are 1 arguments`},
		{root, "Dismiss", []string{"string:later"}, "method return"},
		{root, "Dismiss", []string{"string:never"}, invalid + `"never" is not one of: later, afresh, not-me`},
		{root, "OpenWeb", nil, unsupported},

		{root, "org.freedesktop.DBus.Properties.Get", []string{"string:org.laptop.Backup", "string:Version"}, `variant +string "1.2.3"`},
		{root, "org.freedesktop.DBus.Properties.GetAll", []string{"string:org.laptop.Backup"}, `"Account"|"Entries"|uint32 3`},
		{root, "org.freedesktop.DBus.Properties.GetAll", []string{"string:"}, `"Account"`},
		{root, "org.freedesktop.DBus.Properties.Get", []string{"string:org.laptop.Backup", "string:Colour"}, "UnknownProperty"},
		{root, "org.freedesktop.DBus.Properties.Get", []string{"string:org.laptop.Colour", "string:State"}, "UnknownInterface"},
		{root, "org.freedesktop.DBus.Properties.Set", []string{"string:org.laptop.Backup", "string:State", "variant:string:x"}, "PropertyReadOnly"},
		{root, "org.freedesktop.DBus.Peer.Ping", nil, "method return"},
		{root, "NoSuch", nil, "UnknownMethod"},
		{root, "org.laptop.Other.Method", nil, "UnknownInterface"},
		{"/", "Register", nil, "UnknownInterface"},
		{"/org/laptop/Backups", "Register", nil, "UnknownObject"},
		{root + "/jobs/6/deeper", "Cancel", nil, "UnknownObject"},
	} {
		method := c.method
		if !strings.HasPrefix(method, "org.") {
			method = Interface + "." + method
		}
		out, err := b.Send(t, BusName, c.path, method, c.args...)
		if wantError := strings.Contains(c.want, "Error ") || strings.HasPrefix(c.want, "Unknown") || c.want == "PropertyReadOnly"; (err != nil) != wantError {
			t.Errorf("%s %.200v: %v", method, c.args, err)
		}
		flat := strings.Join(strings.Fields(out), " ")
		for _, part := range strings.Split(c.want, "|") {
			part = strings.NewReplacer("..", ".*?", "{Snap", `\{Snap`, "a{sv}", `a\{sv\}`).Replace(part)
			if !regexp.MustCompile(part).MatchString(flat) {
				t.Errorf("%s %.200v: no %q in:\n%s", method, c.args, part, out)
			}
		}
	}
}

// described is what introspection XML says.
type described struct {
	Interfaces []struct {
		Name    string `xml:"name,attr"`
		Methods []struct {
			Name string `xml:"name,attr"`
			Args []struct {
				Type      string `xml:"type,attr"`
				Direction string `xml:"direction,attr"`
			} `xml:"arg"`
		} `xml:"method"`
		Properties []struct {
			Name   string `xml:"name,attr"`
			Type   string `xml:"type,attr"`
			Access string `xml:"access,attr"`
		} `xml:"property"`
		Signals []struct {
			Name string `xml:"name,attr"`
		} `xml:"signal"`
	} `xml:"interface"`
	Nodes []struct {
		Name string `xml:"name,attr"`
	} `xml:"node"`
}

// TestIntrospection: what is said of each interface is what there is.
func TestIntrospection(t *testing.T) {
	b := bustest.Start(t)
	hold := make(chan struct{})
	e := &fake{backup: func(ctx context.Context, _ string, _ func(Progress)) (Outcome, error) {
		<-hold
		return Outcome{}, nil
	}}
	serve(t, b, e, Config{})
	c := newClient(t, b)
	job := c.job("Backup")
	defer close(hold)

	tables := map[string]*iface{Interface: backup, JobInterface: jobs, journal.name: journal}
	for _, at := range []godbus.ObjectPath{Path, job, JournalPath, SnapshotsPath + "/2026_11_23T21_30_05Z"} {
		var text string
		if err := c.Object(BusName, at).Call("org.freedesktop.DBus.Introspectable.Introspect", 0).Store(&text); err != nil {
			t.Fatal(err)
		}
		var d described
		if err := xml.Unmarshal([]byte(text), &d); err != nil {
			t.Fatalf("%s: %v\n%s", at, err, text)
		}
		seen := 0
		for _, i := range d.Interfaces {
			table, ok := tables[i.Name]
			if !ok {
				continue
			}
			seen++
			var names []string
			for _, m := range i.Methods {
				names = append(names, m.Name)
				in := ""
				for _, a := range m.Args {
					if a.Direction == "in" {
						in += a.Type
					}
				}
				if in != table.methods[m.Name].in {
					t.Errorf("%s.%s takes %q, its XML says %q", i.Name, m.Name, table.methods[m.Name].in, in)
				}
			}
			slices.Sort(names)
			if have := slices.Sorted(maps.Keys(table.methods)); !slices.Equal(have, names) {
				t.Errorf("%s has %v, its XML has %v", i.Name, have, names)
			}
			var all map[string]godbus.Variant
			if err := c.Object(BusName, at).Call("org.freedesktop.DBus.Properties.GetAll", 0, i.Name).Store(&all); err != nil {
				t.Fatal(err)
			}
			if len(all) != len(i.Properties) {
				t.Errorf("%s has %d properties, its XML %d", i.Name, len(all), len(i.Properties))
			}
			for _, p := range i.Properties {
				if got := all[p.Name].Signature().String(); got != p.Type || p.Access != "read" {
					t.Errorf("%s.%s is %q, its XML says %q %s", i.Name, p.Name, got, p.Type, p.Access)
				}
			}
		}
		if seen != 1 {
			t.Errorf("%s has %d interfaces of ours:\n%s", at, seen, text)
		}
	}

	out, err := b.Run(t, "gdbus", "introspect", "--session", "--dest", BusName, "--object-path", "/", "--recurse")
	if err != nil {
		t.Fatalf("gdbus: %v\n%s", err, out)
	}
	for _, want := range []string{"node " + string(job), "BackupWithOptions(in  a{sv} options", "Completed(b success", "node /org/laptop/Backup/journal", "node /org/laptop/Backup/snapshots"} {
		if !strings.Contains(out, want) {
			t.Errorf("gdbus introspect does not show %q:\n%s", want, out)
		}
	}
}

// TestErrorNames: each error keeps its name on the way, and becomes one sentence
// that D-Bus can carry.
func TestErrorNames(t *testing.T) {
	b := bustest.Start(t)
	problems := make(chan error, 1)
	e := &fake{register: func(context.Context) error { return <-problems }}
	serve(t, b, e, Config{})
	c := newClient(t, b)
	for _, k := range []struct {
		err           error
		name, message string
	}{
		{word{NotRegistered, "Register first."}, ErrorPrefix + NotRegistered, "Register first."},
		{fmt.Errorf("asking: %w", word{ServerBusy, "Busy."}), ErrorPrefix + ServerBusy, "Busy."},
		{errors.Join(errors.New("x"), word{WrongServer, "Wrong."}), ErrorPrefix + WrongServer, "Wrong."},
		{word{"Exploded", "Boom."}, ErrorPrefix + Failed, "Boom."},
		{word{DiskFull, ""}, ErrorPrefix + DiskFull, ""},
		{errors.New("no idea"), ErrorPrefix + Failed, "no idea"},
		{context.DeadlineExceeded, ErrorPrefix + ServerUnavailable, "The school server did not answer in time: try again later."},
		{word{Failed, "bad \xff\x00 text"}, ErrorPrefix + Failed, "bad \uFFFD\uFFFD text"},
		{word{Failed, strings.Repeat("é", 100_000)}, ErrorPrefix + Failed, strings.Repeat("é", maxText/2) + "…"},
	} {
		problems <- k.err
		err := c.call("Register", nil)
		var got godbus.Error
		if !errors.As(err, &got) || got.Name != k.name || got.Error() != k.message {
			t.Errorf("%.80v became %.200v", k.err, err)
		}
	}
}

// TestTextIsCarried: hostile text in what an engine answers never makes an
// answer that cannot be sent, since then the caller would wait for ever.
func TestTextIsCarried(t *testing.T) {
	b := bustest.Start(t)
	const bad = "a\xffb\x00c"
	e := &fake{
		check: func(context.Context) (Availability, error) {
			return Availability{Reason: bad, RetryAfter: 1500 * time.Millisecond}, nil
		},
		list:   func(context.Context) ([]Snapshot, error) { return []Snapshot{{ID: bad, Entries: -1, Bytes: -1}}, nil },
		saved:  func([]string) ([]string, error) { return []string{bad}, nil },
		status: Status{State: bad, LastResult: bad, Server: bad, Entries: -5},
		backup: func(_ context.Context, _ string, progress func(Progress)) (Outcome, error) {
			progress(Progress{Phase: bad, Bytes: -4, EntriesDone: -9})
			return Outcome{Message: bad}, nil
		},
	}
	serve(t, b, e, Config{})
	c := newClient(t, b)
	var answer map[string]godbus.Variant
	c.must("CheckServer", nil, &answer)
	if answer["retry_after"].Value() != uint32(2) {
		t.Errorf("retry_after is %v", answer["retry_after"])
	}
	var list []map[string]godbus.Variant
	c.must("ListSnapshots", nil, &list)
	var uids []string
	c.must("Saved", []any{[]string{uid}}, &uids)
	c.get(Path, Interface, "State")
	if r := c.wait(c.job("Backup")); r.message != "a\uFFFDb\uFFFDc" {
		t.Errorf("message is %q", r.message)
	}
}
