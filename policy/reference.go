package policy

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Reference returns docs/policy.md: every key with its type and meaning, from
// the types and their comments, and the examples.
func Reference() (string, error) {
	words, err := readComments()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(referenceHead)
	for _, t := range inOrder(reflect.TypeFor[Set](), nil) {
		section(&b, t, words)
	}
	b.WriteString(referenceUnits)
	for _, kind := range Examples() {
		text, err := Example(kind)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "\n### %s\n\n```yaml\n%s```\n", kind, text)
	}
	return b.String(), nil
}

const referenceHead = `<!-- Generated from the types in policy/ by "go test ./policy -update". Do not edit. -->
# Policy reference

A policy is strict YAML, in one file or in a folder of files that are read
together. An unknown key, a key that is there twice and a value of the wrong type
are errors; all of them are reported at once, each with file, line and column.
"transship config validate" checks a policy, "transship config schema" prints its
JSON schema for editors, "transship plan --explain REF" says which rule takes or
leaves a reference, and why. Aliases (*name) may stand for whole values.

Keys in **bold** are required.
`

const referenceUnits = `
## Notations

| notation | meaning |
|---|---|
| duration | numbers with units, largest first: w, d, h, m, s, ms, us, ns; 90s, 1h30m, 7d |
| percent | 0% to 100%: 10% |
| rate | a number in a time: 40/s, 600/m, 100/6h |
| bytes a second | a size a second: 200MB/s; kB, MB, GB, TB are powers of 1000, KiB, MiB, GiB, TiB of 1024 |
| secret | text with ${VARIABLES} of the environment ($${ is a literal ${), or file:/path, read at each use; never printed |
| glob | matches a whole name: * is anything but a slash, ** anything, ? one character, [a-z] and [!a-z] a class, {a,b} either; types know * and ? only |
| regexp | RE2, matches a whole tag |
| version range | ">=1.2 <3", ^1.4, "1.x \|\| 2.x"; pre-releases only where the range names one, as in >=1.2-0 |
| platform | os/architecture[/variant][:os.version]; what is left out may be anything |
| template | Go's text/template with text, fields, the functions below and if |
| host | host[:port], or its URL |

| function | meaning |
|---|---|
| trimPrefix PREFIX, trimSuffix SUFFIX | cuts it off, if it is there |
| replace OLD NEW | replaces every OLD |
| regexReplace PATTERN NEW | replaces every match (RE2); $1 is the first group, ${1} where letters follow |
| base, dir | the last part of a repository; all but the last |
| lower | in lower case |

Functions take the name last, so that they chain: {{.Repository | trimPrefix "team-" | lower}}.

## Nearest reader

A layer that has to be sent to a target, and that the target's registry does not
have, is read where that is cheapest. In this order, by egressPrice:

1. what transship has read already and keeps in its spool costs nothing;
2. another repository of the target's own registry, if it mounts nothing;
3. the registries of the target's readFrom, the cheapest first. What is listed goes
   before the source whatever it costs: that spares a source which counts its pulls;
4. other registries of the policy, if their egressPrice is given and is below the
   source's;
5. the source.

An alternative that costs more than the source, and that readFrom does not list, comes
after it. The same price, or none, is decided in the order above.

- Only what is known to be there is asked for: what state says was put or found in a
  repository of that registry, by whatever rule, or what this run has put there. No
  repository is guessed, so the reader need not be a target of the same rule, and its
  repositories may have any names; but some rule has to copy to it.
- Nothing waits for another target. When two targets of a rule need a layer at the
  same time it is read once, from the source, for both. So two targets may list each
  other.
- What is read is checked against its digest, whoever sent it. A reader that gives
  other bytes, breaks off, refuses, or does not have the layer any more is passed over
  for the next, the source last, in the same run; what was believed of it is forgotten.
  A registry that fails for another reason is left alone for a minute.
- Manifests come from the source; reading needs no more than pull at the reader.

A chain is two rules: us to eu, then eu to azure. So is one rule with two targets
of which the second says readFrom: [eu]; then azure does not wait for eu's next run,
and what eu lacks comes from us. Either way us is read once.

"transship plan" tells what is read instead of the source and what that saves, where
both have an egressPrice; "transship plan --explain REF" tells the order.

## Offload

A target at acr with via: import has Azure read the source itself, by ARM's importImage:
the image's bytes do not pass through transship. The plan says "import" and how much.

- The registry needs its resourceID, and our identity there a role with
  Microsoft.ContainerRegistry/registries/importImage/action, such as Container Registry
  Data Importer and Data Reader, besides those for pushing.
- An image is imported by its digest and under no tag; it is looked for, with every
  manifest below it; then its signatures follow, and last its tags are put as ever.
- An acr source with a resourceID is read by our identity's rights. A source with
  auth: {anonymous: true} is read by anybody. A source with a username and a password is
  refused unless the target says shareSourceCredential: true, for Azure is given them.
  Other sources are refused.
- What Azure does not import is copied: referrers, images of more than 50 manifests,
  those with foreign layers, and what would only be mounted.
- An import that fails fails its image, with what to do. Nothing is sent instead.

## Examples
`

// inOrder returns the mappings below t, each once, as a reader meets them.
func inOrder(t reflect.Type, seen []reflect.Type) []reflect.Type {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if shape(t) != nil || t.Kind() != reflect.Struct || slices.Contains(seen, t) {
		return seen
	}
	seen = append(seen, t)
	for i := range t.NumField() {
		if f := t.Field(i); keyOf(f) != "" {
			seen = inOrder(f.Type, seen)
		}
	}
	return seen
}

func section(b *strings.Builder, t reflect.Type, words comments) {
	fmt.Fprintf(b, "\n## %s\n\n%s\n\n| key | type | meaning |\n|---|---|---|\n", t.Name(), words.of(t, ""))
	for i := range t.NumField() {
		f := t.Field(i)
		key := keyOf(f)
		if key == "" {
			continue
		}
		if strings.Contains(f.Tag.Get("jsonschema"), "required") {
			key = "**" + key + "**"
		}
		meaning := strings.ReplaceAll(words.of(t, f.Name), "|", "\\|")
		fmt.Fprintf(b, "| %s | %s | %s |\n", key, kind(f), meaning)
	}
}
