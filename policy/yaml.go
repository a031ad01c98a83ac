package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// MaxFile is the size in bytes above which no policy file is read.
const MaxFile = 1 << 20

// readYAML returns the one document in data. Its problems have no path.
func readYAML(file string, data []byte) (*yaml.Node, *Problem) {
	if len(data) > MaxFile {
		return nil, &Problem{File: file, Message: fmt.Sprintf(
			"is larger than the %s that a policy file may have; split it, and name its folder instead", Size(MaxFile))}
	}
	var doc, more yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, emptyFile(file)
	case err != nil:
		return nil, notYAML(file, err)
	}
	switch err := dec.Decode(&more); {
	case err == nil:
		return nil, &Problem{File: file, Line: max(more.Line, 1), Column: max(more.Column, 1),
			Message: "a second document begins here; a policy file has one: put it into a file of its own"}
	case !errors.Is(err, io.EOF):
		return nil, notYAML(file, err)
	}
	if len(doc.Content) != 1 || doc.Content[0].ShortTag() == "!!null" {
		return nil, emptyFile(file)
	}
	return doc.Content[0], nil
}

func emptyFile(file string) *Problem {
	return &Problem{File: file, Line: 1, Column: 1,
		Message: `is empty; a policy has registries and rules: "transship config init" writes an example`}
}

// notYAML takes the line out of the YAML package's message, and what the
// message quotes: it may be a password that someone forgot to quote.
func notYAML(file string, err error) *Problem {
	text := regexp.MustCompile(`^yaml: (line (\d+): )?`)
	line := 1
	if m := text.FindStringSubmatch(err.Error()); m != nil && m[2] != "" {
		line, _ = strconv.Atoi(m[2])
	}
	reason := text.ReplaceAllString(err.Error(), "")
	reason = regexp.MustCompile(`(?s)'.*'|".*"`).ReplaceAllString(reason, "(a name)")
	if len(reason) > 200 {
		reason = reason[:200]
	}
	return &Problem{File: file, Line: max(line, 1), Message: "is not YAML: " + reason}
}
