package wire

import (
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// xmlrpcDecoder walks the tokens of one message, strictly: what is not of the
// specification is an error that names the element.
type xmlrpcDecoder struct {
	x     *xml.Decoder
	items int
}

func newXMLRPC(r io.Reader) *xmlrpcDecoder {
	return &xmlrpcDecoder{x: xml.NewDecoder(&cappedReader{r: r, left: maxXMLRPC})}
}

// cappedReader ends with an error, not silently, where a message is too long.
type cappedReader struct {
	r    io.Reader
	left int
}

func (c *cappedReader) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, fmt.Errorf("XML-RPC: message longer than %d bytes", maxXMLRPC)
	}
	n, err := c.r.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// token answers the next token that matters: no comments, no instructions.
func (d *xmlrpcDecoder) token() (xml.Token, error) {
	for {
		t, err := d.x.Token()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, fmt.Errorf("XML-RPC: %w", err)
		}
		switch t := t.(type) {
		case xml.Comment, xml.ProcInst:
		case xml.Directive:
			return nil, errors.New("XML-RPC: a message has no DOCTYPE")
		default:
			return t, nil
		}
	}
}

// child opens the next element inside the open one and answers its name, or
// "" when the open one ended.
func (d *xmlrpcDecoder) child() (string, error) {
	for {
		t, err := d.token()
		if err != nil {
			return "", err
		}
		switch t := t.(type) {
		case xml.StartElement:
			return t.Name.Local, nil
		case xml.EndElement:
			return "", nil
		case xml.CharData:
			if s := strings.TrimSpace(string(t)); s != "" {
				return "", fmt.Errorf("XML-RPC: unexpected text %.40q", s)
			}
		}
	}
}

func (d *xmlrpcDecoder) open(name string) error {
	got, err := d.child()
	if err != nil {
		return err
	}
	if got != name {
		return fmt.Errorf("XML-RPC: <%s> where <%s> belongs", got, name)
	}
	return nil
}

// close expects the end of the open element.
func (d *xmlrpcDecoder) close() error {
	got, err := d.child()
	if err == nil && got != "" {
		err = fmt.Errorf("XML-RPC: unexpected <%s>", got)
	}
	return err
}

// end expects the end of the message, after its outermost element.
func (d *xmlrpcDecoder) end() error {
	for {
		t, err := d.x.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("XML-RPC: %w", err)
		}
		switch t := t.(type) {
		case xml.Comment, xml.ProcInst:
		case xml.CharData:
			if strings.TrimSpace(string(t)) != "" {
				return errors.New("XML-RPC: text behind the message")
			}
		default:
			return errors.New("XML-RPC: more than one message")
		}
	}
}

// text reads the open element's text up to its end.
func (d *xmlrpcDecoder) text() (string, error) {
	var s strings.Builder
	for {
		t, err := d.token()
		if err != nil {
			return "", err
		}
		switch t := t.(type) {
		case xml.CharData:
			s.Write(t)
		case xml.EndElement:
			return s.String(), nil
		case xml.StartElement:
			return "", fmt.Errorf("XML-RPC: <%s> where text belongs", t.Name.Local)
		}
	}
}

func (d *xmlrpcDecoder) params() ([]any, error) {
	var params []any
	for {
		name, err := d.child()
		if err != nil || name == "" {
			return params, err
		}
		if name != "param" {
			return nil, fmt.Errorf("XML-RPC: <%s> where <param> belongs", name)
		}
		v, err := d.value(0)
		if err != nil {
			return nil, err
		}
		params = append(params, v)
		if err := d.close(); err != nil {
			return nil, err
		}
	}
}

// value reads one whole <value>, its opening included.
func (d *xmlrpcDecoder) value(depth int) (any, error) {
	if err := d.open("value"); err != nil {
		return nil, err
	}
	return d.inner(depth)
}

// inner reads what is inside an open <value>, and its end.
func (d *xmlrpcDecoder) inner(depth int) (any, error) {
	if d.items++; depth > maxXMLRPCDepth || d.items > maxXMLRPCItems {
		return nil, errors.New("XML-RPC: too many values, or nested too deeply")
	}
	var bare strings.Builder // text without an element is a string
	for {
		t, err := d.token()
		if err != nil {
			return nil, err
		}
		switch t := t.(type) {
		case xml.CharData:
			bare.Write(t)
		case xml.EndElement:
			return bare.String(), nil
		case xml.StartElement:
			if s := strings.TrimSpace(bare.String()); s != "" {
				return nil, fmt.Errorf("XML-RPC: text %.40q beside <%s>", s, t.Name.Local)
			}
			v, err := d.typed(t.Name.Local, depth)
			if err != nil {
				return nil, err
			}
			return v, d.close()
		}
	}
}

func (d *xmlrpcDecoder) typed(kind string, depth int) (any, error) {
	switch kind {
	case "array":
		return d.array(depth)
	case "struct":
		return d.members(depth)
	}
	s, err := d.text()
	if err != nil {
		return nil, err
	}
	switch kind {
	case "string", "dateTime.iso8601":
		return s, nil
	case "nil":
		return nil, nil
	}
	s = strings.TrimSpace(s)
	var v any
	switch kind {
	case "int", "i4", "i8":
		v, err = strconv.ParseInt(s, 10, 64)
	case "double":
		v, err = strconv.ParseFloat(s, 64)
	case "boolean":
		v, err = s == "1", nil
		if s != "0" && s != "1" {
			err = errors.New("not 0 or 1")
		}
	case "base64":
		// White space may stand anywhere in it.
		v, err = base64.StdEncoding.DecodeString(strings.Join(strings.Fields(s), ""))
	default:
		return nil, fmt.Errorf("XML-RPC: unknown kind of value <%s>", kind)
	}
	if err != nil {
		return nil, fmt.Errorf("XML-RPC: <%s> %.40q: %w", kind, s, err)
	}
	return v, nil
}

func (d *xmlrpcDecoder) array(depth int) (any, error) {
	if err := d.open("data"); err != nil {
		return nil, err
	}
	list := []any{}
	for {
		name, err := d.child()
		if err != nil {
			return nil, err
		}
		if name == "" {
			return list, d.close()
		}
		if name != "value" {
			return nil, fmt.Errorf("XML-RPC: <%s> in an array", name)
		}
		v, err := d.inner(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
}

func (d *xmlrpcDecoder) members(depth int) (any, error) {
	m := map[string]any{}
	for {
		name, err := d.child()
		if err != nil || name == "" {
			return m, err
		}
		if name != "member" {
			return nil, fmt.Errorf("XML-RPC: <%s> in a struct", name)
		}
		if err := d.open("name"); err != nil {
			return nil, err
		}
		key, err := d.text()
		if err != nil {
			return nil, err
		}
		if m[key], err = d.value(depth + 1); err != nil {
			return nil, err
		}
		if err := d.close(); err != nil {
			return nil, err
		}
	}
}
