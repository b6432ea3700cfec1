// SPDX-License-Identifier: Apache-2.0

package deps

import "slices"

// capabilities are the packages of the features. The sensors are one each.
var capabilities = []string{
	"internal/sensor/process", "internal/sensor/tcp", "internal/sensor/dns", "internal/sensor/files", "internal/sensor/host", "internal/flow", "internal/policy",
	"internal/packet", "internal/profile", "internal/store",
	"internal/sensor/udp", "internal/sensor/unix",
}

// ours is every package of the agent and the client.
var ours = []string{"bpf/...", "cmd/...", "internal/..."}

func rules() []rule {
	return slices.Concat(layers, libraries, betweenCapabilities())
}

// deep gives each pattern's subtree too.
func deep(paths []string) []string {
	var out []string
	for _, p := range paths {
		out = append(out, p+"/...")
	}
	return out
}

var layers = []rule{
	{
		who: []string{"internal/abi/..."}, mayNot: ours,
		why:     "abi mirrors the kernel's structs and is a leaf, so that everything may use it",
		example: "internal/abi -> internal/kern",
	},
	{
		who: []string{"internal/kern/..."}, mayNot: ours, may: []string{"internal/abi", "bpf"},
		why:     "kern turns specs into live objects and knows nothing of what they mean",
		example: "internal/kern -> internal/event",
	},
	{
		who: []string{"internal/bt"}, mayNot: ours, may: []string{"internal/compile", "internal/bt/syntax", "internal/spelling"},
		why:     "a script is compiled from what its Host answers, so that the whole language is tested without a kernel",
		example: "internal/bt -> internal/trace/host",
	},
	{
		who: []string{"internal/redact"}, mayNot: ours,
		why:     "redact is bytes in, bytes out: whatever decodes a command line cleans it there, and depends on nothing more for it",
		example: "internal/redact -> internal/event",
	},
	{
		who: []string{"internal/spelling"}, mayNot: ours,
		why:     "spelling compares words: whoever reads what a user has written may ask it what was meant",
		example: "internal/spelling -> internal/event",
	},
	{
		who: []string{"internal/linuxcap"}, mayNot: ours,
		why:     "linuxcap is a table: whoever shows a capability calls it the same",
		example: "internal/linuxcap -> internal/event",
	},
	{
		who: []string{"internal/budget"}, mayNot: ours,
		why:     "budget decides from figures alone, so that its pace is tested without a clock and a kernel",
		example: "internal/budget -> internal/kern",
	},
	{
		who: []string{"internal/durable"}, mayNot: ours,
		why:     "durable writes files and knows nothing of what is in them",
		example: "internal/durable -> internal/event",
	},
	{
		who: []string{"internal/ship"}, mayNot: ours, may: []string{"internal/event/...", "internal/durable"},
		why:     "an output is a reader of the event log and nothing more: it can slow nothing, and is tested without an agent",
		example: "internal/ship -> internal/agent",
	},
	{
		who: []string{"internal/install"}, mayNot: ours, may: []string{"internal/config", "internal/durable"},
		why:     "install lays files and asks programs of the system: what is in the kernel it leaves to skepd remove",
		example: "internal/install -> internal/kern",
	},
	{
		who: []string{"internal/reach"}, mayNot: ours, may: []string{"internal/event"},
		why:     "reach is a way to a socket and nothing more: what is asked there is the business of who dials",
		example: "internal/reach -> internal/cli",
	},
	{
		who: []string{"internal/event/...", "internal/identity/..."}, mayNot: ours,
		may:     []string{"internal/abi", "internal/redact", "internal/spelling", "internal/kern", "internal/event/...", "internal/identity/..."},
		why:     "event and identity are where capabilities meet: they know none of them",
		example: "internal/identity -> internal/sensor/process",
	},
	{
		who: []string{"internal/event/..."}, mayNot: []string{"internal/identity/..."},
		why:     "a record is complete when it is published: event looks nothing up",
		example: "internal/event -> internal/identity",
	},
	{
		who: []string{"internal/server/..."}, mayNot: slices.Concat(deep(capabilities), []string{"internal/kern/...", "internal/agent/...", "internal/cli/..."}),
		linked:  true,
		why:     "the server gets its data through interfaces of its own, so that it is tested, and audited, without a kernel",
		example: "internal/server -> internal/sensor/tcp",
	},
	{
		who: []string{"..."}, butNot: []string{"cmd/skepd"}, mayNot: []string{"internal/agent/..."},
		testsToo: true,
		why:      "agent is the wiring of skepd; what imports it has every capability in it",
		example:  "internal/cli -> internal/agent",
	},
	{
		who: []string{"cmd/skep", "internal/cli/...", "internal/web/..."}, linked: true,
		mayNot:  slices.Concat(deep(capabilities), []string{"github.com/cilium/ebpf/...", "internal/kern/...", "internal/identity/...", "internal/server/...", "bpf/..."}),
		why:     "skep is unprivileged and talks only to the socket: every verb that touches the kernel goes through skepd",
		example: "cmd/skep -> internal/kern",
	},
	{
		who: []string{"cmd/skep"}, linked: true, mayNot: []string{"cel.dev/...", "github.com/spf13/cobra/doc", "google.golang.org/protobuf/reflect/protodesc"},
		why:     "they take milliseconds and megabytes to be there at all, which every call of skep would pay",
		example: "cmd/skep -> cel.dev/cel-go/cel",
	},
	{
		who: []string{"cmd/skepd"}, linked: true, mayNot: []string{"internal/cli/...", "internal/web/...", "web/..."},
		why:     "skepd is privileged: it serves no page and parses no user's command line",
		example: "cmd/skepd -> internal/web",
	},
	{
		who: []string{"bpf", "internal/...", "cmd/...", "web", "api/..."}, mayNot: []string{"test/...", "testing", "bpf/gen"},
		why:     "tests and generators are no part of the programs",
		example: "internal/kern -> testing",
	},
}

