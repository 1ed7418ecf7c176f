package wire

import (
	"bytes"
	"errors"
	"os/exec"
	"reflect"
	"strings"
	"testing"
)

var xmlrpcValues = []any{
	"", "Amara", "<&>\"'\t\n", "Ñandú 日本", "  kept  ",
	true, false, int64(0), int64(-7), int64(1) << 40, 1.5, []byte("\x00\xff"), []byte{},
	[]any{}, []any{"a", int64(1), []any{"b"}},
	map[string]any{"success": "OK", "nested": map[string]any{"x": nil}}, nil,
}

func TestXMLRPCRoundTrip(t *testing.T) {
	for _, v := range xmlrpcValues {
		b, err := EncodeResponse(v)
		if err != nil {
			t.Fatalf("%#v: %v", v, err)
		}
		got, err := DecodeResponse(bytes.NewReader(b))
		if err != nil || !reflect.DeepEqual(got, v) {
			t.Errorf("%#v came back as %#v, %v", v, got, err)
		}
	}
	b, err := EncodeCall("register", xmlrpcValues...)
	if err != nil {
		t.Fatal(err)
	}
	method, params, err := DecodeCall(bytes.NewReader(b))
	if err != nil || method != "register" || !reflect.DeepEqual(params, xmlrpcValues) {
		t.Errorf("call came back as %q %#v, %v", method, params, err)
	}
	_, err = DecodeResponse(bytes.NewReader(EncodeFault(&Fault{4, "<no>"})))
	var fault *Fault
	if !errors.As(err, &fault) || *fault != (Fault{4, "<no>"}) {
		t.Errorf("fault came back as %v", err)
	}
}

// Python's xmlrpc.client is what Sugar speaks with.
func TestXMLRPCPython(t *testing.T) {
	const script = `
import sys, xmlrpc.client as x
params, method = x.loads(sys.stdin.buffer.read(), use_builtin_types=True)
assert method == 'register', method
sys.stdout.write(x.dumps(params, 'register', allow_none=True))
`
	want := []any{"SHC1", "Ama & ra\n", int64(5), []byte("\x00raw"), []any{true, nil, 2.5}, map[string]any{"k": "v"}}
	b, err := EncodeCall("register", want...)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/usr/bin/python3", "-c", script)
	cmd.Stdin = bytes.NewReader(b)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	_, got, err := DecodeCall(bytes.NewReader(out))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("from Python: %#v, %v\n%s", got, err, out)
	}
}

func TestXMLRPCRefuses(t *testing.T) {
	deep := strings.Repeat("<value><array><data>", 50)
	for name, in := range map[string]string{
		"empty":            "",
		"not XML":          "GET / HTTP/1.1",
		"other element":    "<html></html>",
		"cut":              "<methodCall><methodName>register</methodName><params><param>",
		"two":              "<methodCall><methodName>a</methodName></methodCall><methodCall/>",
		"unknown kind":     "<methodCall><methodName>a</methodName><params><param><value><blob>x</blob></value></param></params></methodCall>",
		"bad int":          "<methodCall><methodName>a</methodName><params><param><value><int>x</int></value></param></params></methodCall>",
		"bad boolean":      "<methodCall><methodName>a</methodName><params><param><value><boolean>2</boolean></value></param></params></methodCall>",
		"doctype":          `<!DOCTYPE a [<!ENTITY b "c">]><methodCall><methodName>a</methodName></methodCall>`,
		"two values":       "<methodCall><methodName>a</methodName><params><param><value>a</value><value>b</value></param></params></methodCall>",
		"deep":             "<methodCall><methodName>a</methodName><params><param>" + deep,
		"long":             "<methodCall><methodName>" + strings.Repeat("a", maxXMLRPC) + "</methodName></methodCall>",
		"text beside kind": "<methodCall><methodName>a</methodName><params><param><value>a<int>1</int></value></param></params></methodCall>",
	} {
		if method, params, err := DecodeCall(strings.NewReader(in)); err == nil {
			t.Errorf("%s: taken as %q %v", name, method, params)
		}
	}
}

func FuzzXMLRPC(f *testing.F) {
	for _, v := range xmlrpcValues {
		b, _ := EncodeCall("register", v)
		f.Add(b)
	}
	f.Add(EncodeFault(&Fault{1, "x"}))
	f.Fuzz(func(t *testing.T, in []byte) {
		method, params, err := DecodeCall(bytes.NewReader(in))
		if err != nil {
			DecodeResponse(bytes.NewReader(in))
			return
		}
		b, err := EncodeCall(method, params...)
		if err != nil {
			t.Fatalf("cannot encode what was decoded: %v", err)
		}
		if len(b) > maxXMLRPC {
			return
		}
		if _, _, err := DecodeCall(bytes.NewReader(b)); err != nil {
			t.Fatalf("cannot decode what was encoded: %v\n%s", err, b)
		}
	})
}
