// Package ghcrtest is GitHub's container registry on loopback, with what GitHub
// refuses refused: registrytest's front with ghcr.io's quirks, and the packages
// API beside it, on another port as GitHub has it on another host.
//
// # What it assumes
//
// Nobody could ask the service itself. How a token that is no classic one is
// refused (403 DENIED by the token service), that a repository which is not there
// is 404 NAME_UNKNOWN to whoever may read, and that versions come newest first are
// taken from reports; each is a quirk or a line in one place.
package ghcrtest
