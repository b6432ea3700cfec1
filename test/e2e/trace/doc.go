// SPDX-License-Identifier: Apache-2.0

// Package trace tests scripts of the tracing language as users run them: through an agent.
package trace
