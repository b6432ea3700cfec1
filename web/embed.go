// SPDX-License-Identifier: Apache-2.0

// Package web holds skep's page. The files in dist are built from src by
// `npm ci && npm run build` and committed, so that a user needs only Go.
package web

import (
	"embed"
	"io/fs"
)

//go:embed all:dist
var dist embed.FS

// Files returns the built page: index.html at the root, hashed files in assets/.
func Files() (fs.FS, error) {
	return fs.Sub(dist, "dist")
}
