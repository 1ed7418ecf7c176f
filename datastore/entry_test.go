package datastore

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

const someUID = "0123abcd-0000-4000-8000-0123456789AB"

func cjsonOfSome(metadata string) string {
	return `{"metadata":` + metadata + `,"uid":"` + someUID + `"}`
}

const someSum = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

// The rules of http://wiki.laptop.org/go/Canonical_JSON, value by value.
var canonical = []struct {
	name  string
	entry Entry
	json  string
}{
	{"text", Entry{Metadata: map[string][]byte{"title": []byte("Maze")}}, cjsonOfSome(`{"title":"Maze"}`)},
	{"sorted by bytes", Entry{Metadata: map[string][]byte{"b": {'1'}, "a": {'2'}, "B": {'3'}, "ä": {'4'}, "a-": {'5'}, "aa": {'6'}}},
		cjsonOfSome(`{"B":"3","a":"2","a-":"5","aa":"6","b":"1","ä":"4"}`)},
	{"empty value", Entry{Metadata: map[string][]byte{"tags": {}}}, cjsonOfSome(`{"tags":""}`)},
	{"quote and backslash, in names too", Entry{Metadata: map[string][]byte{`a"\b`: []byte(`\"`)}}, cjsonOfSome(`{"a\"\\b":"\\\""}`)},
	{"control characters as they are", Entry{Metadata: map[string][]byte{"t": []byte("a\nb\tc\x00\x01\x1f\x7f\r")}}, cjsonOfSome("{\"t\":\"a\nb\tc\x00\x01\x1f\x7f\r\"}")},
	{"what encoding/json escapes", Entry{Metadata: map[string][]byte{"t": []byte("<&>\u2028\u2029/é😀\ufffd\ufeff\uffff")}}, cjsonOfSome("{\"t\":\"<&>\u2028\u2029/é😀\ufffd\ufeff\uffff\"}")},
	{"not UTF-8", Entry{Metadata: map[string][]byte{"preview": []byte("\x89PNG\xff")}}, cjsonOfSome(`{"preview":{"base64":"iVBOR/8="}}`)},
	{"text that looks like base64", Entry{Metadata: map[string][]byte{"t": []byte(`{"base64":"AA=="}`)}}, cjsonOfSome(`{"t":"{\"base64\":\"AA==\"}"}`)},
	{"surrogate half", Entry{Metadata: map[string][]byte{"t": []byte("\xed\xa0\x80")}}, cjsonOfSome(`{"t":{"base64":"7aCA"}}`)},
	{"data", Entry{Metadata: map[string][]byte{"t": {'x'}}, Data: &Data{SHA256: hexSum(someSum), Size: 4}},
		`{"data":{"sha256":"` + someSum + `","size":4},"metadata":{"t":"x"},"uid":"` + someUID + `"}`},
	{"empty data", Entry{Metadata: map[string][]byte{"t": {'x'}}, Data: &Data{SHA256: hexSum(someSum)}},
		`{"data":{"sha256":"` + someSum + `","size":0},"metadata":{"t":"x"},"uid":"` + someUID + `"}`},
	{"above 32 bits", Entry{Metadata: map[string][]byte{"t": {'x'}}, Data: &Data{SHA256: hexSum(someSum), Size: 5 << 30}},
		`{"data":{"sha256":"` + someSum + `","size":5368709120},"metadata":{"t":"x"},"uid":"` + someUID + `"}`},
	{"its own uid", Entry{Metadata: map[string][]byte{"uid": []byte(someUID)}}, cjsonOfSome(`{"uid":"` + someUID + `"}`)},
	{"a name of 255 bytes", Entry{Metadata: map[string][]byte{strings.Repeat("n", 255): {}}}, cjsonOfSome(`{"` + strings.Repeat("n", 255) + `":""}`)},
}

func hexSum(s string) [32]byte { return (&parser{rest: []byte(`"` + s + `"`)}).sum() }

func TestCanonicalJSON(t *testing.T) {
	for _, c := range canonical {
		t.Run(c.name, func(t *testing.T) {
			c.entry.UID = someUID
			b, err := c.entry.Encode()
			if err != nil || string(b) != c.json {
				t.Fatalf("encoded %q, %v\nwant    %q", b, err, c.json)
			}
			e, err := DecodeEntry(b)
			if err != nil || !reflect.DeepEqual(*e, c.entry) {
				t.Fatalf("decoded %v, %v", e, err)
			}
			if e.Version() != c.entry.Version() {
				t.Error("another version")
			}
		})
	}
}

