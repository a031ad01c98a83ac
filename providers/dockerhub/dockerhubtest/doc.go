// Package dockerhubtest is Docker Hub on loopback, with what Docker refuses
// refused: registrytest's front with the registry's quirks, pulls that are counted,
// and the Hub API beside it, on another port as Docker has it on another host.
//
// # What it assumes
//
// Nobody could ask the service itself. That every GET of a manifest is a pull and
// no HEAD is, and the headers that tell how many are left, are from Docker's
// documentation; that the window begins with the first pull, and that a HEAD is
// answered although no pull is left, are assumptions.
package dockerhubtest
