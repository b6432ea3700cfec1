// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"fmt"
	"slices"
	"strings"
)

// checkForce refuses what no ladder has: a typing error must not look like a kernel
// that cannot do it.
func checkForce(force map[string]string, sensors []Sensor) error {
	rungs := map[string][]string{}
	for _, s := range sensors {
		for _, ladder := range s.Ladders {
			for _, rung := range ladder.Rungs {
				rungs[ladder.Signal] = append(rungs[ladder.Signal], rung.Name)
			}
		}
	}
	for _, signal := range sortedKeys(force) {
		known, ok := rungs[signal]
		switch {
		case !ok:
			return fmt.Errorf("force a rung of %s: there is no such signal; the signals are %s", signal, strings.Join(sortedKeys(rungs), ", "))
		case !slices.Contains(known, force[signal]):
			return fmt.Errorf("force rung %s of %s: there is no such rung; the rungs of %s are %s", force[signal], signal, signal, strings.Join(known, ", "))
		}
	}
	return nil
}
