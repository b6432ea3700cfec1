// SPDX-License-Identifier: Apache-2.0

package host

import (
	"io"
	"os"
	"testing"

	"github.com/skep-io/skep/test/e2e/skepdtest"
)

func TestMain(m *testing.M) {
	switch calls := os.Getenv(callsEnv); calls {
	case "":
		os.Exit(skepdtest.Main(m))
	case held: // until it is killed, or its parent ends
		_, _ = io.Copy(io.Discard, os.Stdin)
	default:
		act(calls)
	}
}
