package keystore

import (
	"bytes"
	"encoding/binary"
	"unicode/utf16"
)

// The marks with which some programs begin a text. PowerShell redirects a command's output as UTF-16.
var (
	markUTF8  = []byte{0xef, 0xbb, 0xbf}
	markUTF16 = map[string]binary.ByteOrder{"\xff\xfe": binary.LittleEndian, "\xfe\xff": binary.BigEndian}
)

// plain returns a text as UTF-8 without a mark, whichever of UTF-8 and UTF-16 it is in. Other bytes are returned as they are.
func plain(data []byte) []byte {
	if rest, ok := bytes.CutPrefix(data, markUTF8); ok {
		return rest
	}
	if len(data) < 2 || len(data)%2 != 0 {
		return data
	}
	order := markUTF16[string(data[:2])]
	if order == nil {
		return data
	}
	units := make([]uint16, 0, len(data)/2)
	for i := 2; i < len(data); i += 2 {
		units = append(units, order.Uint16(data[i:]))
	}
	return []byte(string(utf16.Decode(units)))
}
