// SPDX-License-Identifier: Apache-2.0

package files

import (
	"os"
	"testing"

	"github.com/skep-io/skep/test/e2e/skepdtest"
)

func TestMain(m *testing.M) {
	if calls := os.Getenv(callsEnv); calls != "" {
		act(calls)
		return
	}
	os.Exit(skepdtest.Main(m))
}
