// Package house holds the rules of the house that a test can hold: which folder
// may import which, and which folder a third-party module belongs to. It has no
// code of its own.
package house
