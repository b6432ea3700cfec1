// SPDX-License-Identifier: Apache-2.0

package tools

import _ "embed"

//go:embed syscalls_amd64.txt
var syscallTable string
