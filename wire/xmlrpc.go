package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// XML-RPC as Sugar's registration speaks it (xmlrpc.com/spec). A value is one
// of string, bool, int64, float64, []byte, []any, map[string]any, nil; dates
// stay text.

// Bounds of one XML-RPC message. A registration has four short strings.
const (
	maxXMLRPC      = 256 << 10
	maxXMLRPCDepth = 16
	maxXMLRPCItems = 4096
)

// Fault is the XML-RPC way of saying that a call failed.
type Fault struct {
	Code    int64
	Message string
}

func (f *Fault) Error() string { return fmt.Sprintf("XML-RPC fault %d: %s", f.Code, f.Message) }

// EncodeCall makes the body of an XML-RPC call.
func EncodeCall(method string, params ...any) ([]byte, error) {
	b := bytes.NewBufferString(xml.Header + "<methodCall><methodName>")
	if err := xml.EscapeText(b, []byte(method)); err != nil {
		return nil, err
	}
	b.WriteString("</methodName><params>")
	for _, p := range params {
		b.WriteString("<param>")
		if err := encodeValue(b, p, 0); err != nil {
			return nil, err
		}
		b.WriteString("</param>")
	}
	b.WriteString("</params></methodCall>\n")
	return b.Bytes(), nil
}

// EncodeResponse makes the body of the answer to a call that went well.
func EncodeResponse(v any) ([]byte, error) {
	b := bytes.NewBufferString(xml.Header + "<methodResponse><params><param>")
	if err := encodeValue(b, v, 0); err != nil {
		return nil, err
	}
	b.WriteString("</param></params></methodResponse>\n")
	return b.Bytes(), nil
}

// EncodeFault makes the body of the answer to a call that failed.
func EncodeFault(f *Fault) []byte {
	b := bytes.NewBufferString(xml.Header + "<methodResponse><fault>")
	// Cannot fail: both values are of kinds that encode.
	_ = encodeValue(b, map[string]any{"faultCode": f.Code, "faultString": f.Message}, 0)
	b.WriteString("</fault></methodResponse>\n")
	return b.Bytes()
}

// DecodeCall reads the body of a call.
func DecodeCall(r io.Reader) (method string, params []any, err error) {
	d := newXMLRPC(r)
	if err := d.open("methodCall"); err != nil {
		return "", nil, err
	}
	if err := d.open("methodName"); err != nil {
		return "", nil, err
	}
	if method, err = d.text(); err != nil {
		return "", nil, err
	}
	method = strings.TrimSpace(method)
	child, err := d.child()
	if err != nil {
		return "", nil, err
	}
	if child == "params" { // may be left out when there are none
		if params, err = d.params(); err != nil {
			return "", nil, err
		}
		if child, err = d.child(); err != nil {
			return "", nil, err
		}
	}
	if child != "" {
		return "", nil, fmt.Errorf("XML-RPC: unexpected <%s> in methodCall", child)
	}
	return method, params, d.end()
}

// DecodeResponse reads the body of an answer; a fault comes as a *Fault.
func DecodeResponse(r io.Reader) (any, error) {
	d := newXMLRPC(r)
	if err := d.open("methodResponse"); err != nil {
		return nil, err
	}
	child, err := d.child()
	if err != nil {
		return nil, err
	}
	switch child {
	case "params":
		params, err := d.params()
		if err != nil {
			return nil, err
		}
		if len(params) != 1 {
			return nil, fmt.Errorf("XML-RPC: an answer of %d values, not one", len(params))
		}
		return params[0], d.close()
	case "fault":
		v, err := d.value(0)
		if err != nil {
			return nil, err
		}
		m, _ := v.(map[string]any)
		code, _ := m["faultCode"].(int64)
		message, ok := m["faultString"].(string)
		if !ok {
			return nil, errors.New("XML-RPC: a fault without its faultString")
		}
		return nil, &Fault{Code: code, Message: message}
	}
	return nil, fmt.Errorf("XML-RPC: unexpected <%s> in methodResponse", child)
}

func encodeValue(b *bytes.Buffer, v any, depth int) error {
	if depth > maxXMLRPCDepth {
		return errors.New("XML-RPC: values nested too deeply")
	}
	b.WriteString("<value>")
	switch v := v.(type) {
	case nil:
		b.WriteString("<nil/>")
	case string:
		b.WriteString("<string>")
		if err := xml.EscapeText(b, []byte(v)); err != nil {
			return err
		}
		b.WriteString("</string>")
	case bool:
		n := 0
		if v {
			n = 1
		}
		fmt.Fprintf(b, "<boolean>%d</boolean>", n)
	case int:
		return encodeInt(b, int64(v))
	case int64:
		return encodeInt(b, v)
	case float64:
		fmt.Fprintf(b, "<double>%s</double>", strconv.FormatFloat(v, 'f', -1, 64))
	case []byte:
		fmt.Fprintf(b, "<base64>%s</base64>", base64.StdEncoding.EncodeToString(v))
	case []any:
		b.WriteString("<array><data>")
		for _, e := range v {
			if err := encodeValue(b, e, depth+1); err != nil {
				return err
			}
		}
		b.WriteString("</data></array>")
	case map[string]any:
		b.WriteString("<struct>")
		for name, e := range v {
			b.WriteString("<member><name>")
			if err := xml.EscapeText(b, []byte(name)); err != nil {
				return err
			}
			b.WriteString("</name>")
			if err := encodeValue(b, e, depth+1); err != nil {
				return err
			}
			b.WriteString("</member>")
		}
		b.WriteString("</struct>")
	default:
		return fmt.Errorf("XML-RPC: cannot send a %T", v)
	}
	b.WriteString("</value>")
	return nil
}

// encodeInt ends the value: numbers beyond 32 bits are the i8 of Apache's
// extension, which Python reads too.
func encodeInt(b *bytes.Buffer, n int64) error {
	kind := "int"
	if int64(int32(n)) != n {
		kind = "i8"
	}
	fmt.Fprintf(b, "<%s>%d</%s></value>", kind, n, kind)
	return nil
}
