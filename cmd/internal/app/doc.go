// Package app is the program: it reads flags, opens what they name and hands it
// to the engine. It is the one package that knows all the others, and decides
// nothing about images itself.
//
//	root.go      the commands and the flags they share
//	options.go   those flags as a value, with their environment twins
//	open.go      policy -> registries, state, transfer, engine
//	sync.go …    one file a command
//	progress.go  bars on a terminal, lines in a log
//	exit.go      failures -> exit codes and what to try next
package app
