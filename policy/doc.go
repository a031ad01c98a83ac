// Package policy is what to replicate: the policy file's types, its parser,
// its validation, and the pure questions that a rule answers: which repositories
// and tags it takes, where they go, and why. It talks to no registry and reads
// no clock; the engine hands in what it has listed and the time.
//
// # Design
//
// A [Set] is plain data with JSON tags, shared by file, schema and reference.
// [Parse] reads strict YAML into it and notes where each value stood; [Set.Check]
// knows paths only, and the parser lays positions over what it reports. Every
// mistake is found in one go, as [Problems] in the order of the file.
//
// Strings that hold a small language (globs, regular expressions, version
// ranges, cron lines, digests, templates) carry a `policy` struct tag, which
// validation, the JSON schema and the reference all read.
//
// A [Secret] is kept as written and resolved at use, so that a policy can be
// validated without its secrets, and rotated files are read again.
package policy
