// SPDX-License-Identifier: Apache-2.0

package questions

import (
	"os"
	"testing"

	"github.com/skep-io/skep/test/e2e/skepdtest"
)

func TestMain(m *testing.M) { os.Exit(skepdtest.Main(m)) }
