// Command transship keeps container images in several registries the same.
package main

import (
	"os"

	"github.com/transship/transship/cmd/internal/app"
)

func main() {
	os.Exit(app.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
