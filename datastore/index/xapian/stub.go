package xapian

import "unicode"

const OtherFields = 'N'

var Fields = map[string]byte{"uid": 'Q', "activity": 'A', "activity_id": 'I', "mime_type": 'M', "keep": 'K', "project_id": 'P'}

func Terms(text string, yield func([]byte)) {
	var b []byte
	for _, r := range text + " " {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_' {
			b = append(b, string(unicode.ToLower(r))...)
		} else if len(b) > 0 {
			yield(b)
			b = b[:0]
		}
	}
}
