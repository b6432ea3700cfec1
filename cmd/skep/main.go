// SPDX-License-Identifier: Apache-2.0

// Command skep shows what happens on a host: the client of skepd.
package main

import (
	"os"

	"github.com/skep-io/skep/internal/cli"
	"github.com/skep-io/skep/internal/version"
)

func main() {
	os.Exit(cli.Main(version.String(), os.Args))
}
