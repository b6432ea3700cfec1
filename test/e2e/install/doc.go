// SPDX-License-Identifier: Apache-2.0

// Package install tests the installation: by skep install, and from the packages.
//
// The tests run in a root of their own: an overlay over the host's, so that they may make
// accounts, replace programs and install packages, and nothing of it is left. The kernel
// is the host's: what the installed agent puts there is looked at with bpftool.
package install
