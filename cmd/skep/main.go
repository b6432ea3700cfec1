// SPDX-License-Identifier: Apache-2.0

// Command skep shows what happens on a host: the client of skepd.
package main

import (
	"os"
	"runtime/debug"

	"github.com/skep-io/skep/internal/cli"
)

// version is set by the build (-ldflags "-X main.version=..."); without it
// the version control stamp of the build counts.
var version string

func main() {
	os.Exit(cli.Main(buildVersion(), os.Args[1:]))
}

func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
