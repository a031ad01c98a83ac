// Package providers is the contract between the engine and a registry: what a
// host can be asked ([Registry]), what it answers ([Row], [Manifest]), what it
// is known to be able to do ([Caps]) and how it fails ([Error], [Kind]).
//
// The wire protocol is in providers/oci, once for everybody; each cloud has a
// folder of its own that embeds it. This package talks to nobody.
package providers
