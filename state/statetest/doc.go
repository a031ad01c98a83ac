// Package statetest is the suite that defines a backend of package state: what it
// asserts is what the contract means. A backend's own tests run it by [Run] and
// add what only that backend can get wrong.
package statetest