var libraries = []rule{
	{
		who: []string{"..."}, butNot: []string{
			"internal/kern/...", "internal/compile/...", "internal/vm/...", "bpf/gen",
			"test/bench",       // loads the generator that it counts skep against
			"test/bench/guest", // loads the empty programs that it counts skep against
		},
		mayNot:      []string{"github.com/cilium/ebpf/..."},
		testsToo:    true,
		testsButNot: []string{"internal/sensor/...", "test/vm/smoke", "test/e2e/..."}, // they look at the kernel past kern
		why:         "only kern touches the kernel (compile and vm use the assembler), so that attaching has one executor and one undo",
		example:     "internal/flow -> github.com/cilium/ebpf/link",
	},
	{
		who: []string{"..."}, butNot: []string{"internal/kube/..."}, mayNot: []string{"k8s.io/...", "sigs.k8s.io/..."},
		why:     "Kubernetes is one source of names among others, and its client is bigger than skep",
		example: "internal/identity -> k8s.io/client-go/rest",
	},
	{
		who: []string{"..."}, butNot: []string{
			"api/...",                                                                                        // generated
			"internal/kern",                                                                                  // rings and mapped memory
			"internal/sensor/process", "internal/sensor/tcp", "internal/sensor/dns", "internal/sensor/files", // records of the kernel are read in place
			"internal/sensor/udp", "internal/sensor/unix", "internal/sensor/host", // and here
			"internal/server", // SO_PEERPIDFD and the like
			"internal/event",  // sizes, for the bound on memory
		},
		mayNot:  []string{"unsafe", "C"},
		why:     "bytes from the kernel are hostile: what reads them unsafely is a short list that is reviewed",
		example: "internal/cli -> unsafe",
	},
	{
		who: []string{"..."}, mayNot: []string{"C", "runtime/cgo"}, testsToo: true,
		why:     "both programs are static: they run on any distribution without its libraries",
		example: "internal/identity -> C",
	},
	{
		who: []string{"..."}, mayNot: []string{"github.com/stretchr/testify/...", "gotest.tools/..."}, testsToo: true,
		why:     "one assertion style: the testing package",
		example: "internal/event -> github.com/stretchr/testify/assert",
	},
}

// betweenCapabilities: a capability's own subpackages are its own. Test files
// may: a test of one sensor needs another to see whose sockets they are.
func betweenCapabilities() []rule {
	var out []rule
	for i, c := range capabilities {
		others := slices.Concat(capabilities[:i], capabilities[i+1:])
		out = append(out, rule{
			who: []string{c + "/..."}, mayNot: deep(others),
			why:     "capabilities never import each other: they meet in event and identity and are wired in agent",
			example: c + " -> " + others[0],
		})
	}
	return out
}
