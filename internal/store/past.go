// SPDX-License-Identifier: Apache-2.0

package store

// snapshotKind is the kind of the records that hold a process of the table as it was when
// a period or an agent began. They are not among the records that are streamed.
const snapshotKind = "process"
