// Package oci speaks the OCI distribution protocol (distribution-spec v1.1, and
// the Docker registry API it grew from) to one host: it is the wire protocol of
// transship, written once. Each cloud's provider embeds a [Registry] and
// overrides what its cloud does better.
//
// It copies nothing, plans nothing and remembers nothing but tokens, the host's
// width and two manners of the host (whether HEAD tells digests, whether lists
// are linked).
//
// # Design
//
// Every request goes through [Registry.once]: a slot of the host's limiter, an
// Authorization header for exactly the scopes that the request needs, the request
// itself, redirects by hand, one renewed token after a 401, and the answer or an
// error of one [providers.Kind] (kind.go holds the table). [Registry.do] repeats
// it within the budget of its [Retry].
//
// A credential leaves for two places only: the registry's own origin and the
// token realm that it names, when guard.go allows that realm. Redirects and
// upload locations on other hosts get no header, go over a transport of their own,
// and are refused where they resolve to a private address.
package oci