// notCanonical is what a decoder that is not strict takes for one of the above.
var notCanonical = map[string]string{
	"nothing":                  ``,
	"no object":                `null`,
	"white space":              `{ "metadata":{"t":"x"},"uid":"` + someUID + `"}`,
	"a line end":               cjsonOfSome(`{"t":"x"}`) + "\n",
	"more behind":              cjsonOfSome(`{"t":"x"}`) + "{}",
	"cut off":                  cjsonOfSome(`{"t":"x"}`)[:40],
	"not sorted":               cjsonOfSome(`{"b":"","a":""}`),
	"twice":                    cjsonOfSome(`{"a":"1","a":"2"}`),
	"uid first":                `{"uid":"` + someUID + `","metadata":{"t":"x"}}`,
	"another key":              `{"extra":1,"metadata":{"t":"x"},"uid":"` + someUID + `"}`,
	"no metadata":              `{"uid":"` + someUID + `"}`,
	"empty metadata":           cjsonOfSome(`{}`),
	"comma at the end":         cjsonOfSome(`{"t":"x",}`),
	"an escape":                cjsonOfSome(`{"t":"\n"}`),
	"a unicode escape":         cjsonOfSome(`{"t":"\u0041"}`),
	"an escaped slash":         cjsonOfSome(`{"t":"\/"}`),
	"a backslash at the end":   `{"metadata":{"t":"\`,
	"not UTF-8":                cjsonOfSome("{\"t\":\"\xff\"}"),
	"a number as a value":      cjsonOfSome(`{"t":1}`),
	"null as a value":          cjsonOfSome(`{"t":null}`),
	"base64 of text":           cjsonOfSome(`{"t":{"base64":"eA=="}}`),
	"base64 of nothing":        cjsonOfSome(`{"t":{"base64":""}}`),
	"base64 without its end":   cjsonOfSome(`{"t":{"base64":"/w"}}`),
	"base64 with a line end":   cjsonOfSome("{\"t\":{\"base64\":\"/w=\n=\"}}"),
	"base64 with spare bits":   cjsonOfSome(`{"t":{"base64":"/x=="}}`),
	"base64 for the web":       cjsonOfSome(`{"t":{"base64":"_w=="}}`),
	"another coding":           cjsonOfSome(`{"t":{"base32":"/w=="}}`),
	"two codings":              cjsonOfSome(`{"t":{"base64":"/w==","x":""}}`),
	"size with a leading zero": `{"data":{"sha256":"` + someSum + `","size":04},"metadata":{"t":"x"},"uid":"` + someUID + `"}`,
	"size below zero":          `{"data":{"sha256":"` + someSum + `","size":-1},"metadata":{"t":"x"},"uid":"` + someUID + `"}`,
	"size with a fraction":     `{"data":{"sha256":"` + someSum + `","size":4.0},"metadata":{"t":"x"},"uid":"` + someUID + `"}`,
	"size above 64 bits":       `{"data":{"sha256":"` + someSum + `","size":18446744073709551617},"metadata":{"t":"x"},"uid":"` + someUID + `"}`,
	"size above what fits":     `{"data":{"sha256":"` + someSum + `","size":9000000000000},"metadata":{"t":"x"},"uid":"` + someUID + `"}`,
	"sum in capitals":          `{"data":{"sha256":"` + strings.ToUpper(someSum) + `","size":4},"metadata":{"t":"x"},"uid":"` + someUID + `"}`,
	"half a sum":               `{"data":{"sha256":"` + someSum[:32] + `","size":4},"metadata":{"t":"x"},"uid":"` + someUID + `"}`,
	"size before sum":          `{"data":{"size":4,"sha256":"` + someSum + `"},"metadata":{"t":"x"},"uid":"` + someUID + `"}`,
	"a hidden property":        cjsonOfSome(`{".t":"x"}`),
	"a property that climbs":   cjsonOfSome(`{"../t":"x"}`),
	"a property with a NUL":    cjsonOfSome("{\"a\x00b\":\"x\"}"),
	"a property without name":  cjsonOfSome(`{"":"x"}`),
	"a property's long name":   cjsonOfSome(`{"` + strings.Repeat("n", 256) + `":"x"}`),
	"another's uid":            cjsonOfSome(`{"uid":"x"}`),
	"a uid that climbs":        `{"metadata":{"t":"x"},"uid":"../../../../../../../../../etc/passwd"}`,
	"a short uid":              `{"metadata":{"t":"x"},"uid":"abc"}`,
}

func TestDecodeRefuses(t *testing.T) {
	for name, s := range notCanonical {
		if e, err := DecodeEntry([]byte(s)); err == nil {
			t.Errorf("%s: taken: %+v", name, e)
		} else if len(err.Error()) > 400 {
			t.Errorf("%s: the error has %d bytes", name, len(err.Error()))
		}
	}
	if _, err := DecodeEntry(bytes.Repeat([]byte(`{"metadata":`), MaxFile/12+1)); err == nil {
		t.Error("more than 8 MiB: taken")
	}
}

func TestEncodeRefuses(t *testing.T) {
	for name, e := range map[string]Entry{
		"no uid":        {Metadata: map[string][]byte{"t": {}}},
		"no metadata":   {UID: someUID},
		"hidden":        {UID: someUID, Metadata: map[string][]byte{".t": {}}},
		"slash":         {UID: someUID, Metadata: map[string][]byte{"a/b": {}}},
		"name no UTF-8": {UID: someUID, Metadata: map[string][]byte{"a\xff": {}}},
		"another uid":   {UID: someUID, Metadata: map[string][]byte{"uid": []byte("other")}},
		"too large":     {UID: someUID, Metadata: map[string][]byte{"t": bytes.Repeat([]byte{'"'}, MaxFile/2)}},
		"huge data":     {UID: someUID, Metadata: map[string][]byte{"t": {}}, Data: &Data{Size: 1 << 60}},
	} {
		if b, err := e.Encode(); err == nil {
			t.Errorf("%s: %.100q", name, b)
		}
	}
}

// FuzzDecodeEntry: whatever the decoder takes, the library writes to the very
// same bytes, and Go's own JSON reads the same from them where it can.
func FuzzDecodeEntry(f *testing.F) {
	for _, c := range canonical {
		f.Add([]byte(c.json))
	}
	for _, s := range notCanonical {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := DecodeEntry(b)
		if err != nil {
			return
		}
		again, err := e.Encode()
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%q was taken and becomes %q, %v", b, again, err)
		}
		if bytes.ContainsFunc(b, func(r rune) bool { return r < ' ' || r == utf8.RuneError }) {
			return // canonical JSON, but not JSON
		}
		var std struct {
			UID      string         `json:"uid"`
			Metadata map[string]any `json:"metadata"`
		}
		if err := json.Unmarshal(b, &std); err != nil || std.UID != string(e.UID) || len(std.Metadata) != len(e.Metadata) {
			t.Fatalf("encoding/json reads %v, %v from %q", std, err, b)
		}
	})
}

func FuzzDecodeJournal(f *testing.F) {
	f.Add([]byte(`{"format":1,"kept":[],"layout":6,"profile":{"color":"","group":"","nick":""}}`))
	f.Add([]byte(`{"format":1,"kept":["` + someUID + `"],"layout":6,"profile":{"color":"#FF2B34,#00A0FF","group":"4","nick":"A\"\\"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		j, err := DecodeJournal(b)
		if err != nil {
			return
		}
		again, err := j.Encode()
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%q was taken and becomes %q, %v", b, again, err)
		}
	})
}

