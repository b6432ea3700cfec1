// SPDX-License-Identifier: Apache-2.0

// Package questions tests that docs/questions.md is true: it makes things happen on this
// host, stops the agent that saw them, starts another one on the same disk log, and asks it
// with the very commands of the document. The answers are compared with what the script
// itself knows: pids, ports, sizes and results of real programs.
package questions
