// SPDX-License-Identifier: Apache-2.0

// Package wire carries the values of scripts from the agent, which reads them, to the
// client, which shows them: package render's values as messages of the API, and back.
package wire