func TestJournal(t *testing.T) {
	j := Journal{Owner: Owner{Nick: "Zoë \"x\" \xff", Color: "#F00,#0F0", Group: ""}, Kept: []UID{testUID(2), testUID(1), testUID(2)}}
	b, err := j.Encode()
	want := `{"format":1,"kept":["` + string(min(testUID(1), testUID(2))) + `","` + string(max(testUID(1), testUID(2))) +
		`"],"layout":6,"profile":{"color":"#F00,#0F0","group":"","nick":"Zoë \"x\" ` + "\ufffd" + `"}}`
	if err != nil || string(b) != want {
		t.Fatalf("%s, %v\nwant %s", b, err, want)
	}
	back, err := DecodeJournal(b)
	if err != nil || len(back.Kept) != 2 || back.Owner.Color != "#F00,#0F0" {
		t.Errorf("%+v, %v", back, err)
	}
	for _, bad := range []string{
		``, `{}`, string(b) + " ",
		strings.Replace(want, `"format":1`, `"format":2`, 1),
		strings.Replace(want, `"layout":6`, `"layout":5`, 1),
		strings.Replace(want, string(testUID(1)), "../x", 1),
		strings.Replace(want, string(testUID(1)), string(testUID(2)), 1),
	} {
		if _, err := DecodeJournal([]byte(bad)); err == nil {
			t.Errorf("taken: %s", bad)
		}
	}
}

func TestVersion(t *testing.T) {
	base := func() *Entry {
		return &Entry{UID: someUID, Metadata: map[string][]byte{"a": []byte("bc"), "title": {}}, Data: &Data{Size: 1}}
	}
	v := base().Version()
	if len(v) != 64 {
		t.Error(v)
	}
	same := base()
	same.Metadata["checksum"] = []byte("x")
	if same.Version() != v {
		t.Error("the optimizer's checksum makes another version")
	}
	for name, change := range map[string]func(*Entry){
		"value":                       func(e *Entry) { e.Metadata["a"] = []byte("bd") },
		"name and value run together": func(e *Entry) { delete(e.Metadata, "a"); e.Metadata["ab"] = []byte("c") },
		"one more, empty":             func(e *Entry) { e.Metadata["b"] = nil },
		"one less":                    func(e *Entry) { delete(e.Metadata, "title") },
		"uid":                         func(e *Entry) { e.UID = testUID(1) },
		"size":                        func(e *Entry) { e.Data.Size = 2 },
		"bytes":                       func(e *Entry) { e.Data.SHA256[31] = 1 },
		"no data":                     func(e *Entry) { e.Data = nil },
		"empty data":                  func(e *Entry) { e.Data.Size = 0 },
	} {
		e := base()
		change(e)
		if e.Version() == v {
			t.Errorf("%s: the same version", name)
		}
	}
}
