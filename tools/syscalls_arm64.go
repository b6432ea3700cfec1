// SPDX-License-Identifier: Apache-2.0

package tools

import _ "embed"

//go:embed syscalls_arm64.txt
var syscallTable string
