package dbus

import (
	"encoding/binary"

	godbus "github.com/godbus/dbus/v5"
)

// replySerial is the serial number of every answer that is written here. Nobody
// refers to an answer's; it is only not to be 0.
const replySerial = 1<<32 - 1

// answerItself writes an answer of the datastore's interface straight to the bus.
// It tells whether it did; others are godbus's to write.
func (s *Service) answerItself(m *godbus.Message, reply []any) bool {
	if s.line == nil || m.Flags&godbus.FlagNoReplyExpected != 0 || len(reply) == 0 {
		return false
	}
	switch reply[0].(type) {
	case entryList, entry, textList:
	default:
		return false
	}
	sender, _ := m.Headers[godbus.FieldSender].Value().(string)
	message := marshalReply(m.Serial(), sender, reply)
	if _, err := s.line.Write(message); err != nil {
		s.log.Error("an answer cannot be sent", "error", err) // the bus is gone
	}
	m.Flags |= godbus.FlagNoReplyExpected // godbus has none to send any more
	return true
}

// marshalReply makes a whole message of values that carry has seen.
func marshalReply(serial uint32, to string, reply []any) []byte {
	body := len(to) + 256
	for _, value := range reply {
		body += sizeOf(value)
	}
	b := make(message, 0, body)
	b = append(b, 'l', byte(godbus.TypeMethodReply), 0, 1)
	b = b.number(0) // the length of the body
	b = b.number(replySerial)
	b = b.array(8, func(b message) message {
		b = b.field(godbus.FieldReplySerial, "u").number(serial)
		if to != "" {
			b = b.field(godbus.FieldDestination, "s").text(to)
		}
		return b.field(godbus.FieldSignature, "g").signature(signatureOf(reply))
	})
	b = b.align(8)
	start := len(b)
	for _, value := range reply {
		b = b.value(value)
	}
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)-start))
	return b
}

// message is one that is being made, in D-Bus's format, little-endian.
type message []byte

func (b message) align(n int) message {
	for len(b)%n != 0 {
		b = append(b, 0)
	}
	return b
}

func (b message) number(n uint32) message {
	return binary.LittleEndian.AppendUint32(b.align(4), n)
}

func (b message) text(s string) message {
	return append(append(b.number(uint32(len(s))), s...), 0)
}

func (b message) signature(s string) message {
	return append(append(append(b, byte(len(s))), s...), 0)
}

// field begins one of the header.
func (b message) field(code godbus.HeaderField, signature string) message {
	return append(b.align(8), byte(code)).signature(signature)
}

// array puts the length before its elements, which begin at a multiple of n.
func (b message) array(n int, elements func(b message) message) message {
	b = b.number(0)
	at := len(b)
	b = b.align(n)
	start := len(b)
	b = elements(b)
	binary.LittleEndian.PutUint32(b[at-4:], uint32(len(b)-start))
	return b
}

func (b message) value(v any) message {
	switch v := v.(type) {
	case entryList:
		return b.array(4, func(b message) message {
			for _, e := range v {
				b = b.entry(e)
			}
			return b
		})
	case entry:
		return b.entry(v)
	case textList:
		return b.array(4, func(b message) message {
			for _, text := range v {
				b = b.text(text)
			}
			return b
		})
	case uint32:
		return b.number(v)
	}
	panic("no value of an answer") // signatureOf has looked
}

func (b message) entry(e map[string]any) message {
	return b.array(8, func(b message) message {
		for name, value := range e {
			b = b.align(8).text(name)
			switch v := value.(type) {
			case string:
				b = b.signature("s").text(v)
			case int32:
				b = b.signature("i").number(uint32(v))
			case []byte:
				b = append(b.signature("ay").number(uint32(len(v))), v...)
			}
		}
		return b
	})
}

func signatureOf(reply []any) string {
	return godbus.SignatureOf(reply...).String()
}

// sizeOf is about how long a value gets: a message is made without being moved.
func sizeOf(v any) int {
	size := 4
	switch v := v.(type) {
	case entryList:
		for _, e := range v {
			size += sizeOf(entry(e))
		}
	case entry:
		size += 8
		for name, value := range v {
			size += len(name) + 2*overhead
			switch value := value.(type) {
			case string:
				size += len(value)
			case []byte:
				size += len(value)
			}
		}
	case textList:
		for _, text := range v {
			size += len(text) + overhead
		}
	}
	return size
}
