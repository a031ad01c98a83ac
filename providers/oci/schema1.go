package oci

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
)

// schema1Payload returns the bytes that a signed Docker schema 1 manifest is
// known by: the manifest before its signatures were formatted into it. Each
// signature's protected header says how long it was and how it ended
// (docker/libtrust's JSON signatures).
func schema1Payload(raw []byte) ([]byte, bool) {
	var doc struct {
		Signatures []struct {
			Protected string `json:"protected"`
		} `json:"signatures"`
	}
	if json.Unmarshal(raw, &doc) != nil || len(doc.Signatures) == 0 {
		return nil, false
	}
	header, err := base64.RawURLEncoding.DecodeString(doc.Signatures[0].Protected)
	if err != nil {
		return nil, false
	}
	var format struct {
		Length int    `json:"formatLength"`
		Tail   string `json:"formatTail"`
	}
	if json.Unmarshal(header, &format) != nil || format.Length < 0 || format.Length > len(raw) {
		return nil, false
	}
	tail, err := base64.RawURLEncoding.DecodeString(format.Tail)
	if err != nil {
		return nil, false
	}
	return append(bytes.Clone(raw[:format.Length]), tail...), true
}
